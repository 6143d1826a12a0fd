"""What Dagster sees: thin, one folder a part of the way. Arithmetic is in `counting`, SQL in `store`."""

import warnings

import dagster as dg

# Multi-partition mappings and partitioned checks are beta in this pinned version; a user can do nothing about it.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)
