"""The way to a Redis server: one lazy connection pool a process, patience with a server that is away, refusals in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis import exceptions
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.cluster import RedisCluster
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
        self.cluster = False
        """Whether the place is a node of a Redis Cluster; found out by asking."""
        self.connects = 0
        """How many connections were made."""
        self._met = False
        self._owner = 0
        self._client: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"place": self.place, "met": self._met, "cluster": self.cluster}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["place"])
        self._met, self.cluster = state["met"], state["cluster"]

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
        began, failures = time.monotonic(), 0
        while True:
            try:
                result = task(self._connected())
            except exceptions.MovedError as error:
                if self.cluster:
                    raise in_words(error, self.place, 0.0) from error
                self.use_cluster()
            except FAILURES as error:
                now = time.monotonic()
                patience = self.place.patience if self._met else min(_FIRST_SECONDS, self.place.patience)
                if not may_pass(error) or now - began >= patience:
                    raise in_words(error, self.place, now - began) from error
                failures += 1
                time.sleep(min(pauses.compute(failures), max(0.0, began + patience - now)))
            else:
                self._met = True
                return result

    def server_processes(self) -> frozenset[str]:
        """The run ids of the server, or of a cluster's primaries; empty where INFO is not allowed."""
        try:
            if not self.cluster:
                return frozenset({str(self.patiently(lambda redis: redis.info("server"))["run_id"])})
            told = self.patiently(lambda redis: redis.info("server", target_nodes="primaries"))
        except StoreError as error:
            if isinstance(error.__cause__, exceptions.NoPermissionError):
                return frozenset()
            raise
        nodes = [told] if "run_id" in told else list(told.values())
        return frozenset(str(node["run_id"]) for node in nodes)

    def use_cluster(self) -> None:
        """From now on, ask the node for the others and send every command to the node that has its keys."""
        if self.place.path:
            raise StoreError(
                f"{self.place.url}: this is a node of a Redis Cluster; use redis://HOST:PORT to reach all of it"
            )
        self.close()
        self.cluster = True

    def close(self) -> None:
        """Give the connections back; the next use connects again."""
        if self._client is not None and self._owner == os.getpid():
            self._client.close()
        self._client = None

    def _connected(self) -> Any:
        if self._client is None or self._owner != os.getpid():
            connect = _cluster if self.cluster else _single
            self._client, self._owner = connect(self.place, self._connecting), os.getpid()
        return self._client

    def _connecting(self, connection: Any) -> None:
        self.connects += 1
        if not self.cluster:  # the client of a cluster greets by itself
            connection.on_connect()


def _single(place: Place, connecting: Callable[[Any], None]) -> Any:
    """A client of one server; nothing is sent yet."""
    common: dict[str, Any] = {
        **_login(place),
        "redis_connect_func": connecting,
        "db": place.db,
        "retry": Retry(NoBackoff(), 0),
    }
    if place.path:
        socket: Any = redis.UnixDomainSocketConnection
        pool = redis.ConnectionPool(connection_class=socket, path=place.path, **common)
    elif place.tls:
        address = {"host": place.host, "port": place.port, **_certificates(place)}
        pool = redis.ConnectionPool(connection_class=redis.SSLConnection, socket_keepalive=True, **address, **common)
    else:
        address = {"host": place.host, "port": place.port}
        pool = redis.ConnectionPool(connection_class=redis.Connection, socket_keepalive=True, **address, **common)
    return redis.Redis(connection_pool=pool)


def _cluster(place: Place, connecting: Callable[[Any], None]) -> Any:
    """A client of all nodes; the one at the place is asked for the others now."""
    tls = {"ssl": True, **_certificates(place)} if place.tls else {}
    return RedisCluster(host=place.host, port=place.port, **_login(place), **tls, redis_connect_func=connecting)


def _login(place: Place) -> dict[str, Any]:
    return {
        "username": place.username,
        "password": place.password,
        "socket_timeout": _ANSWER_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "protocol": 2,
    }


def _certificates(place: Place) -> dict[str, Any]:
    for name, path in place.certificates:
        if not os.path.isfile(path):
            raise SpecError(
                f"store {place.url!r}: {name} names {path}, which is no file here; every worker needs it there"
            )
    return {**dict(place.certificates), "ssl_cert_reqs": "required"}
