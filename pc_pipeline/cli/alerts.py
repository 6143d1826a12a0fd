"""`pc alerts`: the alerts there are, an evaluation now, and a test of the channels."""

import dataclasses
import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pc_pipeline.embedded.services import Endpoints

_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")


@click.group(
    epilog="""Examples:

\b
  pc alerts list --open
  pc alerts evaluate --dry-run
  pc alerts test
"""
)
def alerts() -> None:
    """What is not as it should be, and who is told (docs/alerts.md)."""


@contextmanager
def _services() -> "Iterator[Endpoints]":
    from pc_pipeline.embedded.services import services
    from pc_pipeline.store.migrate import require_current

    with services(Settings()) as endpoints:
        require_current(endpoints.postgres_dsn)
        yield endpoints


@alerts.command("list", epilog="Examples:\n\n\b\n  pc alerts list --open\n  pc alerts list --camera door --json")
@click.option("--open", "only_open", is_flag=True, help="Only those that last.")
@click.option("--camera", help="Only this camera.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@_JSON
def list_alerts(only_open: bool, camera: str | None, limit: int, as_json: bool) -> None:
    """List alerts: open ones first, then the latest."""
    from pc_pipeline.cli.report import echo_json
    from pc_pipeline.defs.partitions import site
    from pc_pipeline.store.alerts import listed
    from pc_pipeline.store.postgres import in_transaction

    with _services() as endpoints:
        rows, _ = in_transaction(
            endpoints.postgres_dsn,
            lambda connection: listed(connection, camera=camera, only_open=only_open, limit=limit),
        )
    if as_json:
        echo_json(rows)
        return
    if not rows:
        click.echo("No alert is open." if only_open else "There are no alerts.")
    for row in rows:
        _print_alert(row, site().zone_info)


def _print_alert(row: dict[str, Any], zone: dt.tzinfo) -> None:
    state = "open" if row["resolved_at"] is None else f"resolved {row['resolved_at'].astimezone(zone):%Y-%m-%d %H:%M}"
    click.echo(f"{row['alert_id']}  {row['title']}  ({state})")
    click.echo(f"    {row['says']}")
    click.echo(f"    {row['advice'] if row['resolved_at'] is None else row['resolution']}")
    for delivery in row["deliveries"]:
        if delivery["status"] != "delivered":
            why = f": {delivery['error']}" if delivery["error"] else ""
            click.echo(f"    {delivery['event']} to {delivery['channel']}: {delivery['status']}{why}")


@alerts.command(epilog="Examples:\n\n\b\n  pc alerts evaluate\n  pc alerts evaluate --dry-run --json")
@click.option("--dry-run", is_flag=True, help="Write and send nothing; show what would be sent.")
@_JSON
@click.pass_context
def evaluate(context: click.Context, dry_run: bool, as_json: bool) -> None:
    """Evaluate all alerts now, as `pc up` does after each rollup and every hour, and send what waits.

    The exit code is 1 where a channel did not take its messages; they are tried again at the next evaluation.
    """
    from pc_pipeline.cli.report import echo_json
    from pc_pipeline.local_run import dagster_instance

    with _services() as endpoints, dagster_instance(Settings(), endpoints) as instance:
        from pc_pipeline.defs.alerts.assets import evaluated

        report = evaluated(instance, endpoints.postgres_dsn, dry_run=dry_run)
    if as_json:
        echo_json(dataclasses.asdict(report) | {"dry_run": dry_run})
    else:
        would = "would be " if dry_run else ""
        for title in report.opened:
            click.echo(f"{would}opened: {title}")
        for title in report.resolved:
            click.echo(f"{would}resolved: {title}")
        for sent in report.sent:
            click.echo(f"\n{would}sent by {sent.channel}:\n\n{sent.text}\n")
            if sent.error:
                click.echo(f"not taken: {sent.error}", err=True)
        click.echo(f"{len(report.open)} alerts {'would be ' if dry_run else ''}open.")
    context.exit(1 if any(sent.error for sent in report.sent) else 0)


@alerts.command(epilog="Examples:\n\n\b\n  pc alerts test\n  pc alerts test --channel 'slack team' --json")
@click.option("--channel", help="Only this one, such as 'slack team'.")
@_JSON
@click.pass_context
def test(context: click.Context, channel: str | None, as_json: bool) -> None:
    """Send a test message by every channel of the site file that is in force.

    The exit code is 1 where one did not take it.
    """
    from pc_pipeline.alerts.deliver import NotDelivered, send
    from pc_pipeline.alerts.messages import trial_message
    from pc_pipeline.cli.report import echo_json
    from pc_pipeline.defs.partitions import site
    from pc_pipeline.errors import ConfigError

    settings = site().alerts
    channels = settings.channels()
    if channel is not None and channel not in channels:
        names = ", ".join(f"'{name}'" for name in channels) or "none"
        raise ConfigError(f"There is no channel '{channel}' in the site file that is in force. Channels: {names}.")
    answers: dict[str, str | None] = {}
    for name in [channel] if channel else list(channels):
        try:
            send(channels[name], [trial_message(dt.datetime.now(dt.UTC))], settings, site().zone_info)
            answers[name] = None
        except NotDelivered as error:
            answers[name] = str(error)
    if as_json:
        echo_json([{"channel": name, "delivered": error is None, "error": error} for name, error in answers.items()])
    elif not answers:
        click.echo("The site file that is in force has no channel: docs/alerts.md shows how to write one.")
    for name, reason in {} if as_json else answers.items():
        click.echo(f"{name}: {reason or 'taken'}", err=reason is not None)
    context.exit(1 if any(answers.values()) else 0)
