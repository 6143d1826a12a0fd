"""A video's tracks against its truth: metrics, lines and random lines, beside what they are read against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import Line
from pc_pipeline.evaluation.lines import Crossed, RandomLines, counts, crossings, random_line_error
from pc_pipeline.evaluation.metrics import judged, scores
from pc_pipeline.vision.arrays import Track


@dataclass(frozen=True)
class Scene:
    """What tracks are measured against.

    Attributes:
        truth: the people, at the truth's own frame rate.
        frame_numbers: int32[F], the sampled frames: only they are compared box by box.
        times_us: int64[F], when they were: µs from the video's start.
        frame_size: (width, height), pixels.
        lines: the configured lines by name.
        band: body heights. anchor: the point of a person that crosses.
    """

    truth: Sequence[Track]
    frame_numbers: NDArray[np.int32]
    times_us: NDArray[np.int64]
    frame_size: tuple[int, int]
    lines: Mapping[str, Line]
    band: float
    anchor: Literal["foot", "center"]

    def crossings(self, tracks: Sequence[Track]) -> dict[str, list[Crossed]]:
        """Of each line, every crossing by these people, in time order."""
        return {
            name: crossings(tracks, line, self.frame_size, self.band, self.anchor) for name, line in self.lines.items()
        }


@dataclass(frozen=True)
class Measured:
    """Some tracks, measured.

    Attributes:
        tracks: what was measured.
        scores: by the names `metrics.scores` gives.
        true, found: crossings of each line.
        random_lines: the error over the random lines.
    """

    tracks: Sequence[Track]
    scores: dict[str, float | int]
    true: dict[str, list[Crossed]]
    found: dict[str, list[Crossed]]
    random_lines: RandomLines

    def as_json(self) -> dict[str, Any]:
        """The scores, `lines` and `random_lines`."""
        return {**self.scores, "lines": self.line_counts(), "random_lines": self.random_lines.as_json()}

    def line_counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """{name: {in: {true, found}, out: {true, found}}}."""
        return {
            name: {
                direction: {"true": true, "found": found}
                for direction, true, found in zip(
                    ("in", "out"), _counts(self.true[name]), _counts(self.found[name]), strict=True
                )
            }
            for name in self.true
        }


def _counts(crossed: Sequence[Crossed]) -> tuple[int, int]:
    return counts([one.crossing for one in crossed])


def measure(scene: Scene, tracks: Sequence[Track]) -> Measured:
    """Measure tracks against the scene's truth."""
    return Measured(
        tracks=tracks,
        scores=scores(scene.truth, tracks, scene.frame_numbers),
        true=scene.crossings(judged(scene.truth)),
        found=scene.crossings(tracks),
        random_lines=random_line_error(judged(scene.truth), tracks, scene.frame_size),
    )


@dataclass(frozen=True)
class Evaluation:
    """A video measured: against `scene`, our tracks, ByteTrack's at its defaults, and the same boxes perfectly
    associated; `facts` says of what."""

    scene: Scene
    ours: Measured
    bytetrack: Measured
    perfect: Measured
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Our figures, `bytetrack` and `perfect` with the same keys, and the facts."""
        return {
            **self.ours.as_json(),
            "bytetrack": self.bytetrack.as_json(),
            "perfect": self.perfect.as_json(),
            **self.facts,
        }
