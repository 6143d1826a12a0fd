"""The dashboard's cache in Redis. It may be away: then there is a warning, and every answer comes from Postgres.

Keys, all JSON text, all with a time to live; `v1` changes when a value's shape does:

| key | value |
|---|---|
| `pc:v1:summary` | the dashboard's figures |
| `pc:v1:tracks:recent` | the newest tracks |
| `pc:v1:hourly:{camera}:{date}` | a camera-day's hours |
| `pc:v1:daily:{date}` | a day's cameras |
| `pc:v1:track:{session}:{track}` | one track |
"""

import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from pc_pipeline.errors import UserError

PREFIX = "pc:v1:"
# Seconds, by a key's first part. While `pc up` runs, today is rolled up and the cache filled every hour: figures older
# than two of those hours are no longer worth showing.
TTL_S = {"summary": 2 * 3600, "tracks": 2 * 3600, "hourly": 24 * 3600, "daily": 24 * 3600, "track": 2 * 3600}
TIMEOUT_S = 0.5
# A Redis that failed is left alone so long: a thousand tracks must not wait a thousand timeouts.
PAUSE_S = 5.0

_log = logging.getLogger(__name__)


class Cache:
    """JSON values under keys made of parts. No method raises because Redis is away: None and False are its answers."""

    def __init__(self, redis_url: str | None) -> None:
        """`redis_url` None: nothing is cached. Connects when first used.

        Raises:
            UserError: the URL cannot be read.
        """
        self._warned = False
        self._paused_until = 0.0
        self._redis: redis.Redis | None = None
        if redis_url:
            try:
                self._redis = redis.Redis.from_url(
                    redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True
                )
                # Options it does not know show here; nothing is connected yet.
                self._redis.connection_pool.make_connection()
            except (ValueError, TypeError):
                # The library's message would quote the URL, password and all.
                raise UserError(
                    "PC_REDIS_URL cannot be read: write redis://:PASSWORD@HOST:PORT/0, or for TLS"
                    " rediss://:PASSWORD@HOST:PORT/0?ssl_ca_certs=FILE"
                ) from None

    @property
    def available(self) -> bool:
        """Whether Redis answers now."""
        return bool(self._ask("ping"))

    def set_json(self, *key: object, value: object, ttl: int | None = None) -> bool:
        """Keep a value for `ttl` seconds (by default as `TTL_S` says of the key's first part); whether it is kept."""
        seconds = TTL_S[str(key[0])] if ttl is None else ttl
        return bool(self._ask("set", name(*key), json.dumps(value, sort_keys=True, default=str), ex=seconds))

    def get_json(self, *key: object) -> Any:
        """The value kept under a key, or None."""
        text = self._ask("get", name(*key))
        return None if text is None else json.loads(text)

    def cache_track(self, session_id: int, track_id: int, payload: object, ttl: int = TTL_S["track"]) -> bool:
        """Keep one track for `ttl` seconds; whether it is kept."""
        return self.set_json("track", session_id, track_id, value=payload, ttl=ttl)

    def get_track(self, session_id: int, track_id: int) -> Any:
        """One track as it was kept, or None."""
        return self.get_json("track", session_id, track_id)

    def keys(self) -> list[str]:
        """All keys of this scheme that are there now, in order."""
        if self._redis is None or not self.available:
            return []
        try:
            return sorted(self._redis.scan_iter(f"{PREFIX}*", count=1000))
        except redis.RedisError as error:
            self._failed(error)
            return []

    def drop(self) -> int | None:
        """Delete all keys of this scheme, also from Redis' disk; returns how many, or None where it is away."""
        if self._redis is None or not self.available:
            return None
        try:
            dropped = sum(int(self._redis.delete(key)) for key in self._redis.scan_iter(f"{PREFIX}*", count=1000))
        except redis.RedisError as error:
            self._failed(error)
            return None
        with suppress(redis.RedisError):
            # Its log would keep them until it is written anew; a server without one refuses.
            self._redis.bgrewriteaof()
        return dropped

    def _ask(self, command: str, *arguments: object, **options: object) -> Any:
        if self._redis is None or time.monotonic() < self._paused_until:
            return None
        try:
            return getattr(self._redis, command)(*arguments, **options)
        except redis.RedisError as error:
            self._failed(error)
            return None

    def _failed(self, error: redis.RedisError) -> None:
        self._paused_until = time.monotonic() + PAUSE_S
        if not self._warned:
            self._warned = True
            reason = _why(error, self._redis)
            _log.warning("Redis does not answer, so nothing is cached (results are safe in Postgres): %s", reason)


def _why(error: redis.RedisError, client: redis.Redis | None) -> str:
    """What is wrong, in words where it is TLS; the library's own words never hold the password."""
    authorities = client.connection_pool.connection_kwargs.get("ssl_ca_certs") if client else None
    if authorities and not Path(authorities).exists():
        return f"PC_REDIS_URL names {authorities} as ssl_ca_certs, and there is no such file."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"its certificate is not trusted; see ssl_ca_certs in PC_REDIS_URL ({error})."
    return str(error)


def name(*key: object) -> str:
    """The full key of its parts: `("daily", "2026-03-01")` is `pc:v1:daily:2026-03-01`."""
    return PREFIX + ":".join(map(str, key))
