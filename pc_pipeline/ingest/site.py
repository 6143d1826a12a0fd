"""The site file: its models, and reading it with every problem named by its line.

`load_site(path)` gives a `SiteConfig`, or raises `SiteFileError` with all that is wrong, one sentence and line each.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_serializer, model_validator

from pc_pipeline.counting.outline import TOWARDS, Side, is_simple
from pc_pipeline.ingest.alerts import AlertsConfig, CameraAlerts
from pc_pipeline.ingest.backups import BackupsConfig
from pc_pipeline.ingest.names import CAMERA_NAME, SHIPPED, NonexistentTime, check_pattern, to_utc
from pc_pipeline.ingest.retention import RetentionConfig
from pc_pipeline.ingest.sentences import sentence, shown, unquote
from pc_pipeline.ingest.values import Model, Name, Number, Seconds, Share, Text, Whole, none_is_empty
from pc_pipeline.ingest.yaml_lines import Place, Problem, SiteFileError, line_of, read_yaml

# ---------------------------------------------------------------------------------------------------------- values


def _camera_name(name: str) -> str:
    if not re.fullmatch(CAMERA_NAME, name):
        raise ValueError(
            f"the camera name '{name}' cannot be used: write 1 to 64 of the letters A to Z, digits, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return name


def _zone_name(name: str) -> str:
    known = available_timezones() - {"localtime", "Factory"}
    if name not in known:
        by_lower = {zone.lower(): zone for zone in known}
        # 'London' and 'europe/londn' are both near 'Europe/London'.
        near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.8) or [
            zone for zone in sorted(by_lower) if zone.rpartition("/")[2] == name.lower().replace(" ", "_")
        ]
        hint = f"did you mean '{by_lower[near[0]]}'?" if near else "write an IANA name such as Europe/London"
        raise ValueError(f"there is no time zone '{name}': {hint}")
    return name


def _point(value: Any) -> Any:
    """A point's coordinates, or a sentence that shows how to write them."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        comma = (
            " (decimals take a point, not a comma: 0.5)" if isinstance(value, list | tuple) and len(value) == 4 else ""
        )
        raise ValueError(f"a point is two numbers from 0 to 1, such as [0.5, 0.25], not {shown(value)}{comma}")
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"a coordinate is a number from 0 to 1, not {shown(number)}{unquote(number)}")
        if not 0 <= number <= 1:
            pixels = ": this looks like pixels, divide x by the picture's width and y by its height"
            raise ValueError(
                f"the coordinate {number} is outside the picture, which runs from 0 to 1 from its top left"
                + (pixels if number > 2 else "")
            )
    return value


def _polygon(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) < 3:
        raise ValueError(f"a zone needs at least 3 points around it, and this one has {len(points)}")
    if not is_simple(points):
        raise ValueError("the zone's outline crosses itself: list its points in order, around it")
    return points


def _valid_from(value: Any) -> Any:
    """A date, or a datetime with or without an offset, from its text."""
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(
            f"'{value}' is no time: write a date such as 2026-03-01, or a time such as 2026-03-01T09:00:00+00:00"
        ) from None


Point = Annotated[tuple[float, float], BeforeValidator(_point)]
CameraName = Annotated[str, AfterValidator(_camera_name)]
ValidFrom = Annotated[datetime | date | None, BeforeValidator(_valid_from)]

# ---------------------------------------------------------------------------------------------------------- models


class DetectorConfig(Model):
    """How people are found in a frame.

    Attributes:
        model: a name `pc models list` shows.
        confidence: boxes below it are not kept.
        iou: of two boxes that overlap more than this, one is kept.
        classes: the model's classes that are people.
        sample_every: seconds between the frames looked at; 0 is every frame.
        motion_gate: frames in which nothing moved are passed by while nobody is there.
    """

    model: str = "yolo11n"
    confidence: Share = 0.25
    iou: Share = 0.6
    classes: list[Annotated[Whole, Field(ge=0)]] = [0]
    sample_every: Seconds = 0.1
    motion_gate: bool = False


class TrackerConfig(Model):
    """How boxes become tracks.

    Attributes:
        new_track_confidence: a track must reach it once, or it is a ghost.
        lost_after: seconds; a track unseen for so long is over.
        min_duration: seconds; shorter tracks are dropped as ghosts.
        min_sightings: tracks with fewer sightings are dropped.
    """

    new_track_confidence: Share = 0.5
    lost_after: Annotated[Number, Field(gt=0)] = 3.0
    min_duration: Seconds = 0.5
    min_sightings: Annotated[Whole, Field(ge=1)] = 3


class Calibration(Model):
    """The gender model's log-odds made to fit a site: `slope * log_odds + offset` (Platt scaling; docs/gender.md)."""

    slope: Annotated[Number, Field(gt=0)] = 1.0
    offset: Number = 0.0


