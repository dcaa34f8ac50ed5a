"""Where a Redis store is and who may use it: from its URL and the environment. A password is never part of `Place.url`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote, urlsplit

from xai_ray.errors import SpecError
from xai_ray.stores.addresses import is_readable, without_password

USERNAME = "XAI_RAY_REDIS_USERNAME"
PASSWORD = "XAI_RAY_REDIS_PASSWORD"
PASSWORD_FILE = "XAI_RAY_REDIS_PASSWORD_FILE"
PATIENCE = "XAI_RAY_REDIS_PATIENCE"
SPILL = "XAI_RAY_REDIS_SPILL"
SPILL_ABOVE = "XAI_RAY_REDIS_SPILL_ABOVE"
EXPIRE = "XAI_RAY_REDIS_EXPIRE"

_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_FORMS = "redis://[USER@]HOST[:PORT][/DB], rediss://..., unix:///PATH[?db=DB]"
_SIZE = re.compile(r"([0-9]+)\s*(|kb|mb|gb)", re.IGNORECASE)
_UNITS = {"": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}


@dataclass(frozen=True, slots=True)
class Place:
    """A server, a database on it, and how to reach it."""

    host: str
    """Empty for a socket."""
    port: int
    path: str
    """Of a unix socket; empty for TCP."""
    db: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool
    certificates: tuple[tuple[str, str], ...]
    """Of the server's authority and our own, by the names that redis-py gives them."""
    url: str
    """Without the password."""
    patience: float = 60.0
    """Seconds for which a server that was reached before may be away."""
    spill: str | None = None
    """Directory that every worker sees, for large records."""
    spill_above: int = 256 << 10
    """Bytes above which a record goes there."""
    expire: int | None = None
    """Seconds after which a job that is done is removed."""


def parse_place(url: str, environment: Mapping[str, str] = os.environ) -> Place:
    """The place at a URL, credentials and settings from the environment where the URL has none. Raises SpecError."""
    shown = without_password(url)
    if "@" in url and not is_readable(url):
        hint = f"percent-encode user and password, or better set {PASSWORD}"
        raise SpecError(f"store {shown!r} is no address that can be read; {hint}; use {_FORMS}")
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError as error:
        raise SpecError(f"store {shown!r}: {error}; use {_FORMS}") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unix, tls = parts.scheme in ("unix", "redis+unix"), parts.scheme == "rediss"
    known = {"db"} | (set(_TLS) if tls else set())
    if unknown := sorted(set(options) - known):
        raise SpecError(f"store {shown!r}: unknown option {unknown[0]!r}; known: {', '.join(sorted(known))}")
    path, host = (unquote(parts.path), "") if unix else ("", parts.hostname or "")
    if not (path or host) or (unix and (parts.hostname or not path.startswith("/"))):
        raise SpecError(f"store {shown!r} names no {'socket' if unix else 'host'}; use {_FORMS}")
    db = _number(options.get("db") or ("" if unix else parts.path.strip("/")) or "0", shown, "the database")
    username, password = _credentials(parts.username, parts.password, environment)
    place = Place(
        host=host,
        port=port,
        path=path,
        db=db,
        username=username,
        password=password,
        tls=tls,
        certificates=tuple((name, options[name]) for name in _TLS if name in options),
        url=shown,
    )
    return _with_settings(place, environment)


def parse_bytes(text: str, where: str) -> int:
    """`262144`, `256kb`, `64 MB`. Raises SpecError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise SpecError(f"{where} is {text!r}; give bytes, such as 262144 or 256kb")
    return int(match[1]) * _UNITS[match[2].lower()]


def _with_settings(place: Place, environment: Mapping[str, str]) -> Place:
    spill = environment.get(SPILL) or None
    above, patience, expire = (environment.get(name) for name in (SPILL_ABOVE, PATIENCE, EXPIRE))
    return replace(
        place,
        patience=float(_number(patience, PATIENCE, "seconds")) if patience else place.patience,
        spill=os.path.abspath(os.path.expanduser(_folder(spill))) if spill else None,
        spill_above=parse_bytes(above, SPILL_ABOVE) if above else place.spill_above,
        expire=max(1, _number(expire, EXPIRE, "seconds")) if expire else None,
    )


def _folder(spill: str) -> str:
    scheme, found, rest = spill.partition("://")
    if not found:
        return spill
    if scheme != "file" or not rest:
        raise SpecError(f"{SPILL} is {spill!r}; give a directory that every worker sees: DIR or file://DIR")
    return rest


def _credentials(
    username: str | None, password: str | None, environment: Mapping[str, str]
) -> tuple[str | None, str | None]:
    username = unquote(username) if username else environment.get(USERNAME) or None
    if password:
        return username, unquote(password)
    if environment.get(PASSWORD):
        return username, environment[PASSWORD]
    path = environment.get(PASSWORD_FILE)
    if not path:
        return username, None
    try:
        with open(path, encoding="utf-8") as file:
            return username, file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{PASSWORD_FILE}: cannot read {path}: {error}; name a file that holds the password") from None


def _number(text: str, where: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise SpecError(f"{where}: {what} is {text!r}; give a whole number")
    return int(text)
