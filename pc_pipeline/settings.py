"""The environment as typed settings: every `PC_…` variable the project reads is a field here."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from pc_pipeline.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parent.parent
SQL_DIR = CHECKOUT / "sql"
# These may stand in a file that only we can read: `PC_POSTGRES_DSN_FILE` and `PC_REDIS_URL_FILE` name it.
_SECRETS = ("postgres_dsn", "redis_url")


class Settings(BaseModel):
    """Where this machine keeps things, from `PC_HOME`, `PC_MODELS_DIR` and so on.

    Attributes:
        home: all state (default: `.pc_home` in the checkout).
        models_dir: model weights (default: `models` in `home`).
        samples_dir: real videos with ground truth, for tests and benchmarks only.
        watch_dir: the folder cameras record into (default: `watch` in `home`).
        archive_dir: where rows go that are past their time (default: `archive` in `home`).
        backup_dir: where backups go, before what the site file says.
        postgres_dsn: a libpq URL of a server to use in place of the embedded PostgreSQL; else what the file named by
            `PC_POSTGRES_DSN_FILE` holds.
        redis_url: a `redis://`, `rediss://` (TLS) or `unix://` URL to use in place of the embedded Redis; else what the
            file named by `PC_REDIS_URL_FILE` holds.
    """

    model_config = ConfigDict(extra="forbid")

    home: Path = CHECKOUT / ".pc_home"
    models_dir: Path = Path()
    samples_dir: Path | None = None
    watch_dir: Path = Path()
    archive_dir: Path = Path()
    backup_dir: Path | None = None
    postgres_dsn: SecretStr | None = None
    redis_url: SecretStr | None = None

    def __init__(self, **given: Any) -> None:
        """What is `given`, then what the environment says; a variable that is empty says nothing.

        Raises:
            ConfigError: a file that the environment names for a secret cannot be read.
        """
        told = {name: os.environ.get(f"PC_{name.upper()}") for name in type(self).model_fields}
        told |= {name: _from_file(f"PC_{name.upper()}_FILE") for name in _SECRETS if not told[name]}
        super().__init__(**({name: value for name, value in told.items() if value} | given))

    @model_validator(mode="after")
    def _absolute(self) -> "Settings":
        self.home = self.home.expanduser().absolute()
        given = self.model_fields_set
        self.models_dir = self.models_dir.expanduser().absolute() if "models_dir" in given else self.home / "models"
        self.watch_dir = self.watch_dir.expanduser().absolute() if "watch_dir" in given else self.home / "watch"
        self.archive_dir = self.archive_dir.expanduser().absolute() if "archive_dir" in given else self.home / "archive"
        if self.backup_dir and not self.backup_dir.is_absolute():
            raise ConfigError(
                f"PC_BACKUP_DIR is {self.backup_dir}: write the whole path, since processes in several folders read it"
            )
        return self

    @property
    def site_file(self) -> Path:
        """The site file applied last (`pc config apply` writes it): what the code server reads its time zone from."""
        return self.home / "site.yaml"

    @property
    def raw_detections_dir(self) -> Path:
        """Parquet files of raw detections, one a fingerprint."""
        return self.home / "raw_detections"


def _from_file(variable: str) -> str | None:
    """What stands in the file that an environment variable names; None where the variable is not set.

    Raises:
        ConfigError: there is no such file, it may not be read, or nothing is in it.
    """
    name = os.environ.get(variable)
    if not name:
        return None
    if not Path(name).is_absolute():
        raise ConfigError(f"{variable} is {name}: write the whole path, since processes in several folders read it")
    try:
        text = Path(name).read_text().strip()
    except OSError as error:
        raise ConfigError(f"{variable} names {name}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{variable} names {name}, which is no text file") from None
    if not text:
        raise ConfigError(f"{variable} names {name}, which is empty: write the URL into it")
    return text
