"""PostgreSQL and Redis for a machine that has none, and the Dagster processes that `pc up` starts."""

from pc_pipeline.embedded.services import Endpoints, endpoints, services

__all__ = ["Endpoints", "endpoints", "services"]
