"""The cache answers from Redis, and never fails for want of it."""

import logging
import socket

import pytest
import redis

from pc_pipeline.errors import UserError
from pc_pipeline.store.cache import TTL_S, Cache


@pytest.fixture
def nobody_there() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"redis://:s3cr3t@127.0.0.1:{free.getsockname()[1]}/0"


def test_a_track_is_kept_under_its_key_for_its_time(redis_url):
    cache = Cache(redis_url)
    assert cache.cache_track(7, 1, {"gender": "female", "camera": "door"}, ttl=60)
    assert cache.get_track(7, 1) == {"gender": "female", "camera": "door"}
    assert cache.get_track(7, 2) is None
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    assert client.get("pc:v1:track:7:1") == '{"camera": "door", "gender": "female"}'
    assert 0 < client.ttl("pc:v1:track:7:1") <= 60


def test_values_go_by_parts_of_a_key_and_by_default_times(redis_url):
    cache = Cache(redis_url)
    assert cache.set_json("hourly", "door", "2026-03-02", value=[1, 2])
    assert cache.set_json("summary", value={"entered": 3}, ttl=5)
    assert cache.get_json("hourly", "door", "2026-03-02") == [1, 2]
    assert cache.keys() == ["pc:v1:hourly:door:2026-03-02", "pc:v1:summary"]
    client = redis.Redis.from_url(redis_url)
    assert TTL_S["hourly"] - 5 <= client.ttl("pc:v1:hourly:door:2026-03-02") <= TTL_S["hourly"]
    assert client.ttl("pc:v1:summary") <= 5


def test_no_redis_configured_is_silent(caplog):
    cache = Cache(None)
    assert not cache.available
    assert cache.set_json("summary", value=1) is False
    assert cache.get_json("summary") is None
    assert caplog.records == []


def test_redis_away_is_one_warning_and_no_error(nobody_there, caplog):
    cache = Cache(nobody_there)
    with caplog.at_level(logging.WARNING):
        assert [cache.cache_track(7, number, {}) for number in range(1000)] == [False] * 1000
        assert cache.get_track(7, 1) is None
        assert cache.keys() == []
    assert len(caplog.records) == 1
    assert "results are safe in Postgres" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_a_url_that_cannot_be_read_is_one_sentence_without_the_password():
    with pytest.raises(UserError, match="PC_REDIS_URL cannot be read") as caught:
        Cache("http://:s3cr3t@host")
    assert "s3cr3t" not in str(caught.value)
