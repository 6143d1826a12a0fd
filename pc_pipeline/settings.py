"""The environment as typed settings: every `PC_…` variable the project reads is a field here."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

CHECKOUT = Path(__file__).resolve().parent.parent
SQL_DIR = CHECKOUT / "sql"


class Settings(BaseModel):
    """Where this machine keeps things, from `PC_HOME`, `PC_MODELS_DIR` and so on.

    Attributes:
        home: all state (default: `.pc_home` in the checkout).
        models_dir: model weights (default: `models` in `home`).
        samples_dir: real videos with ground truth, for tests and benchmarks only.
        watch_dir: the folder cameras record into (default: `watch` in `home`).
        postgres_dsn: a libpq URL of a server to use in place of the embedded PostgreSQL.
        redis_url: a `redis://` or `rediss://` URL to use in place of the embedded Redis.
    """

    model_config = ConfigDict(extra="forbid")

    home: Path = CHECKOUT / ".pc_home"
    models_dir: Path = Path()
    samples_dir: Path | None = None
    watch_dir: Path = Path()
    postgres_dsn: SecretStr | None = None
    redis_url: SecretStr | None = None

    def __init__(self, **given: Any) -> None:
        """What is `given`, then what the environment says; a variable that is empty says nothing."""
        told = {name: os.environ.get(f"PC_{name.upper()}") for name in type(self).model_fields}
        super().__init__(**({name: value for name, value in told.items() if value} | given))

    @model_validator(mode="after")
    def _absolute(self) -> "Settings":
        self.home = self.home.expanduser().absolute()
        given = self.model_fields_set
        self.models_dir = self.models_dir.expanduser().absolute() if "models_dir" in given else self.home / "models"
        self.watch_dir = self.watch_dir.expanduser().absolute() if "watch_dir" in given else self.home / "watch"
        return self

    @property
    def site_file(self) -> Path:
        """The site file applied last (`pc config apply` writes it): what the code server reads its time zone from."""
        return self.home / "site.yaml"

    @property
    def raw_detections_dir(self) -> Path:
        """Parquet files of raw detections, one a fingerprint."""
        return self.home / "raw_detections"
