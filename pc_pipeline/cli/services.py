"""`pc up`, `pc down`, `pc status`."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click

from pc_pipeline.embedded import ui
from pc_pipeline.embedded.process import Background
from pc_pipeline.embedded.programs import remove_copies
from pc_pipeline.embedded.services import embedded, endpoints
from pc_pipeline.settings import Settings

NOT_RUNNING = 3


@click.command(epilog="Examples:\n\n\b\n  pc up\n  pc up --port 8080\n  PC_WATCH_DIR=/srv/recordings pc up")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Where the UI answers; by default 3000, or the next free one."
)
def up(port: int | None) -> None:
    """Start Postgres, Redis, the Dagster UI and its daemon, and return when the UI answers.

    From then on, videos that appear in the watched folder are counted. `PC_POSTGRES_DSN` and `PC_REDIS_URL` name
    servers to use in place of the embedded ones.
    """
    settings = Settings()
    began = time.monotonic()
    running = Background(settings.home, "ui").state()
    if running is None:
        click.echo("starting Postgres, Redis and Dagster…")
        running = ui.start(settings, port)
        click.echo(f"up after {time.monotonic() - began:.1f} s")
    else:
        click.echo("already up")
    click.echo(f"  Dagster UI      {running['url']}")
    _show_services(settings)
    click.echo(f"  watched folder  {running['watch_dir']}")
    click.echo(f"  logs            {settings.home / 'logs'}")
    click.echo("stop it all with `pc down`")


@click.command(epilog="Examples:\n\n\b\n  pc down\n  pc down --purge")
@click.option("--purge", is_flag=True, help="Also remove what a crash may have left outside PC_HOME.")
def down(purge: bool) -> None:
    """Stop Dagster, and Postgres and Redis where they are the embedded ones. Data stays: it is in PC_HOME.

    As root, the server programs are copied to /var/lib/pc_pipeline while they run if an unprivileged user cannot reach
    the installed ones; `--purge` removes such copies even if a crash left them.
    """
    settings = Settings()
    click.echo("stopped" if ui.stop(settings) else "nothing was running")
    if purge and remove_copies(settings.home):
        click.echo("removed the copies of the server programs")


@click.command(epilog="Examples:\n\n\b\n  pc status\n  pc status --detailed\n  pc status --detailed --json")
@click.option("--detailed", is_flag=True, help="Also disks, database, queue, jobs, backups; what is wrong comes first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(detailed: bool, as_json: bool) -> None:
    """Say what runs, since when and where. Exits 0 when webserver, daemon and code server run, 3 when they do not."""
    settings = Settings()
    about = describe(settings)
    if detailed:
        _show_detailed(settings, about, as_json)
    elif as_json:
        click.echo(json.dumps(about))
    else:
        _show(about)
    sys.exit(0 if about["running"] else NOT_RUNNING)


def _show_detailed(settings: Settings, about: dict[str, Any], as_json: bool) -> None:
    from pc_pipeline.cli.health import page
    from pc_pipeline.housekeeping.health import look

    found = look(settings, about, datetime.now(UTC))
    click.echo(json.dumps(found, default=datetime.isoformat) if as_json else "\n".join(page(found)))


def describe(settings: Settings) -> dict[str, Any]:
    """What `pc status --json` prints: no passwords; times in ISO form, UTC; None for what does not run."""
    dagster = Background(settings.home, "ui").state() or _served(settings)
    keeper = Background(settings.home, "keeper").state() or {}
    own = embedded(settings)
    places = _places(settings)
    servers = {
        name: {"embedded": name in own, "place": places[name], **_since(keeper.get(name, {}))} if places[name] else None
        for name in ("postgres", "redis")
    }
    return {
        "running": dagster is not None,
        "webserver": {"url": dagster["url"], **_since(dagster["webserver"])} if dagster else None,
        "daemon": _since(dagster["daemon"]) if dagster else None,
        "code_server": _since(dagster["code_server"]) if dagster else None,
        **servers,
        "home": str(settings.home),
        "logs": str(settings.home / "logs"),
        "watch_dir": dagster["watch_dir"] if dagster else str(settings.watch_dir),
        "models_dir": dagster["models_dir"] if dagster else str(settings.models_dir),
        "site_file": str(settings.site_file) if settings.site_file.exists() else None,
    }


def _served(settings: Settings) -> dict[str, Any] | None:
    """What `pc serve` runs here, in the form of `run/ui.json`; None where one of the three is missing."""
    webserver, daemon, code = (Background(settings.home, name).state() for name in ("webserver", "daemon", "code"))
    if webserver is None or daemon is None or code is None:
        return None
    folders = {"watch_dir": str(settings.watch_dir), "models_dir": str(settings.models_dir)}
    return {"url": webserver["url"], "webserver": webserver, "daemon": daemon, "code_server": code, **folders}


def _places(settings: Settings) -> dict[str, str | None]:
    from urllib.parse import urlsplit

    from pc_pipeline.store.postgres import place

    found = endpoints(settings)
    redis = urlsplit(found.redis_url) if found and found.redis_url else None
    server = f"{redis.hostname}:{redis.port or 6379}" if redis and redis.hostname else ""
    return {
        "postgres": place(found.postgres_dsn) if found else None,
        "redis": f"{server}{redis.path}" if redis else None,
    }


def _since(process: dict[str, Any]) -> dict[str, Any]:
    if not process:
        return {}
    return {
        "pid": process["pid"],
        "since": datetime.fromtimestamp(process["started_at"], UTC).isoformat(timespec="seconds"),
    }


def _show_services(settings: Settings) -> None:
    for name, where in _places(settings).items():
        label = {"postgres": "Postgres", "redis": "Redis"}[name]
        click.echo(f"  {label:<15} {where or 'not running'}")


def _show(about: dict[str, Any]) -> None:
    def line(label: str, server: dict[str, Any] | None, place: str = "") -> None:
        if server is None:
            return click.echo(f"  {label:<15} not running")
        since = f"  process {server['pid']}, since {server['since']}" if "pid" in server else ""
        click.echo(f"  {label:<15} {place}{since}")

    click.echo("up" if about["running"] else "not up (`pc up` starts it)")
    line("Dagster UI", about["webserver"], (about["webserver"] or {}).get("url", ""))
    line("Dagster daemon", about["daemon"], "running")
    line("code server", about["code_server"], "running")
    for name, label in (("postgres", "Postgres"), ("redis", "Redis")):
        kind = "embedded" if (about[name] or {}).get("embedded") else "yours"
        line(label, about[name], f"{(about[name] or {}).get('place')} ({kind})")
    click.echo(f"  {'watched folder':<15} {about['watch_dir']}")
    click.echo(f"  {'models':<15} {about['models_dir']}")
    click.echo(f"  {'site file':<15} {about['site_file'] or 'none yet (`pc config apply FILE`)'}")
    click.echo(f"  {'state and logs':<15} {about['home']}")
