"""The site file's section `retention`."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from pc_pipeline.ingest.alerts import LONGEST_AGE_S
from pc_pipeline.ingest.sentences import shown
from pc_pipeline.ingest.values import Model

FOR_EVER = "forever"
_SPAN = re.compile(r"(\d{1,4}) (day|month|year)s?")
# Days, of the longest month and year: what is kept as long by one reckoning is by the other.
_DAYS = {"day": 1, "month": 31, "year": 366}


def _span(text: str) -> str:
    found = _SPAN.fullmatch(text)
    if text != FOR_EVER and (found is None or int(found[1]) < 1):
        raise ValueError(
            f"{shown(text)} is no time to keep rows: write '90 days', '3 months', '5 years' or '{FOR_EVER}'"
        )
    return text


def _ending(text: str) -> str:
    if text == FOR_EVER:
        raise ValueError("the event log cannot be kept for ever: write a time, such as '30 days'")
    return _span(text)


class Keep(Model):
    """How long, and whether rows go to the archive first.

    Attributes:
        keep: such as `90 days`, `3 months`, `5 years`, or `forever`.
        archive: false: they are deleted and nothing is left of them.
    """

    keep: Annotated[str, AfterValidator(_span)]
    archive: bool = True

    @model_validator(mode="before")
    @classmethod
    def _time_alone(cls, value: Any) -> Any:
        return {"keep": value} if isinstance(value, str) else value

    @property
    def interval(self) -> str | None:
        """As Postgres reads it; None for ever."""
        return None if self.keep == FOR_EVER else self.keep


class RetentionConfig(Model):
    """How long rows are kept; months that are wholly older go.

    Attributes:
        detections: boxes in frames, and the Parquet files of raw detections.
        frame_metadata: what each frame showed and took.
        system_metrics: what each run took.
        tracks: people's ways, with their genders and links.
        people_movements: crossings, stays in zones and the minutes. Hours and days stay for ever.
        alert_logs: alerts, from when they were resolved.
        event_log: what runs said in Dagster's event log; it is deleted without the archive.
    """

    detections: Keep = Keep(keep="3 months")
    frame_metadata: Keep = Keep(keep="6 months")
    system_metrics: Keep = Keep(keep="12 months")
    tracks: Keep = Keep(keep="5 years")
    people_movements: Keep = Keep(keep="5 years")
    alert_logs: Keep = Keep(keep="90 days")
    event_log: Annotated[str, AfterValidator(_ending)] = "30 days"

    @model_validator(mode="after")
    def _movements_hang_on_tracks(self) -> "RetentionConfig":
        if _days(self.people_movements) > _days(self.tracks):
            raise ValueError(
                f"people_movements cannot be kept longer ({self.people_movements.keep}) than the tracks they hang on"
                f" ({self.tracks.keep}): keep the tracks as long"
            )
        return self

    @model_validator(mode="after")
    def _alerts_are_told_once(self) -> "RetentionConfig":
        if _days(self.alert_logs) < LONGEST_AGE_S / 86400:
            raise ValueError(
                f"alert_logs are kept too short ({self.alert_logs.keep}) to know what was told already: keep them for"
                f" {LONGEST_AGE_S // 86400} days or more"
            )
        return self


def _days(keep: Keep) -> float:
    found = _SPAN.fullmatch(keep.keep)
    return int(found[1]) * _DAYS[found[2]] if found else float("inf")
