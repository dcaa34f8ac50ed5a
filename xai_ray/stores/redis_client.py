"""The way to a Redis server: one lazy connection pool a process, patience with a server that is away, refusals in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis import exceptions
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry

from xai_ray.errors import SpecError, StoreError
from xai_ray.stores.redis_failures import FAILURES, in_words, may_pass
from xai_ray.stores.redis_place import Place
from xai_ray.stores.redis_scripts import Script

T = TypeVar("T")

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_FIRST_SECONDS = 3.0
"""Patience with a server that never answered: more likely a wrong address than a restart."""
_LONGEST_PAUSE = 2.0


class RedisClient:
    """Runs scripts and commands; may be copied to another process, where it connects anew.

    What is sent twice because an answer was lost must do no harm: scripts see to that with tokens (redis_scripts.py).
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._met = False
        self._owner = 0
        self._client: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"place": self.place, "met": self._met}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.place, self._met, self._owner, self._client = state["place"], state["met"], 0, None

    def script(self, script: Script, keys: list[str], arguments: list[Any]) -> Any:
        """The answer of a script. Raises StoreError."""

        def send(client: Any) -> Any:
            try:
                return client.evalsha(script.sha, len(keys), *keys, *arguments)
            except exceptions.NoScriptError:
                return client.eval(script.source, len(keys), *keys, *arguments)

        return self.patiently(send)

    def patiently(self, task: Callable[[Any], T]) -> T:
        """The result of a task, tried again with growing pauses while the server is away. Raises StoreError."""
        pauses = ExponentialWithJitterBackoff(cap=_LONGEST_PAUSE, base=0.02)
        began, failures = 0.0, 0
        while True:
            try:
                result = task(self._connected())
            except FAILURES as error:
                now = time.monotonic()
                began = began or now
                patience = self.place.patience if self._met else min(_FIRST_SECONDS, self.place.patience)
                if not may_pass(error) or now - began >= patience:
                    raise in_words(error, self.place, now - began) from error
                failures += 1
                time.sleep(min(pauses.compute(failures), max(0.0, began + patience - now)))
            else:
                self._met = True
                return result

    def close(self) -> None:
        """Give the connections back; the next use connects again."""
        if self._client is not None and self._owner == os.getpid():
            self._client.close()
        self._client = None

    def _connected(self) -> Any:
        if self._client is None or self._owner != os.getpid():
            self._client, self._owner = _connect(self.place), os.getpid()
        return self._client


def _connect(place: Place) -> Any:
    """A client; nothing is sent yet, but for a Redis Cluster, which is asked for its nodes."""
    if place.path:
        return _single(place, redis.UnixDomainSocketConnection, {"path": place.path})
    address: dict[str, Any] = {"host": place.host, "port": place.port, "socket_keepalive": True}
    if not place.tls:
        return _single(place, redis.Connection, address)
    for name, path in place.certificates:
        if not os.path.isfile(path):
            raise SpecError(
                f"store {place.url!r}: {name} names {path}, which is no file here; every worker needs it there"
            )
    return _single(place, redis.SSLConnection, {**address, **dict(place.certificates), "ssl_cert_reqs": "required"})


def _single(place: Place, connection: type[Any], address: dict[str, Any]) -> Any:
    pool = redis.ConnectionPool(
        connection_class=connection,
        db=place.db,
        username=place.username,
        password=place.password,
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        **address,
    )
    return redis.Redis(connection_pool=pool)


def check_server(client: RedisClient) -> dict[str, Any]:
    """What the server says of itself (see `RedisStore.facts`). StoreError if it would evict records when memory is short."""
    try:
        told: dict[str, Any] = client.patiently(lambda redis_: redis_.info("everything"))
    except StoreError as error:
        if not isinstance(error.__cause__, exceptions.NoPermissionError):
            raise
        return {
            "warnings": [
                "the server's settings cannot be read (INFO is not allowed): check that it runs with noeviction"
            ]
        }
    policy, limit = str(told.get("maxmemory_policy", "noeviction")), int(told.get("maxmemory", 0))
    if limit and policy != "noeviction":
        raise StoreError(
            f"{client.place.url}: the server evicts keys when its memory of {limit} bytes is full ({policy}), which would lose "
            "committed records without a word; set `maxmemory-policy noeviction` on it (CONFIG SET maxmemory-policy noeviction)"
        )
    kind = "valkey" if "valkey_version" in told else "redis"
    version = str(told.get(f"{kind}_version", "unknown"))
    appends = bool(int(told.get("aof_enabled", 0)))
    facts = {
        "server": kind,
        "version": version,
        "append_only_file": appends,
        "maxmemory": limit,
        "policy": policy,
        "used_memory": int(told.get("used_memory", 0)),
        "cluster": bool(int(told.get("cluster_enabled", 0))),
    }
    return {**facts, "warnings": _warnings(kind, version, appends, limit)}


def _warnings(kind: str, version: str, appends: bool, limit: int) -> list[str]:
    said: list[str] = []
    if not appends:
        said.append(
            "the server keeps no append-only file: records are lost when it restarts; set `appendonly yes` on it"
        )
    if kind == "redis" and version.split(".")[0].isdigit() and int(version.split(".")[0]) < 7:
        said.append(f"the server is Redis {version}; this store is tested with Redis 7 and Valkey 9")
    if not limit:
        said.append(
            "the server has no maxmemory: when the machine's memory ends, the system kills it; set one with noeviction"
        )
    return said
