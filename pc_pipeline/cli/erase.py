"""`pc erase`: delete a camera's or a span's data on request."""

import dataclasses
import datetime as dt
import getpass
import json
from typing import TYPE_CHECKING, Any

import click

from pc_pipeline.cli.archive import everywhere
from pc_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pc_pipeline.housekeeping.erasure import Preview
    from pc_pipeline.store.erasure import Erasure


@click.command(
    epilog="""Examples:

\b
  pc erase --camera door --from 2026-03-01T09:00 --to 2026-03-01T10:30 --reason "ticket 4711" --dry-run
  pc erase --camera door --from 2026-03-01 --to 2026-03-02 --reason "ticket 4711" --videos --yes
  pc erase --from 2025-12-24 --to 2025-12-24 --reason "order of the works council"
  pc erase --finish
  pc erase --list
"""
)
@click.option("--camera", help="Only this camera; without it all of them.")
@click.option("--from", "first", help="From this local day, or this time; without it all time.")
@click.option("--to", "last", help="To the end of this local day, or until this time.")
@click.option("--reason", help="Why: a ticket number. Never a person's name: it is kept.")
@click.option("--by", "asked_by", default=getpass.getuser, show_default="you", help="Who asks for it; it is kept.")
@click.option("--videos", "video_files", is_flag=True, help="Delete the video files too; else they are left alone.")
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--finish", is_flag=True, help="Finish erasures that were interrupted, and ask for none.")
@click.option("--list", "list_all", is_flag=True, help="Show all erasures there were.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def erase(
    camera: str | None,
    first: str | None,
    last: str | None,
    reason: str | None,
    asked_by: str,
    video_files: bool,
    dry_run: bool,
    yes: bool,
    finish: bool,
    list_all: bool,
    as_json: bool,
) -> None:
    """Erase every video with a part in the span, and all that was made of it: rows, pictures, archive, cache, runs.

    Videos go whole. Hours and days are rolled up again from what is left. Video files stay unless --videos is given,
    and are never counted again. Backups and WAL keep what was erased until their own time is over.
    """
    from pc_pipeline.housekeeping import erasure
    from pc_pipeline.store import erasure as store
    from pc_pipeline.store.postgres import in_transaction

    now = dt.datetime.now(dt.UTC)
    with everywhere() as places:
        place = places.place
        if list_all:
            _show_all(in_transaction(place.dsn, store.erasures)[0], as_json)
            return
        if finish:
            finished = erasure.finish_all(places, now, _to_stderr)
            click.echo(f"{finished.done} erasures finished")
            finished.require_all()
            return
        wish = erasure.wished(place, camera, first, last, video_files=video_files)
        shown = erasure.preview(place, wish)
        if dry_run:
            _show_preview(shown, as_json)
            return
        if not reason:
            raise ConfigError("--reason is missing: write why, such as a ticket number; it is kept with the erasure")
        if not yes:
            click.echo(_summary(shown), err=True)
            click.confirm("Erase this for good?", abort=True, err=True)
        done = erasure.erase(places, wish, asked_by, reason, now, _to_stderr)
    _show(done, as_json)


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


def _summary(shown: "Preview") -> str:
    rows = sum(shown.rows.values())
    return f"{len(shown.videos)} videos, {rows:,} rows, {shown.archives} files of the archive to write anew"


def _show_preview(shown: "Preview", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(shown), indent=2, default=str))
        return
    for video in shown.videos:
        note = "" if video.ended_at else "  (not counted yet)"
        click.echo(f"{video.camera} {video.started_at:%Y-%m-%d %H:%M:%S} UTC  {video.path}{note}")
    for table, count in shown.rows.items():
        if count:
            click.echo(f"{table:<20} {count:>12,} rows")
    click.echo(f"would go: {_summary(shown)}")


def _facts(one: "Erasure") -> dict[str, Any]:
    wish = one.wish
    return {
        "erasure": one.erasure_id, "state": one.state, "asked_at": one.asked_at, "asked_by": one.asked_by,
        "reason": one.reason, "camera": wish.camera, "from": wish.start, "to": wish.end, "videos": wish.video_files,
        "finished_at": one.finished_at, "deleted": dict(one.deleted),
    }  # fmt: skip


def _show_all(erasures: "list[Erasure]", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_facts(one) for one in erasures], indent=2, default=str))
        return
    for one in erasures:
        of = one.wish.camera or "all cameras"
        span_text = (
            f"{one.wish.start:%Y-%m-%d %H:%M} to {one.wish.end:%Y-%m-%d %H:%M} UTC" if one.wish.start else "all time"
        )
        videos = one.deleted.get("videos", 0)
        what = f"{of}, {span_text}  {one.state}, {videos} videos"
        click.echo(f"{one.erasure_id}  {one.asked_at:%Y-%m-%d %H:%M}  {what}  {one.reason}")


def _show(done: "Erasure", as_json: bool) -> None:
    from pc_pipeline.defs.partitions import site

    keep = site().backups.keep_days
    if as_json:
        click.echo(json.dumps({**_facts(done), "backups_keep_it_days": keep}, indent=2, default=str))
        return
    for what, count in sorted(done.deleted.items()):
        click.echo(f"{what:<28} {count:>12,}")
    click.echo(f"erasure {done.erasure_id} is done. Backups and WAL keep what was erased for up to {keep} days more.")
