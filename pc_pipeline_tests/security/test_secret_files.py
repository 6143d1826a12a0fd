"""A DSN or URL may stand in a file of its own; what is wrong with that is one sentence without what is in it."""

import pytest

from pc_pipeline.errors import ConfigError
from pc_pipeline.settings import Settings

SECRETS = {"PC_POSTGRES_DSN": "postgres_dsn", "PC_REDIS_URL": "redis_url"}


@pytest.mark.parametrize(("variable", "field"), SECRETS.items())
def test_the_file_s_text_is_the_secret_unless_the_variable_itself_is_set(variable, field, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("postgresql://u:s3cr3t@h/db\n")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "secret"))
    settings = Settings()
    assert getattr(settings, field).get_secret_value() == "postgresql://u:s3cr3t@h/db"
    assert "s3cr3t" not in repr(settings) + settings.model_dump_json()
    monkeypatch.setenv(variable, "postgresql://other")
    assert getattr(Settings(), field).get_secret_value() == "postgresql://other"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("nowhere", None, "cannot be read: No such file"),
        ("empty", b" \n", "is empty: write the URL into it"),
        ("bytes", b"\xff\xfes3cr3t", "is no text file"),
        (".", None, "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_gives_no_secret_is_one_sentence(name, content, sentence, tmp_path, monkeypatch):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("PC_POSTGRES_DSN_FILE", str(tmp_path / name))
    with pytest.raises(ConfigError, match=sentence) as caught:
        Settings()
    assert "PC_POSTGRES_DSN_FILE" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_path_that_only_one_folder_understands_is_refused(monkeypatch):
    monkeypatch.setenv("PC_POSTGRES_DSN_FILE", "secret")
    with pytest.raises(ConfigError, match="write the whole path"):
        Settings()
