"""`pc archive`: what is past its time goes to Parquet, and SQL over what went."""

import csv
import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pc_pipeline.errors import UserError
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.housekeeping.archive import Gone, Place, Report
    from pc_pipeline.housekeeping.erasure import Everywhere

AS_JSON = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


@click.group(
    epilog="""Examples:

\b
  pc archive run --dry-run
  pc archive list
  pc archive query "SELECT date_trunc('day', ts) AS day, count(*) FROM detections GROUP BY 1 ORDER BY 1"
"""
)
def archive() -> None:
    """Bring what is past its time to the archive (Parquet), and read it there.

    How long what is kept stands in the site file under `retention:` (docs/retention.md). The archive is the folder
    PC_ARCHIVE_DIR, or `archive` in PC_HOME.
    """


@contextmanager
def everywhere() -> Iterator["Everywhere"]:
    """All places that keep rows, with the services running."""
    from pc_pipeline.defs.partitions import site
    from pc_pipeline.embedded.services import services
    from pc_pipeline.housekeeping.archive import Place
    from pc_pipeline.housekeeping.erasure import Everywhere
    from pc_pipeline.store.cache import Cache
    from pc_pipeline.store.migrate import require_current

    settings = Settings()
    with services(settings) as endpoints:
        require_current(endpoints.postgres_dsn)
        place = Place(endpoints.postgres_dsn, settings.archive_dir, settings.raw_detections_dir, site().timezone)
        cache = Cache(endpoints.redis_url) if endpoints.redis_url else None
        yield Everywhere(place, cache, settings.home / "dagster")


@archive.command(epilog="Examples:\n\n\b\n  pc archive run --dry-run\n  pc archive run --json")
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@AS_JSON
def run(dry_run: bool, as_json: bool) -> None:
    """Export what is past its time, compare the files with the tables, and delete it there.

    Whole months go. It may be killed at any moment: every row is in its table or in the archive, and the next run
    finishes what was begun. Erasures that were left unfinished are finished first; the exit code is 1 where one still
    is not.
    """
    from pc_pipeline.housekeeping import archive as housekeeping
    from pc_pipeline.housekeeping.erasure import Finished, finish_all

    now, erasures = dt.datetime.now(dt.UTC), Finished(0, [])
    with everywhere() as places:
        if not dry_run:
            erasures = finish_all(places, now, _to_stderr)
        report = housekeeping.run(places.place, now, _to_stderr, dry_run=dry_run)
    _show_report(report, as_json, dry_run=dry_run)
    erasures.require_all()


def _show_report(report: "Report", as_json: bool, *, dry_run: bool) -> None:
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report), indent=2, default=str))
        return
    for gone in report.gone:
        click.echo(_line(gone))
    if not report.gone:
        click.echo("nothing is past its time")
    if report.raw_files:
        click.echo(f"raw detections: {report.raw_files:,} files {'would be ' if dry_run else ''}removed")
    if report.rewritten:
        done = "would be written" if dry_run else "written"
        click.echo(f"{report.rewritten:,} files of the archive {done} anew, without videos that were removed")


def _line(gone: "Gone") -> str:
    camera = f" {gone.camera}" if gone.camera else ""
    name = f"{gone.table} {gone.month:%Y-%m}{camera}"
    if gone.state == "waits":
        return f"{name:<40} waits: {gone.why}"
    size = f", {gone.bytes / 1e6:,.1f} MB" if gone.bytes else ""
    return f"{name:<40} {gone.state}: {gone.rows:,} rows{size}"


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


