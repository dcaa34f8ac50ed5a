"""What a Redis server or the way to it can refuse, in words."""

from __future__ import annotations

from redis import exceptions

from xai_ray.errors import StoreError
from xai_ray.stores.redis_place import PASSWORD, PASSWORD_FILE, SPILL, USERNAME, Place
from xai_ray.stores.redis_scripts import COMMANDS

_STAYS = "nothing that was committed is lost, and the job resumes"

_SAID = (
    (
        "OutOfMemoryError",
        f"Redis is out of memory; raise its maxmemory, or set {SPILL} to a directory that every worker sees and resume; ",
    ),
    (
        "OOM",
        f"Redis is out of memory; raise its maxmemory, or set {SPILL} to a directory that every worker sees and resume; ",
    ),
    ("MISCONF", "Redis cannot save to its disk and takes no more writes; free space on the server's disk; "),
    ("ReadOnlyError", "this is a read-only replica; give the address of the primary; "),
    ("WRONGTYPE", "a key under xr: belongs to another program; use another database (redis://HOST/DB); "),
    ("CROSSSLOT", "this is a Redis Cluster behind a proxy that hides it; give the address of a node; "),
    ("invalid DB index", "the server has no database of that number; "),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the server's certificate is not trusted; name its authority with ?ssl_ca_certs=FILE; ",
    ),
    ("WRONG_VERSION_NUMBER", "the server does not speak TLS on this port; use redis:// or its TLS port; "),
)

_PERMISSION = (
    "NoPermissionError",
    "NOPERM",
    "No permissions",
    "can't run this command",
    "ACL failure",
    "can't access",
    "no permissions",
)

_TRANSIENT = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.RedisClusterException,
)
_FINAL = (exceptions.AuthenticationError, exceptions.AuthorizationError)
_FINAL_WORDS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "invalid DB index")

FAILURES = (exceptions.RedisError, exceptions.RedisClusterException)
"""What redis-py raises."""


def may_pass(error: Exception) -> bool:
    """Whether waiting may help: the server is away, starting or moving slots."""
    if isinstance(error, _FINAL) or any(word in str(error) for word in _FINAL_WORDS):
        return False
    return isinstance(error, _TRANSIENT)


def in_words(error: Exception, place: Place, waited: float) -> StoreError:
    """The StoreError for what redis-py raised, after `waited` seconds of trying."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, _FINAL):
        return StoreError(
            f"{place.url}: the server refused user name or password ({said}); set {PASSWORD} or {PASSWORD_FILE} "
            f"(and {USERNAME} for an ACL user)"
        )
    searched = f"{type(error).__name__} {said}"  # redis-py takes the code off some messages and keeps it in the class
    if any(word in searched for word in _PERMISSION):
        return StoreError(
            f"{place.url}: user {place.username or 'default'!r} may not do this ({said}); {acl_advice(place)}"
        )
    for word, meaning in _SAID:
        if word in searched:
            return StoreError(f"{place.url}: {meaning}{_STAYS} (the server said: {said})")
    if isinstance(error, exceptions.BusyLoadingError):
        return StoreError(f"{place.url}: after {waited:.0f} s the server still loads its data; try again; {_STAYS}")
    if may_pass(error):
        return StoreError(
            f"{place.url}: no answer within {waited:.0f} s ({said}); check that the server runs and the address is right"
            f"{'' if place.tls or place.path else ' (a TLS port needs rediss://)'}; {_STAYS}"
        )
    return StoreError(f"{place.url}: the server refused a command ({said}); {_STAYS}")


def acl_advice(place: Place) -> str:
    """The command by which an administrator gives a user what the store needs."""
    user = place.username or "xai-ray"
    return f"the administrator allows it with: ACL SETUSER {user} on >PASSWORD resetkeys ~xr:* +@connection +{COMMANDS.replace(' ', ' +')}"
