"""The job that erases a camera's or a span's data: on request, never by itself."""

import datetime as dt
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from pc_pipeline.defs import stage
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.housekeeping.erasure import Everywhere


class EraseConfig(dg.Config):
    """As the options of `pc erase`; a day or a time each, in the site's time zone."""

    camera: str | None = Field(default=None, description="Only this camera; without it all of them.")
    first: str | None = Field(default=None, description="From this local day, or this time; without it all time.")
    last: str | None = Field(default=None, description="To the end of this local day, or until this time.")
    reason: str = Field(description="Why: a ticket number. Never a person's name: it is kept.")
    asked_by: str = Field(description="Who asks for it; it is kept.")
    video_files: bool = Field(default=False, description="Delete the video files too; else they are left alone.")


def everywhere(pipeline: Pipeline) -> "Everywhere":
    """All places that keep rows."""
    from pc_pipeline.housekeeping.archive import Place
    from pc_pipeline.housekeeping.erasure import Everywhere
    from pc_pipeline.store.cache import Cache

    settings, redis_url = Settings(), pipeline.redis_url()
    place = Place(pipeline.dsn(), settings.archive_dir, settings.raw_detections_dir, site().timezone)
    return Everywhere(place, Cache(redis_url) if redis_url else None, settings.home / "dagster")


@dg.op(description="Delete every video with a part in the span, all that was made of it, and note it in `erasures`.")
def erase_on_request(context: dg.OpExecutionContext, config: EraseConfig, pipeline: Pipeline) -> None:
    """Where and in which order: docs/retention.md."""
    from pc_pipeline.housekeeping import erasure

    places = everywhere(pipeline)
    try:
        wish = erasure.wished(places.place, config.camera, config.first, config.last, video_files=config.video_files)
        now = dt.datetime.now(dt.UTC)
        done = erasure.erase(places, wish, config.asked_by, config.reason, now, context.log.info)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.add_output_metadata(
        {
            "erasure": done.erasure_id,
            "deleted": stage.table(("what", "number"), sorted(done.deleted.items())),
            "still in": f"backups and WAL, for up to {site().backups.keep_days} days more",
        }
    )


@dg.job(
    description="Erase a camera's or a span's videos and all that was made of them (right to be forgotten). It runs"
    " only when somebody starts it; the launchpad asks for camera, span, reason and who asks."
)
def erase() -> None:
    """The same as `pc erase`."""
    erase_on_request()
