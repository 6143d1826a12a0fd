"""`pc`, the command line. Commands load when they are called, so that `pc --help` answers at once."""

import importlib
import sys

import click

from pc_pipeline.errors import NoSpace, PostgresUnreachable, ServiceError, UserError

COMMANDS = {
    "up": ("services", "Start the services and the Dagster UI."),
    "down": ("services", "Stop everything `pc up` started."),
    "status": ("services", "Say what runs, where, and how it is."),
    "serve": ("serve", "Run one of the processes in the foreground, for systemd."),
    "process": ("process", "Count the people in videos, through Dagster."),
    "summary": ("report", "The dashboard's figures."),
    "tracks": ("report", "The tracks found, newest first."),
    "hourly": ("report", "Counts by hour."),
    "daily": ("report", "Counts by day."),
    "cameras": ("cameras", "Each camera: is video coming, who is in view, what it costs."),
    "events": ("report", "What was wrong with the video: gaps, a black or moved picture."),
    "alerts": ("alerts", "What is not as it should be; try the channels it is told by."),
    "evaluate": ("evaluate", "Measure the counts on a video with ground truth."),
    "export": ("export", "Write tracks as MOTChallenge, COCO, CSV or Parquet."),
    "annotate": ("annotate", "Draw what was seen over a video; hide the people in it."),
    "config": ("config", "Check and apply the site file."),
    "models": ("models", "List, fetch and verify model weights."),
    "archive": ("archive", "Bring what is past its time to Parquet, and read it with SQL."),
    "erase": ("erase", "Delete a camera's or a span's data on request."),
    "db": ("db", "Migrate, inspect and digest the database."),
    "demo": ("demo", "Render a video, count it through Dagster, compare with the truth."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line help, and imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pc_pipeline.cli.{COMMANDS[cmd_name][0]}")
        return getattr(module, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""Examples:

\b
  pc up
  pc process clip.mp4 --camera door --start 2026-03-01T09:00:00+00:00
  pc summary --json
""",
)
@click.version_option(package_name="pc_pipeline", prog_name="pc")
def cli() -> None:
    """People counting from video files: who came in and out, through which door, when and for how long."""


def main() -> None:
    """Run `pc`; what a user can mend is one sentence on stderr and an exit code, never a stack trace."""
    try:
        cli(standalone_mode=True)
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        click.echo(f"pc: {sentence}", err=True)
        sys.exit(error.exit_code if isinstance(error, UserError) else UserError.exit_code)


def _sentence(error: Exception) -> str | None:
    """What is wrong and what to do now; None where it is a defect, which keeps its stack trace.

    On a full disk each fails in its own words, Dagster and the embedded Postgres most of all: then it is the disk.
    """
    if isinstance(error, UserError) and not isinstance(error, NoSpace | PostgresUnreachable | ServiceError):
        return str(error)
    from pc_pipeline.embedded.process import disk_full
    from pc_pipeline.settings import Settings
    from pc_pipeline.store.postgres import told

    settings = Settings()
    # A Postgres of the user's own stands on a disk of its own.
    full = disk_full(settings.home) if not isinstance(error, UserError) or settings.postgres_dsn is None else None
    return full or (str(error) if isinstance(error, UserError) else told(error))
