"""Where partial results live: one contract (`Store`), kept by a store in memory, one of Arrow files and one in Redis."""

from __future__ import annotations

import os
import re

from xai_ray.errors import SpecError
from xai_ray.stores.addresses import without_password
from xai_ray.stores.arrow_files import ArrowFileStore
from xai_ray.stores.memory import MemoryStore
from xai_ray.stores.protocol import Manifest, Record, Segment, Store

__all__ = ["ArrowFileStore", "Manifest", "MemoryStore", "Record", "Segment", "Store", "open_store"]

_REDIS = ("redis", "rediss", "unix", "redis+unix")
_HOST = re.compile(r"[A-Za-z0-9.-]+:[0-9]{2,5}(/[0-9]*)?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_store(url: str) -> Store:
    """The store at `memory://` (new and empty each time), `file://DIR` or a plain path `DIR`, or on a Redis server:
    `redis://[USER@]HOST[:PORT][/DB]`, `rediss://` (TLS), `unix:///PATH` (see stores/redis_store.py).

    Nothing is touched until the store is used. What follows `file://` is a path as it is, relative ones and `~`
    included. Raises SpecError for any other scheme.
    """
    match = _SCHEME.match(url)
    scheme, place = (match[1].lower(), url[match.end() :]) if match else ("file", url)
    if scheme == "memory":
        if place:
            raise SpecError(f"store {without_password(url)!r}: memory:// takes no path; use memory:// or file://DIR")
        return MemoryStore()
    if scheme == "file":
        if not place:
            raise SpecError(f"store {url!r} names no directory; use file://DIR or a plain path")
        if not match and _HOST.fullmatch(url) and not os.path.isdir(url):
            raise SpecError(
                f"store {url!r} looks like a server's address; use redis://{url}, or ./{url} for a directory"
            )
        return ArrowFileStore(place)
    if scheme in _REDIS:
        from xai_ray.stores.redis_store import RedisStore  # a run without Redis does not load its client

        return RedisStore(url)
    raise SpecError(
        f"store {without_password(url)!r}: unknown scheme {scheme}://; use file://DIR, a plain path, redis://HOST or memory://"
    )
