"""Addresses as they may be shown. Whatever a user typed as a password is in none of them, even where the address is wrong."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_HIDDEN = ("password", "username")


def is_readable(url: str) -> bool:
    """Whether a URL can be taken apart without doubt: a password with a bare `/`, `?`, `#` or `@` ends in the wrong part."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if "@" in (parts.username or "") + parts.fragment or (
        "@" in parts.query and "=" not in parts.query.partition("@")[0]
    ):
        return False
    return not (parts.netloc and "@" not in parts.netloc and "@" in parts.path)


def has_password(url: str) -> bool:
    """Whether a URL carries a password, or may."""
    if "://" not in url or ("@" not in url and "password" not in url):
        return False
    if not is_readable(url):
        return "@" in url
    parts = urlsplit(url)
    return parts.password is not None or "password" in dict(parse_qsl(parts.query, keep_blank_values=True))


def without_password(url: str) -> str:
    """The URL with user, place and options, without the password; a path as it is."""
    scheme, mark, rest = url.partition("://")
    if not mark or ("@" not in rest and "?" not in rest):
        return url
    if not is_readable(url):
        # Where the password ends is anybody's guess; the last @ is behind it, and what follows it is a place.
        return f"{scheme}://{rest.rpartition('@')[2]}"
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name = quote(unquote(user.partition(":")[0]), safe="")
    options = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in _HIDDEN]
    query = f"?{urlencode(options, safe='/')}" if options else ""
    return f"{scheme}://{name}{at if name else ''}{host}{parts.path}{query}"
