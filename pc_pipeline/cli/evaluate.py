"""`pc evaluate`: how good the counts are on a video with ground truth, through the pipeline's own code."""

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pc_pipeline.counting.geometry import Line
    from pc_pipeline.evaluation.evaluate import Evaluation
    from pc_pipeline.evaluation.mot import MotRows
    from pc_pipeline.ingest.site import EffectiveCamera
    from pc_pipeline.vision.arrays import Detections
    from pc_pipeline.vision.detect import DecodeReport

FILE = click.Path(path_type=Path)
# Annotators follow people a little beyond the picture's edge: a few boxes in a hundred.
MOST_OUTSIDE = 0.2


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.")
    return value


@click.command(
    epilog="""Examples:

\b
  pc evaluate clip.avi --truth gt.txt
  pc evaluate clip.avi --truth gt.txt --truth-scale 0.625 --sample-every 0.2 --json
  pc evaluate clip.avi --truth gt.txt --config site.yaml --camera campus --report report/
"""
)
@click.argument("video", type=FILE)
@click.option("--truth", "truth_file", required=True, type=FILE, help="Ground truth, MOTChallenge text.")
@click.option(
    "--truth-scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    callback=_finite,
    help="Multiplies the truth's coordinates, where it was drawn on pictures of another size.",
)
@click.option("--config", "config_file", type=FILE, help="A site file: its settings and lines.")
@click.option("--camera", help="Which camera of the site file; needed where it has several.")
@click.option("--model", help="The detector to use instead of the configured one.")
@click.option(
    "--sample-every",
    type=click.FloatRange(0),
    callback=_finite,
    help="Seconds between the frames looked at; 0 is every frame.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")
@click.option("--report", "report_dir", type=FILE, help="Write an HTML page here: plots, and pictures of the mistakes.")
def evaluate(
    video: Path,
    truth_file: Path,
    truth_scale: float,
    config_file: Path | None,
    camera: str | None,
    model: str | None,
    sample_every: float | None,
    as_json: bool,
    report_dir: Path | None,
) -> None:
    """Measure tracks and counts on VIDEO against ground truth.

    VIDEO is detected, tracked and counted by the code that `pc process` runs; nothing is stored but the detections,
    which `pc process` and the next evaluation use again. Without --config: default settings, and a line down and one
    across the middle of the picture.
    """
    config, lines = _configuration(config_file, camera, model, sample_every)
    done = evaluate_video(Settings(), video, truth_file, truth_scale, config, lines)
    if report_dir:
        _write_report(report_dir, video, done)
    if as_json:
        click.echo(json.dumps(done.as_json(), indent=2))
    else:
        _print(done)


def _configuration(
    config_file: Path | None, camera: str | None, model: str | None, sample_every: float | None
) -> "tuple[EffectiveCamera, dict[str, Line]]":
    """The camera's settings and lines, with what the options say over them."""
    from pc_pipeline.cli.config import chosen_camera, configured_lines
    from pc_pipeline.evaluation.lines import USUAL_LINES
    from pc_pipeline.ingest.site import CameraConfig, SiteConfig, load_site

    if camera and not config_file:
        raise ConfigError("--camera names a camera of a site file: give that with --config.")
    site = load_site(config_file) if config_file else SiteConfig(timezone="UTC")
    name = chosen_camera(site, config_file, camera) if config_file else None
    config = site.effective(name or "")
    changed = {key: value for key, value in (("model", model), ("sample_every", sample_every)) if value is not None}
    config = config.model_copy(update={"detector": config.detector.model_copy(update=changed)})
    return config, configured_lines(site.cameras[name] if name else CameraConfig()) or dict(USUAL_LINES)


def evaluate_video(
    settings: Settings,
    video: Path,
    truth_file: Path,
    truth_scale: float,
    config: "EffectiveCamera",
    lines: "Mapping[str, Line]",
) -> "Evaluation":
    """Detect (or read again), track and count a video, and measure that against its truth.

    Raises:
        UserError: the video, the truth or the model cannot be used.
    """
    from pc_pipeline.cli.process import bars
    from pc_pipeline.evaluation import references
    from pc_pipeline.evaluation.evaluate import Evaluation, Scene, measure
    from pc_pipeline.stages.detecting import detect_file
    from pc_pipeline.vision.decode import probe
    from pc_pipeline.vision.track import track

    facts = probe(video)
    frame_size = (facts.width, facts.height)
    rows = _read_truth(truth_file, truth_scale, frame_size)
    with bars(False) as (show, _):
        detections, decoded = detect_file(
            video,
            config.detector,
            settings.models_dir,
            settings.raw_detections_dir,
            frame_size,
            lambda progress: show(str(video), progress),
        )
    boxes_in_file = len(rows.person)
    rows = rows.before(decoded.frames_decoded)
    if not len(rows.person):
        raise UserError(f"{truth_file} has nobody in the {decoded.frames_decoded} frames of {video}: is it its truth?")
    truth = rows.tracks(_clock(detections, decoded))
    scene = Scene(
        truth=truth,
        frame_numbers=detections.frame_number,
        times_us=detections.pts_us,
        frame_size=frame_size,
        lines=lines,
        band=config.counting.band,
        anchor=config.counting.anchor,
    )
    tracks, _ = track(detections, config.tracker, frame_size)
    return Evaluation(
        scene=scene,
        ours=measure(scene, tracks),
        bytetrack=measure(scene, references.bytetrack(detections)),
        perfect=measure(scene, references.perfect(detections, truth)),
        facts={
            "video": str(video),
            "truth": str(truth_file),
            "model": config.detector.model,
            "sample_every": config.detector.sample_every,
            "fps": round(1e6 / decoded.median_step_us, 3),
            "frames": decoded.frames_decoded,
            "frames_sampled": decoded.frames_sampled,
            "width": facts.width,
            "height": facts.height,
            "detections": len(detections.boxes),
            "truth_boxes": len(rows.person),
            "warnings": decoded.warnings + _after_the_end(boxes_in_file - len(rows.person), decoded.frames_decoded),
        },
    )


