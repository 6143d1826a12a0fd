"""From a file's name to its camera and start, by patterns such as `{camera}_{YYYYMMDD}_{HHMMSS}.mp4`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from pc_pipeline.errors import NameNotUnderstood

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".mpg", ".mpeg", ".m4v", ".ts")

CAMERA_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

SHIPPED = (
    "{camera}/{YYYY-MM-DD}/{HH-MM-SS}.mp4",
    "{camera}_{YYYYMMDD}_{HHMMSS}.mp4",
    "{camera}_{YYYYMMDD}_{HHMMSS}Z.mp4",
    "{camera}_{iso}.mp4",
    "{camera}/{iso}.mp4",
    "{camera}/{YYYYMMDD}_{HHMMSS}.mp4",
    "{camera}/{YYYYMMDD}/{HHMMSS}.mp4",
    "{camera}_{YYYY-MM-DD}_{HH-MM-SS}.mp4",
    "{camera}-{YYYYMMDD}-{HHMMSS}.mp4",
    "{camera}_{YYYYMMDD}{HHMMSS}.mp4",
)

_YEAR = r"(?P<year>(?:19[7-9]|20\d)\d)"
_DATES = {
    "YYYY-MM-DD": _YEAR + r"-(?P<month>\d\d)-(?P<day>\d\d)",
    "YYYYMMDD": _YEAR + r"(?P<month>\d\d)(?P<day>\d\d)",
}
_TIMES = {
    "HH-MM-SS": r"(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)",
    "HHMMSS": r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)",
}
# Colons are not allowed in names on some file systems, so `-`, `.` and nothing stand for them too.
_ISO = (
    _YEAR + r"-?(?P<month>\d\d)-?(?P<day>\d\d)T(?P<hour>\d\d)[:.-]?(?P<minute>\d\d)[:.-]?(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d{1,6}))?(?P<offset>Z|[+-]\d\d(?:[:.-]?\d\d)?)?"
)
_TOKENS = {"camera": f"(?P<camera>{CAMERA_NAME})", "iso": _ISO, **_DATES, **_TIMES}


class NonexistentTime(ValueError):
    """A local time that the clocks jumped over in spring."""


@dataclass(frozen=True)
class ParsedName:
    """What a file's name says.

    Attributes:
        camera: the camera's name.
        start: when the video starts, UTC.
        ambiguous: the name's local time happened twice that night; `start` is the first of the two.
    """

    camera: str
    start: datetime
    ambiguous: bool


def to_utc(local: datetime, zone: ZoneInfo) -> tuple[datetime, bool]:
    """The instant of a local time, and whether the clocks showed that time twice (then the first is taken).

    Args:
        local: naive local time.

    Raises:
        NonexistentTime: the clocks jumped over it.
    """
    first = local.replace(tzinfo=zone, fold=0)
    instant = first.astimezone(UTC)
    if first.utcoffset() == first.replace(fold=1).utcoffset():
        return instant, False
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        raise NonexistentTime(f"{local:%Y-%m-%d %H:%M:%S} did not exist in {zone.key}: the clocks jumped over it")
    return instant, True


def check_pattern(pattern: str) -> str:
    """The pattern itself, where it can tell a camera and a start.

    Raises:
        ValueError: one sentence on what is wrong with it.
    """
    tokens = re.findall(r"\{([^{}]*)\}", pattern)
    unknown = [token for token in tokens if token not in _TOKENS]
    if unknown:
        known = ", ".join(f"{{{token}}}" for token in _TOKENS)
        raise ValueError(f"the pattern '{pattern}' has an unknown part {{{unknown[0]}}}: the parts are {known}")
    kinds = sorted("date" if token in _DATES else "time" if token in _TIMES else token for token in tokens)
    if kinds not in (["camera", "date", "time"], ["camera", "iso"]):
        raise ValueError(
            f"the pattern '{pattern}' must have {{camera}} once, and either {{iso}} or one date and one time, "
            "such as '{camera}_{YYYYMMDD}_{HHMMSS}.mp4'"
        )
    return pattern


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[re.Pattern[str], bool]:
    """The pattern as an expression over the end of a path, and whether its times are UTC."""
    check_pattern(pattern)
    stem = pattern.removesuffix(PurePosixPath(pattern).suffix) if pattern.endswith(VIDEO_SUFFIXES) else pattern
    parts = re.split(r"\{([^{}]*)\}", stem)
    expression = "".join(_TOKENS[part] if i % 2 else re.escape(part) for i, part in enumerate(parts))
    suffixes = "|".join(re.escape(suffix) for suffix in VIDEO_SUFFIXES)
    in_utc = any(parts[i] in _TIMES and parts[i + 1].startswith("Z") for i in range(1, len(parts), 2))
    # ASCII: `int` would read the digits of other scripts too, and what searches a folder for a day's files would not.
    return re.compile(rf"(?:.*/)?{expression}(?i:{suffixes})", re.ASCII), in_utc


def name_for(pattern: str, camera: str, start: datetime, zone: ZoneInfo) -> str:
    """The relative path that `pattern` gives a video: what `parse_name` reads back.

    Args:
        start: aware; written to the second, in `zone`, or in UTC where the pattern has a Z or {iso}.
    """
    in_utc = _compiled(pattern)[1] or "{iso}" in pattern
    local = start.astimezone(UTC if in_utc else zone)
    values = {
        "camera": camera,
        "iso": f"{local:%Y%m%dT%H%M%SZ}",
        "YYYY-MM-DD": f"{local:%Y-%m-%d}",
        "YYYYMMDD": f"{local:%Y%m%d}",
        "HH-MM-SS": f"{local:%H-%M-%S}",
        "HHMMSS": f"{local:%H%M%S}",
    }
    name = re.sub(r"\{([^{}]*)\}", lambda token: values[token[1]], pattern)
    return name if name.endswith(VIDEO_SUFFIXES) else name + VIDEO_SUFFIXES[0]


def parse_name(relative_path: str, patterns: list[str] | tuple[str, ...], zone: ZoneInfo) -> ParsedName:
    """The camera and start a file's name tells; the first pattern that fits wins.

    A pattern is compared with the end of the path, at a folder's boundary, and its extension stands for every one of
    VIDEO_SUFFIXES. A time is local to `zone`, unless the pattern has a `Z` after it or the ISO time carries an offset.

    Args:
        relative_path: below the watched folder, with `/` between its parts.

    Raises:
        NameNotUnderstood: no pattern fits, or the time in the name does not exist; the sentence says what to do.
    """
    wrong_time = ""
    for pattern in patterns:
        expression, in_utc = _compiled(pattern)
        match = expression.fullmatch(relative_path)
        if match is None:
            continue
        try:
            start, ambiguous = _start(match, in_utc, zone)
        except ValueError as error:
            wrong_time = wrong_time or str(error)
            continue
        return ParsedName(match["camera"], start, ambiguous)
    if wrong_time:
        raise NameNotUnderstood(
            f"'{one_line(relative_path)}' names a start that cannot be: {wrong_time}. "
            "Rename the file, or give its camera and start to `pc process`"
        )
    raise NameNotUnderstood(_advice(relative_path, patterns))


def _start(match: re.Match[str], in_utc: bool, zone: ZoneInfo) -> tuple[datetime, bool]:
    """The instant a matched name tells, and whether it is the first of two.

    Raises:
        ValueError: no such date or time.
    """
    found = match.groupdict()
    year, month, day, hour, minute, second = map(int, match.group("year", "month", "day", "hour", "minute", "second"))
    microsecond = int((found.get("fraction") or "0").ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond)
    except ValueError:
        raise ValueError(f"there is no {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}") from None
    offset = found.get("offset")
    if in_utc or offset:
        return local.replace(tzinfo=_offset(offset or "Z")).astimezone(UTC), False
    return to_utc(local, zone)


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = re.sub(r"\D", "", text).ljust(4, "0")
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def _advice(relative_path: str, patterns: list[str] | tuple[str, ...]) -> str:
    shown = one_line(relative_path)
    if not relative_path.lower().endswith(VIDEO_SUFFIXES):
        return f"'{shown}' is not a video by its name: the endings read are {', '.join(VIDEO_SUFFIXES)}"
    advice = "rename the file, add a pattern under name_patterns, or give its camera and start to `pc process`"
    if not patterns:
        return f"'{shown}' cannot tell its camera and start, since name_patterns is empty: {advice}"

    def example(pattern: str) -> str:
        return name_for(pattern, "door", datetime(2026, 3, 1, 9, 30, tzinfo=UTC), ZoneInfo("UTC"))

    shape = _shape(relative_path)
    nearest = max(patterns, key=lambda pattern: SequenceMatcher(None, shape, _shape(example(pattern))).ratio())
    return (
        f"'{shown}' does not tell its camera and start: the nearest pattern is '{nearest}', "
        f"for example '{example(nearest)}'; {advice}"
    )


def one_line(text: str) -> str:
    """`text` without what a name could do to a terminal, a log or a reader.

    Line breaks, control characters, and those that are not seen or turn the text around stand escaped.
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _shape(path: str) -> str:
    """A path with its words and digits made alike, so that the likeness of two is that of their forms."""
    return re.sub(r"\d", "0", re.sub(r"[A-Za-z]+", "a", path.rpartition(".")[0]))
