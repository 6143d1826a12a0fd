"""`sslmode` and `rediss://` are honoured: encrypted where asked for, refused where the server is not the one meant."""

import logging
from contextlib import closing

import psycopg2
import pytest
from click.testing import CliRunner
from psycopg2.extensions import make_dsn

from pc_pipeline.cli.db import db
from pc_pipeline.errors import PostgresUnreachable, UserError
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.postgres import connect, sqlalchemy_url

# ------------------------------------------------------------------------------------------------------------ Postgres


def test_the_results_and_dagsters_storage_go_by_tls_to_the_server_that_is_meant(tls_dsn, certificates, monkeypatch):
    from sqlalchemy import create_engine, text

    monkeypatch.setenv("PC_POSTGRES_DSN", make_dsn(tls_dsn, sslmode="verify-full", sslrootcert=certificates.ca))
    monkeypatch.setenv("PC_REDIS_URL", "redis://localhost:1/0")
    checked = CliRunner().invoke(db, ["check", "--json"], catch_exceptions=False)
    assert checked.exit_code == 0, checked.output
    url = sqlalchemy_url(make_dsn(tls_dsn, sslmode="verify-full", sslrootcert=certificates.ca), "dagster")
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 0
        assert connection.connection.dbapi_connection.info.ssl_in_use
    engine.dispose()


def test_a_server_that_another_authority_vouches_for_is_refused_at_once(tls_dsn, stranger):
    with pytest.raises(PostgresUnreachable, match="not signed by sslrootcert's"):
        connect(make_dsn(tls_dsn, sslmode="verify-full", sslrootcert=stranger.ca), wait_s=600)


def test_a_server_by_another_name_than_its_certificate_s_is_refused_at_once(tls_dsn, certificates):
    with pytest.raises(PostgresUnreachable, match="its certificate is for another host name"):
        connect(make_dsn(tls_dsn, host="127.0.0.1", sslmode="verify-full", sslrootcert=certificates.ca), wait_s=600)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sslmode": "verify-full", "sslrootcert": "/nowhere.pem"}, "sslrootcert in the DSN names no file"),
        ({"sslmode": "always"}, "sslmode in the DSN is none: write verify-full"),
    ],
)
def test_a_mistake_in_the_dsn_is_one_sentence_at_once(tls_dsn, options, sentence):
    with pytest.raises(PostgresUnreachable, match=sentence):
        connect(make_dsn(tls_dsn, **options), wait_s=600)


def test_what_asks_for_tls_never_goes_without(dsn):
    with pytest.raises(PostgresUnreachable, match="does not support SSL: see sslmode"):
        connect(make_dsn(dsn, sslmode="require"), wait_s=600)


def test_a_postgres_with_tls_of_its_own(debian_postgres, certificates, stranger):
    meant = make_dsn(debian_postgres, sslmode="verify-full", sslrootcert=certificates.ca)
    for dsn in (meant, make_dsn(debian_postgres, sslmode="require")):
        with closing(connect(dsn, wait_s=10)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert cursor.fetchone() == (True,)
    with closing(psycopg2.connect(sqlalchemy_url(meant).replace("+psycopg2", ""))) as connection:
        assert connection.info.ssl_in_use
    with pytest.raises(PostgresUnreachable, match="not signed by sslrootcert's"):
        connect(make_dsn(meant, sslrootcert=stranger.ca))


# --------------------------------------------------------------------------------------------------------------- Redis


@pytest.fixture(params=["front", "debian"])
def rediss(request):
    """A Redis that speaks TLS only."""
    return request.getfixturevalue("tls_redis" if request.param == "front" else "debian_redis")


def test_the_cache_goes_by_tls_to_the_server_that_is_meant(rediss, certificates):
    cache = Cache(f"{rediss}?ssl_ca_certs={certificates.ca}")
    assert cache.set_json("summary", value={"entered": 3})
    assert cache.get_json("summary") == {"entered": 3}


def test_a_redis_that_cannot_be_trusted_is_one_warning_and_no_cache(rediss, certificates, stranger, caplog):
    for wrong, sentence in {
        rediss: "its certificate is not trusted",
        f"{rediss}?ssl_ca_certs={stranger.ca}": "its certificate is not trusted",
        f"{rediss}?ssl_ca_certs={certificates.ca}".replace("localhost", "127.0.0.1"): "its certificate is not trusted",
        f"{rediss}?ssl_ca_certs=/nowhere.pem": "names /nowhere.pem as ssl_ca_certs, and there is no such file",
    }.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            cache = Cache(wrong)
            assert [cache.set_json("summary", value=n) for n in range(3)] == [False] * 3
            assert cache.get_json("summary") is None
        assert len(caplog.records) == 1
        assert sentence in caplog.text
        assert "nothing is cached" in caplog.text
    assert Cache(f"{rediss}?ssl_ca_certs={certificates.ca}").keys() == []


def test_tls_asked_of_a_redis_without_it_sends_it_nothing_it_could_read(redis_url, certificates, caplog):
    plain = redis_url.replace("127.0.0.1", "localhost").replace("redis://", "rediss://")
    assert Cache(f"{plain}?ssl_ca_certs={certificates.ca}").set_json("summary", value=1) is False
    assert "Redis does not answer" in caplog.text
    assert Cache(redis_url).keys() == []


@pytest.mark.parametrize("option", ["ssl_ca_cert=/ca.pem", "sslmode=require"])
def test_an_option_that_redis_does_not_know_is_one_sentence_without_the_password(option):
    with pytest.raises(UserError, match="rediss://:PASSWORD@HOST:PORT/0.ssl_ca_certs=FILE") as caught:
        Cache(f"rediss://:s3cr3t@localhost:6379/0?{option}")
    assert "s3cr3t" not in str(caught.value)