class GenderConfig(Model):
    """Apparent gender, off where no model is named.

    Attributes:
        model: a name `pc models list` shows, or null for off (everyone is unknown).
        min_height_px: smaller people are never judged.
        crops: the best few crops of a track vote.
        max_overlap: the share of a crop that another person's box may cover.
        min_gap: least seconds between two crops of one track, so that they differ.
        calibration: what is made of the model's log-odds before they are judged.
        unknown_below: the winning gender needs this probability, or the answer is unknown.
    """

    model: str | None = None
    min_height_px: Annotated[Whole, Field(ge=1)] = 100
    crops: Annotated[Whole, Field(ge=1, le=50)] = 5
    max_overlap: Share = 0.1
    min_gap: Seconds = 0.3
    calibration: Calibration = Calibration()
    unknown_below: Annotated[Number, Field(ge=0.5, le=1)] = 0.65


class CountingConfig(Model):
    """How tracks become counts.

    Attributes:
        band: body heights; within this of a line nobody has changed sides yet.
        link_gap: seconds between two files across which a person's tracks are joined.
        anchor: the point of a person that crosses: between the feet, or the box's centre.
    """

    band: Annotated[Number, Field(ge=0, le=1)] = 0.05
    link_gap: Annotated[Number, Field(ge=0, le=60)] = 2.0
    anchor: Literal["foot", "center"] = "foot"


class QualityConfig(Model):
    """When something is said of a camera's video: it stands beside the counts and changes none.

    Attributes:
        gap: seconds without video, between two files or within one.
        blind: seconds in which the picture is black or covered.
        frozen: seconds in which one picture is repeated exactly.
        moved: the share of the picture's width by which the scene is shifted.
        frame_rate: the share by which frames come slower or faster than declared, or than is usual.
    """

    gap: Annotated[Number, Field(gt=0)] = 5.0
    blind: Annotated[Number, Field(gt=0)] = 3.0
    frozen: Annotated[Number, Field(gt=0)] = 30.0
    moved: Annotated[Number, Field(ge=0.03, le=1)] = 0.03
    frame_rate: Annotated[Number, Field(gt=0)] = 0.2


class LineConfig(Model):
    """A counting line; `in` is the side one moves towards in the picture when one comes in."""

    start: Point = Field(alias="from")
    end: Point = Field(alias="to")
    in_side: Side = Field(alias="in")
    valid_from: ValidFrom = None

    @model_validator(mode="after")
    def _crossable(self) -> "LineConfig":
        (x1, y1), (x2, y2) = self.start, self.end
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        if length < 0.001:
            raise ValueError("the line has no length: 'from' and 'to' are the same point")
        towards = TOWARDS[self.in_side]
        # The sine of the angle between the line and the way in: 0.05 is 3 degrees.
        if abs((x2 - x1) * towards[1] - (y2 - y1) * towards[0]) < 0.05 * length:
            runs, sides = ("across", "up or down") if towards[0] else ("up and down", "right or left")
            raise ValueError(
                f"nobody can cross this line towards '{self.in_side}', since it runs {runs} the picture: "
                f"write 'in: {sides.split()[0]}' or 'in: {sides.split()[2]}'"
            )
        return self


class ZoneConfig(Model):
    """A polygon: points around it, in order."""

    points: Annotated[list[Point], AfterValidator(_polygon)]
    valid_from: ValidFrom = None

    @model_validator(mode="before")
    @classmethod
    def _points_alone(cls, value: Any) -> Any:
        return {"points": value} if isinstance(value, list) else value


class CameraConfig(Model):
    """A camera; its detector, tracker, gender, counting, quality and alerts hold only what differs from the site's."""

    location: Text | None = None
    zone: Text | None = None
    tags: list[Text] = []
    active: bool = True
    lines: Annotated[dict[Name, LineConfig], BeforeValidator(none_is_empty)] = {}
    zones: Annotated[dict[Name, ZoneConfig], BeforeValidator(none_is_empty)] = {}
    detector: DetectorConfig = DetectorConfig()
    tracker: TrackerConfig = TrackerConfig()
    gender: GenderConfig = GenderConfig()
    counting: CountingConfig = CountingConfig()
    quality: QualityConfig = QualityConfig()
    alerts: CameraAlerts = CameraAlerts()

    @field_serializer("detector", "tracker", "gender", "counting", "quality", "alerts")
    def _only_what_differs(self, part: Model) -> dict[str, Any]:
        return part.model_dump(mode="json", exclude_unset=True)


class EffectiveCamera(Model):
    """What a camera's videos are processed with: the site's settings with the camera's own over them."""

    detector: DetectorConfig
    tracker: TrackerConfig
    gender: GenderConfig
    counting: CountingConfig
    quality: QualityConfig = QualityConfig()


