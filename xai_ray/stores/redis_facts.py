"""What a Redis server says of itself, and the settings under which records would be lost."""

from __future__ import annotations

from typing import Any

from redis import exceptions

from xai_ray.errors import StoreError
from xai_ray.stores.redis_client import RedisClient

_TESTED = {"redis": 7, "valkey": 8}
"""Oldest major versions without a warning."""


def check_server(client: RedisClient) -> dict[str, Any]:
    """Facts of the server, of the first node of a cluster. StoreError if one would evict records when memory is short.

    A node of a Redis Cluster is found out here, and all of its nodes are checked.
    """
    try:
        nodes = _told(client)
    except StoreError as error:
        if not isinstance(error.__cause__, exceptions.NoPermissionError):
            raise
        return {
            "warnings": [
                "the server's settings cannot be read (INFO is not allowed): check that it runs with noeviction"
            ]
        }
    if int(nodes[0].get("cluster_enabled", 0)) and not client.cluster:
        client.use_cluster()
        nodes = _told(client)
    for told in nodes:
        _check_policy(told, client.place.url)
    return _facts(nodes[0])


def _told(client: RedisClient) -> list[dict[str, Any]]:
    if not client.cluster:
        return [client.patiently(lambda redis: redis.info())]
    nodes = client.patiently(lambda redis: redis.info(target_nodes="primaries"))
    return [nodes] if "maxmemory" in nodes else list(nodes.values())


def _check_policy(told: dict[str, Any], url: str) -> None:
    policy, limit = str(told.get("maxmemory_policy", "noeviction")), int(told.get("maxmemory", 0))
    if limit and policy != "noeviction":
        raise StoreError(
            f"{url}: the server evicts keys when its memory of {limit} bytes is full ({policy}), which would lose committed "
            "records without a word; set `maxmemory-policy noeviction` on it (CONFIG SET maxmemory-policy noeviction)"
        )


def _facts(told: dict[str, Any]) -> dict[str, Any]:
    kind = "valkey" if "valkey_version" in told else "redis"
    version, limit = str(told.get(f"{kind}_version", "0")), int(told.get("maxmemory", 0))
    appends = bool(int(told.get("aof_enabled", 0)))
    facts = {
        "server": kind,
        "version": version,
        "append_only_file": appends,
        "maxmemory": limit,
        "policy": str(told.get("maxmemory_policy", "unknown")),
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
    if int(version.split(".")[0]) < _TESTED[kind]:
        said.append(f"the server is {kind} {version}; this store is tested with Redis 7 and Valkey 9")
    if not limit:
        said.append(
            "the server has no maxmemory: when the machine's memory ends, the system kills it; set one with noeviction"
        )
    return said