@archive.command("list", epilog="Examples:\n\n\b\n  pc archive list\n  pc archive list --table detections --json")
@click.option("--table", help="Only files of this table.")
@AS_JSON
def list_files(table: str | None, as_json: bool) -> None:
    """List the archive's files; the exit code is 1 where one is missing."""
    from pc_pipeline.store.archive import files
    from pc_pipeline.store.postgres import in_transaction

    with everywhere() as places:
        found = [file for file in in_transaction(places.place.dsn, files)[0] if table in (None, file.table)]
        missing = [file.path for file in found if not (places.place.archive_dir / file.path).exists()]
        strays = sorted(_on_disk(places.place) - {file.path for file in in_transaction(places.place.dsn, files)[0]})
    if as_json:
        rows = [
            {**dataclasses.asdict(file), "videos": len(file.videos), "missing": file.path in missing} for file in found
        ]
        click.echo(json.dumps({"files": rows, "not_named": strays}, indent=2, default=str))
    else:
        for file in found:
            note = "  MISSING" if file.path in missing else ""
            size = f"{file.rows:>14,} rows {file.bytes / 1e6:>10,.1f} MB"
            click.echo(f"{file.table:<18} {file.month:%Y-%m} {size}  {file.path}{note}")
        click.echo(f"{len(found)} files, {sum(file.rows for file in found):,} rows")
        for path in strays:
            click.echo(f"not named by this database (it may be older than the file): {path}", err=True)
    if missing:
        raise UserError(
            f"{len(missing)} files of the archive are missing: bring them back from a backup of that folder."
        )


def _on_disk(place: "Place") -> set[str]:
    return {str(path.relative_to(place.archive_dir)) for path in place.archive_dir.rglob("*.parquet")}


@archive.command(
    epilog="""Examples:

\b
  pc archive query "SELECT count(*) FROM detections"
  pc archive query "SELECT video_id, max(confidence) FROM detections GROUP BY 1" --csv > best.csv
  pc archive query "DESCRIBE tracks"
"""
)
@click.argument("sql")
@AS_JSON
@click.option("--csv", "as_csv", is_flag=True, help="The rows as CSV.")
def query(sql: str, as_json: bool, as_csv: bool) -> None:
    """Answer one SELECT over the archive (DuckDB's SQL; times in UTC).

    Tables are named as in Postgres. It reads the archive's files, and can read or write nothing else.
    """
    from pc_pipeline.store import archive_query
    from pc_pipeline.store.archive import files
    from pc_pipeline.store.postgres import in_transaction

    with everywhere() as places:
        found, _ = in_transaction(places.place.dsn, files)
        folder = places.place.archive_dir
    for table, month in archive_query.newest(found).items():
        if table in sql.lower():
            click.echo(f"{table}: the archive goes up to {month:%Y-%m}; later rows are in Postgres", err=True)
    with archive_query.query(folder, found, sql) as answer:
        if as_csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(answer.columns)
            for piece in answer.pieces:
                writer.writerows(piece)
        elif as_json:
            _echo_json(answer)
        else:
            click.echo("\t".join(answer.columns))
            for piece in answer.pieces:
                for row in piece:
                    click.echo("\t".join("" if value is None else str(value) for value in row))


def _echo_json(answer: Any) -> None:
    """A list of rows, written as they come."""
    first = True
    for piece in answer.pieces:
        for row in piece:
            text = json.dumps(dict(zip(answer.columns, row, strict=True)), default=str)
            click.echo(("[\n" if first else ",\n") + text, nl=False)
            first = False
    click.echo("[]" if first else "\n]")


@archive.command(
    epilog="""Examples:

\b
  pc archive recount --camera door --from 2026-01-10 --to 2026-01-12
"""
)
@click.option("--camera", required=True, help="The camera.")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The first local day.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="The last local day; without it, the first.")
@AS_JSON
def recount(camera: str, first: dt.datetime, last: dt.datetime | None, as_json: bool) -> None:
    """Let days be counted again whose boxes or tracks are past their time.

    Only videos whose files are still there can be. `pc up` then counts them by itself; the archive's next run takes
    them out again, in place of the rows it had.
    """
    from pc_pipeline.store.archive import count_again
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import cameras

    until = (last or first).date()
    with everywhere() as places:
        if camera not in in_transaction(places.place.dsn, cameras)[0]:
            raise UserError(f"There is no camera '{camera}'.")
        again, gone = in_transaction(places.place.dsn, lambda c: count_again(c, camera, first.date(), until))[0]
    if as_json:
        click.echo(json.dumps({"videos": again, "files_gone": gone}))
        return
    click.echo(
        f"{again} videos will be counted again" + (": `pc up` does it, or materialize their days" if again else "")
    )
    if gone:
        click.echo(f"{gone} videos stay as they are: their files are gone", err=True)
