"""What writing one stage of one video gives back."""

from dataclasses import dataclass, field

from pc_pipeline.store.load import LoadReport


@dataclass(frozen=True)
class Written:
    """Rows written, figures worth showing, warnings a person should read, the bulk loads' reports, and how many frames
    the stage went through."""

    rows: int = 0
    details: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    loads: tuple[LoadReport, ...] = ()
    frames: int = 0
