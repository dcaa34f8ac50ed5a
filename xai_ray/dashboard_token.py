"""Who may speak to a cluster: the token of Ray's token authentication, and the rule that only loopback goes without."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

from xai_ray.errors import EngineError
from xai_ray.stores.addresses import without_password

REMEDY = (
    "make one with `ray get-auth-token --generate` on the head, start every node with RAY_AUTH_MODE=token, and name a file "
    "that holds it in RAY_AUTH_TOKEN_PATH here"
)


def is_loopback(address: str) -> bool:
    """Whether a URL leads to this machine alone."""
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token() -> str | None:
    """The token as Ray itself looks for it: RAY_AUTH_TOKEN, the file at RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token; None if there is none,
    or with RAY_AUTH_MODE=disabled. Raises EngineError for a file that is named and cannot be read, and for what can be no token.
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return None
    if given := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return _checked(given, "RAY_AUTH_TOKEN")
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return _checked(path.read_text(encoding="utf-8").strip(), str(path)) or None
    except (OSError, UnicodeDecodeError) as error:
        if not named:
            return None
        raise EngineError(f"RAY_AUTH_TOKEN_PATH names {path}, which cannot be read: {error}; {REMEDY}") from None


def _checked(found: str, where: str) -> str:
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise EngineError(f"what {where} holds is no token: one line without spaces, of ASCII signs; {REMEDY}")
    return found


def check_door(address: str) -> None:
    """Raises EngineError for an address that is not loopback when there is no token to show."""
    if not is_loopback(address) and token() is None:
        raise EngineError(
            f"{without_password(address).lstrip('/')} is not on this machine, and a cluster is only spoken to with a token; {REMEDY}"
        )


def check_join(address: str | None) -> None:
    """The same for HOST:PORT of a Ray that is joined, by default that of RAY_ADDRESS; none, `auto` and `local` are on this machine."""
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None and address not in ("auto", "local"):
        check_door(address if "://" in address else f"//{address}")