class SiteConfig(Model):
    """One deployment: its time zone, its cameras, and how videos are named and processed."""

    timezone: Annotated[str, AfterValidator(_zone_name)]
    history_from: date = date(2009, 1, 1)
    name_patterns: list[Annotated[str, AfterValidator(check_pattern)]] = list(SHIPPED)
    detector: DetectorConfig = DetectorConfig()
    tracker: TrackerConfig = TrackerConfig()
    gender: GenderConfig = GenderConfig()
    counting: CountingConfig = CountingConfig()
    quality: QualityConfig = QualityConfig()
    alerts: AlertsConfig = AlertsConfig()
    backups: BackupsConfig = BackupsConfig()
    retention: RetentionConfig = RetentionConfig()
    cameras: Annotated[dict[CameraName, CameraConfig], BeforeValidator(none_is_empty)] = {}

    @property
    def zone_info(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.timezone)

    def effective(self, camera_name: str) -> EffectiveCamera:
        """The settings of a camera; those of the site for one the file does not name."""
        camera = self.cameras.get(camera_name, CameraConfig())
        merged = {
            part: getattr(self, part).model_dump() | getattr(camera, part).model_dump(exclude_unset=True)
            for part in EffectiveCamera.model_fields
        }
        return EffectiveCamera.model_validate(merged)


@dataclass(frozen=True)
class ZoneRow:
    """A line or zone as the table `zones` holds it.

    Attributes:
        valid_from: aware, UTC; None for all time.
        points: x, y, x, y … in 0..1.
        in_side: of a line.
    """

    camera: str
    kind: Literal["line", "zone"]
    name: str
    valid_from: datetime | None
    points: tuple[float, ...]
    in_side: str | None


def zone_rows(site: SiteConfig) -> list[ZoneRow]:
    """Every line and zone of the site, cameras and names in order.

    Raises:
        NonexistentTime: a local `valid_from` that the clocks jumped over (never for a site that `load_site` gave).
    """
    zone = site.zone_info
    rows = []
    for camera_name, camera in sorted(site.cameras.items()):
        for name, line in sorted(camera.lines.items()):
            since = valid_from_utc(line.valid_from, zone)
            rows.append(ZoneRow(camera_name, "line", name, since, (*line.start, *line.end), line.in_side))
        for name, polygon in sorted(camera.zones.items()):
            since = valid_from_utc(polygon.valid_from, zone)
            flat = tuple(number for point in polygon.points for number in point)
            rows.append(ZoneRow(camera_name, "zone", name, since, flat, None))
    return rows


def valid_from_utc(valid_from: datetime | date | None, zone: ZoneInfo) -> datetime | None:
    """The instant from which geometry holds: a date is the start of that day in the site's zone, a time without an
    offset is the site's local time (the first of the two where the clocks show it twice).

    Raises:
        NonexistentTime: a local time that the clocks jumped over.
    """
    if valid_from is None:
        return None
    if isinstance(valid_from, datetime):
        return to_utc(valid_from, zone)[0] if valid_from.tzinfo is None else valid_from.astimezone(UTC)
    midnight = datetime.combine(valid_from, time())
    try:
        return to_utc(midnight, zone)[0]
    except NonexistentTime:
        # The day starts where the clocks jumped to: the offset from before the jump points at that instant.
        return midnight.replace(tzinfo=zone, fold=0).astimezone(UTC)


# --------------------------------------------------------------------------------------------------------- reading


def load_site(path: Path) -> SiteConfig:
    """Read a site file.

    Raises:
        SiteFileError: anything wrong in it; the message has a line for each problem.
        ConfigError: it cannot be read at all.
    """
    tree, lines, problems = read_yaml(path)
    try:
        site = SiteConfig.model_validate(tree)
    except ValidationError as error:
        for found in error.errors():
            place = found["loc"]
            problems.append(Problem(str(path), line_of(place, lines), sentence(found, SiteConfig)))
        raise SiteFileError(problems) from None
    problems += [Problem(str(path), line_of(place, lines), text) for place, text in _beyond_models(site)]
    if problems:
        raise SiteFileError(problems)
    return site


def _beyond_models(site: SiteConfig) -> Iterator[tuple[Place, str]]:
    """What only the site as a whole shows to be wrong."""
    for camera_name, camera in site.cameras.items():
        for part, geometry in (("lines", camera.lines), ("zones", camera.zones)):
            for name, drawn in geometry.items():
                try:
                    valid_from_utc(drawn.valid_from, site.zone_info)
                except NonexistentTime as error:
                    yield ("cameras", camera_name, part, name, "valid_from"), f"valid_from {error}, so write another"
        for name in camera.alerts.zones:
            if name not in camera.zones:
                known = ", ".join(camera.zones) or "none"
                yield ("cameras", camera_name, "alerts", "zones", name), f"there is no zone '{name}' (zones: {known})"
        try:
            site.effective(camera_name)
        except ValidationError as error:
            for found in error.errors():
                yield ("cameras", camera_name, *found["loc"]), sentence(found, SiteConfig)
