"""`pc annotate`: a video with what was seen drawn over, its people hidden where others will see it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.stages.annotating import Told

FILE = click.Path(path_type=Path)


@click.command(
    epilog="""Examples:

\b
  pc annotate clip.avi --out seen.mp4
  pc annotate clip.avi --out seen.mp4 --config site.yaml --camera campus
  pc annotate clip.avi --out seen.mp4 --model hog --to 20 --no-blur
  pc annotate --video-id 3521874478234 --out seen.mp4 --from 60 --to 90
"""
)
@click.argument("video", required=False, type=FILE)
@click.option("--out", required=True, type=FILE, help="The MP4 file to write.")
@click.option("--video-id", type=int, help="A counted video by its number (`pc tracks`), instead of VIDEO.")
@click.option("--config", "config_file", type=FILE, help="Detect anew, with this site file.")
@click.option("--camera", help="Detect anew, with the settings, lines and zones of this camera of the site file.")
@click.option("--model", help="Detect anew, with this detector.")
@click.option("--blur/--no-blur", default=None, help="Hide every person.  [default: unless --out is in PC_HOME]")
@click.option("--from", "from_s", type=click.FloatRange(0), default=0.0, help="Begin here: seconds into the video.")
@click.option("--to", "to_s", type=click.FloatRange(0), help="End here: seconds into the video.")
@click.option("--force", is_flag=True, help="Replace FILE where it is there.")
def annotate(
    video: Path | None,
    out: Path,
    video_id: int | None,
    config_file: Path | None,
    camera: str | None,
    model: str | None,
    blur: bool | None,
    from_s: float,
    to_s: float | None,
    force: bool,
) -> None:
    """Draw boxes, tails, lines with their running counts, and zones over VIDEO.

    A video that was counted (told by its content) is drawn as it was counted. Another one is detected, tracked and
    counted now, without lines unless --camera says where they are; that needs no database.

    Every person is hidden where the file written lies outside PC_HOME, as when it is for others.
    """
    settings = Settings()
    if (video is None) == (video_id is None):
        raise ConfigError("Give either a VIDEO or its --video-id.")
    if video_id is not None and (config_file or camera or model):
        raise ConfigError("--video-id draws a video as it was counted: leave out --config, --camera and --model.")
    if to_s is not None and to_s <= from_s:
        raise ConfigError(f"--to {to_s:g} is not after --from {from_s:g}.")
    _check_out(settings, video, out, force)
    told = _told(settings, video, video_id, config_file, camera, model)
    if video is None:
        _check_out(settings, told.path, out, force)
    _write(settings, told, out, blur, from_s, to_s)


def _check_out(settings: Settings, video: Path | None, out: Path, force: bool) -> None:
    """Refuse an output that would do harm.

    Raises:
        ConfigError: in one sentence.
    """
    if out.suffix.lower() != ".mp4":
        raise ConfigError(f"--out {out}: the file written is an MP4: give it a name that ends in .mp4.")
    if video is not None and video.exists() and out.exists() and out.samefile(video):
        raise ConfigError(f"--out {out} is the video itself: give another name.")
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigError(f"--out {out}: {'this is a folder' if out.is_dir() else f'there is no folder {out.parent}'}.")
    if not os.access(out.parent, os.W_OK):
        raise ConfigError(f"--out {out}: you may not write into {out.parent.absolute()}: write it elsewhere.")
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already: give another name, or --force to replace it.")
    if _inside(out, settings.watch_dir):
        raise ConfigError(
            f"--out {out} lies in the watched folder, where it would be taken for a recording: write it elsewhere."
        )


def _inside(path: Path, folder: Path) -> bool:
    """Whether a file's true place, links followed, is below a folder's."""
    return path.resolve().is_relative_to(folder.resolve())


def _told(
    settings: Settings,
    video: Path | None,
    video_id: int | None,
    config_file: Path | None,
    camera: str | None,
    model: str | None,
) -> "Told":
    """The video's story: the stored one unless an option asks for another, else made now."""
    from pc_pipeline.stages import annotating

    if video_id is not None:
        from pc_pipeline.embedded.services import services
        from pc_pipeline.store.migrate import require_current

        with services(settings) as endpoints:
            require_current(endpoints.postgres_dsn)
            return annotating.stored_as(endpoints.postgres_dsn, video_id)
    assert video is not None
    video = video.expanduser().absolute()
    if not video.is_file():
        raise UserError(f"{video}: there is no such file: check the path.")
    if not (config_file or camera or model) and _has_database(settings):
        from pc_pipeline.embedded.services import services
        from pc_pipeline.store.migrate import require_current

        with services(settings) as endpoints:
            require_current(endpoints.postgres_dsn)
            told = annotating.stored(endpoints.postgres_dsn, video)
        if told:
            click.echo(f"{video.name} was counted: it is drawn from what is stored.", err=True)
            return told
        click.echo(f"{video.name} is not counted here: people are looked for now.", err=True)
    return _made_now(settings, video, config_file, camera, model)