def _after_the_end(boxes: int, frames: int) -> list[str]:
    return [f"the truth goes on after the last of {frames} frames: boxes left out: {boxes}"] if boxes else []


def _read_truth(path: Path, scale: float, frame_size: tuple[int, int]) -> "MotRows":
    import numpy as np

    from pc_pipeline.evaluation.mot import BadTruth, read_mot

    try:
        with path.open(encoding="utf-8-sig") as file:
            rows = read_mot(file, str(path), scale)
    except OSError as error:
        raise BadTruth(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadTruth(f"{path} is no text file: give the MOTChallenge ground truth (gt.txt).") from None
    centres = (rows.boxes[:, :2] + rows.boxes[:, 2:]) / 2
    outside = ((centres < 0) | (centres > np.array(frame_size))).any(axis=1)
    if outside.mean() > MOST_OUTSIDE:
        right, bottom = rows.boxes[:, 2:].max(axis=0)
        raise BadTruth(
            f"{path}: {outside.mean():.0%} of the boxes lie outside the picture, which is "
            f"{frame_size[0]}x{frame_size[1]}, and reach to {right:.0f}x{bottom:.0f}: give --truth-scale, the video's "
            "width over that of the pictures the truth was drawn on."
        )
    return rows


def _clock(detections: "Detections", decoded: "DecodeReport") -> "Callable[[NDArray[np.int32]], NDArray[np.int64]]":
    """The time of any frame: even between the sampled ones around it, and a usual step each after the last."""
    import numpy as np

    numbers, times = detections.frame_number.astype(np.int64), detections.pts_us

    def clock(frames: "NDArray[np.int32]") -> "NDArray[np.int64]":
        beyond = np.maximum(frames.astype(np.int64) - numbers[-1], 0) * decoded.median_step_us
        return np.rint(np.interp(frames, numbers, times)).astype(np.int64) + beyond

    return clock


def _write_report(folder: Path, video: Path, done: "Evaluation") -> None:
    from functools import partial

    from pc_pipeline.evaluation.report import page
    from pc_pipeline.vision.decode import read_frames_at

    text = page(done, partial(read_frames_at, video))
    target = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}): give --report another folder.") from None
    click.echo(f"report: {target} (pictures of people: keep it where they may be seen)", err=True)


def _print(done: "Evaluation") -> None:
    """The figures as a person reads them."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    facts, columns = done.facts, {"ours": done.ours, "ByteTrack": done.bytetrack, "perfect": done.perfect}
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)

    def table(title: str, first: str) -> Table:
        made = Table(
            title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False
        )
        made.add_column(first, no_wrap=True)
        return made

    scores = table(
        f"{Path(facts['video']).name}: {facts['frames_sampled']} of {facts['frames']} frames, {facts['model']}", ""
    )
    for name in columns:
        scores.add_column(name, justify="right")
    for key in ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "precision", "recall"):
        scores.add_row(key, *(f"{measured.scores[key]:.3f}" for measured in columns.values()))
    scores.add_row("id switches", *(str(measured.scores["IDSW"]) for measured in columns.values()))
    true_people = done.ours.scores["unique_true"]
    scores.add_row(f"people ({true_people} true)", *(str(m.scores["unique_found"]) for m in columns.values()))
    scores.add_row("random lines, error", *(f"{m.random_lines.mae:.3f}" for m in columns.values()))
    scores.add_row(
        "  95 % interval", *("{:.2f} to {:.2f}".format(*m.random_lines.ci95) for m in columns.values()), style="dim"
    )
    console.print(scores)

    counted = table("Crossings", "line")
    for name in ("", "true", *columns):
        counted.add_column(name, justify="right" if name else "left")
    for line in done.ours.true:
        for direction in ("in", "out"):
            of_each = [measured.line_counts()[line][direction] for measured in columns.values()]
            counted.add_row(
                line if direction == "in" else "",
                direction,
                str(of_each[0]["true"]),
                *(f"{each['found']}{_off(each['found'] - each['true'])}" for each in of_each),
            )
    console.print(counted)
    console.print(
        "[dim]ByteTrack: the trackers package at its defaults, on the same boxes. perfect: the same boxes given to the"
        " true people, gaps filled.\nrandom lines: mean absolute error of in and out over"
        f" {len(done.ours.random_lines.lines)} lines across the picture.[/dim]"
    )
    for warning in facts["warnings"]:
        click.echo(f"warning: {facts['video']}: {warning}", err=True)


def _off(difference: int) -> str:
    """How far a count is off, in a column of three; nothing where it is right."""
    return f" {difference:+d}" if difference else "   "
