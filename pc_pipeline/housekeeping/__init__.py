"""What keeps the house, apart from Dagster: months of partitions, archive, erasure, upkeep of tables, backups."""
