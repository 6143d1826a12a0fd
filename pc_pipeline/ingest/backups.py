"""The site file's section `backups`."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from pc_pipeline.ingest.values import Model, Whole


def _whole_path(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"the folder of backups '{path}' must be a whole path, such as /mnt/backups")
    return path


class BackupsConfig(Model):
    """Where backups of the database go, and how far back they reach.

    Attributes:
        folder: PC_BACKUP_DIR goes before it; without either they go to `backups` in PC_HOME.
        keep_days: any moment of so many days can be restored.
    """

    folder: Annotated[Path, AfterValidator(_whole_path)] | None = None
    keep_days: Annotated[Whole, Field(ge=1)] = 14
