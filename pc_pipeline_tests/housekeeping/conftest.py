"""The stages' small worlds, and the watched folder, for what keeps house."""

from pc_pipeline_tests.stages.conftest import _inbox, inbox, world, worlds

__all__ = ["_inbox", "inbox", "world", "worlds"]