def _has_database(settings: Settings) -> bool:
    """Whether there is a database that may know the video; one is not made for this."""
    return settings.postgres_dsn is not None or (settings.home / "services" / "postgres" / "PG_VERSION").exists()


def _made_now(
    settings: Settings, video: Path, config_file: Path | None, camera: str | None, model: str | None
) -> "Told":
    import numpy as np

    from pc_pipeline.cli.config import chosen_camera, configured_lines
    from pc_pipeline.cli.process import bars
    from pc_pipeline.ingest.site import CameraConfig, SiteConfig, load_site
    from pc_pipeline.stages import annotating

    file = config_file or (settings.site_file if settings.site_file.exists() else None)
    site = load_site(file) if file else SiteConfig(timezone="UTC")
    if camera and not file:
        raise ConfigError("--camera names a camera of a site file: give that with --config.")
    # Of the site file in force, no camera is meant unless it is named: whose video this is, nobody said.
    if file and (config_file or camera):
        camera = chosen_camera(site, file, camera)
    config = site.effective(camera or "")
    if model:
        config = config.model_copy(update={"detector": config.detector.model_copy(update={"model": model})})
    drawn = site.cameras[camera] if camera else CameraConfig()
    with bars(False) as (show, _):
        return annotating.looked_at(
            video,
            config,
            configured_lines(drawn),
            {name: np.array(zone.points, np.float64) for name, zone in drawn.zones.items()},
            settings.models_dir,
            settings.raw_detections_dir,
            lambda progress: show(str(video), progress),
        )


def _write(settings: Settings, told: "Told", out: Path, blur: bool | None, from_s: float, to_s: float | None) -> None:
    from pc_pipeline.cli.process import bars
    from pc_pipeline.ingest.site import load_site
    from pc_pipeline.stages.annotating import draw

    hides = blur if blur is not None else not _inside(out, settings.home)
    zone = load_site(settings.site_file).zone_info if settings.site_file.exists() else None
    with bars(False) as (show, _):
        drawn = draw(
            told, out, blur=hides, zone=zone, from_s=from_s, to_s=to_s,
            progress=lambda progress: show(str(out), progress),
        )  # fmt: skip
    for warning in told.warnings:
        click.echo(f"warning: {told.path}: {warning}", err=True)
    if blur is not None:
        why = "hidden, as --blur says" if hides else "shown, as --no-blur says"
    elif hides:
        why = f"hidden, since this lies outside PC_HOME ({settings.home}) and may be for others; --no-blur shows them"
    else:
        why = "shown, since this lies in PC_HOME; --blur hides them"
    plays = "" if drawn.plays_in_browsers else ", which browsers do not play"
    click.echo(f"{out}: {drawn.frames} frames, {drawn.codec}{plays}. People are {why}.")
