"""`pc models`: what model weights are here, get them, check them."""

import json
import sys
from typing import Any

import click

from pc_pipeline.errors import UserError
from pc_pipeline.settings import Settings


@click.group(epilog="Examples:\n\n\b\n  pc models list\n  pc models fetch yolo11n\n  pc models verify --json")
def models() -> None:
    """List, fetch and verify model weights.

    They stand in PC_MODELS_DIR (default: models/ in PC_HOME).
    """


@models.command("list", epilog="Examples:\n\n\b\n  pc models list\n  pc models list --json")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_models(as_json: bool) -> None:
    """Show the known models and those found on this machine."""
    from pc_pipeline.vision.models import names_in, resolve

    settings = Settings()
    _show([_state(name, resolve) for name in names_in(settings.models_dir)], as_json)


@models.command(
    epilog="Examples:\n\n\b\n  pc models fetch person-attributes-recognition-crossroad-0230\n  pc models fetch yolo11n"
)
@click.argument("name")
@click.option(
    "--base-url",
    envvar="PC_MODELS_URL",
    show_envvar=True,
    help="A mirror of Open Model Zoo's files, in place of the original.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def fetch(name: str, base_url: str | None, as_json: bool) -> None:
    """Download a known model, check it against its checksum, and put it into PC_MODELS_DIR."""
    from rich.console import Console
    from rich.progress import Progress

    from pc_pipeline.vision.models import OPEN_MODEL_ZOO
    from pc_pipeline.vision.models import fetch as fetch_model

    settings = Settings()
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, Any] = {}

        def on_progress(file_name: str, done: int, total: int) -> None:
            if file_name not in tasks:
                tasks[file_name] = bar.add_task(file_name, total=total)
            bar.update(tasks[file_name], completed=done)

        model = fetch_model(name, settings.models_dir, base_url or OPEN_MODEL_ZOO, on_progress)
    if as_json:
        _show([_facts(model)], as_json)
    else:
        click.echo(f"{model.name}: {model.path or 'built in'}")


@models.command(epilog="Examples:\n\n\b\n  pc models verify\n  pc models verify yolo11n --json")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Hash and load models (default: all that are here); exit code 1 if one is corrupt, or named and missing."""
    from pc_pipeline.vision.models import names_in
    from pc_pipeline.vision.models import verify as verify_model

    settings = Settings()
    rows = [_state(name, verify_model) for name in names or names_in(settings.models_dir)]
    if not names:
        rows = [row for row in rows if row["state"] != "missing"]
    _show(rows, as_json)
    if any(row["state"] != "present" for row in rows):
        raise click.exceptions.Exit(1)


def _state(name: str, look: Any) -> dict[str, Any]:
    """A row for one model: its facts, or what is wrong with it."""
    from pc_pipeline.errors import ModelMissing

    try:
        return _facts(look(name, Settings().models_dir))
    except ModelMissing as error:
        return {"name": name, "state": "missing", "problem": str(error)}
    except UserError as error:
        return {"name": name, "state": "corrupt", "problem": str(error)}


def _facts(model: Any) -> dict[str, Any]:
    return {
        "name": model.name,
        "state": "present",
        "kind": model.kind,
        "backend": model.backend,
        "path": str(model.path) if model.path else None,
        "sha256": model.sha256,
        "files": list(model.files),
    }


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        where = row.get("problem") or row.get("path") or "built in"
        click.echo(f"{row['name']:<46} {row['state']:<8} {row.get('backend', '-'):<12} {where}")
