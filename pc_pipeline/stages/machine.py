"""What a stage needs of the machine it runs on, handed in rather than reached for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pc_pipeline.store.load import LoadSettings

if TYPE_CHECKING:
    from pc_pipeline.vision.detect import Progress


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class Machine:
    """Places, connections and channels of one run.

    Attributes:
        dsn: libpq URL of the results database.
        zone: the site's time zone.
        models_dir, raw_dir, watch_dir: folders of model weights, raw detections (Parquet) and arriving videos.
        load: how bulk loads are buffered.
        run_id: the Dagster run, for the ledger.
        log: takes a line a person reads.
        progress: takes a video's path and how far its detection is.
    """

    dsn: str = field(repr=False)
    zone: ZoneInfo
    models_dir: Path
    raw_dir: Path
    watch_dir: Path
    load: LoadSettings = field(default_factory=LoadSettings)
    run_id: str = ""
    log: Callable[[str], None] = _silent
    progress: "Callable[[str, Progress], None] | None" = None
