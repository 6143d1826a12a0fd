"""What each stage of the way does to one video: the vision and counting functions, joined to the store.

A stage reads what the one before left in the store, computes, and replaces its own rows and its ledger row in one
transaction. Nothing here knows Dagster; `defs` calls these functions for the videos of a camera-day.
"""
