"""Canonical JSON, and JSON files that know when they are damaged.

Canonical: ASCII, keys sorted, no spaces, no NaN or infinity (JSON has none). One object, one sequence of bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from xai_ray.errors import CorruptRecord, SpecError

FORMAT = 1
"""Version of the envelope that `seal` writes."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(document: object, what: str) -> bytes:
    """The canonical JSON of an object. Raises SpecError that says where `what` is not JSON."""
    try:
        return _ENCODER.encode(document).encode("ascii")
    except (TypeError, ValueError) as error:
        raise SpecError(f"{what} is not JSON: {_offence(document, '$') or error}") from error


def seal(body: dict[str, Any], what: str) -> bytes:
    """One line of canonical JSON: the body with a format version and its SHA-256."""
    digest = hashlib.sha256(canonical(body, what)).hexdigest()
    return canonical({"body": body, "format": FORMAT, "sha256": digest}, what) + b"\n"


def unseal(data: bytes, where: str, remedy: str) -> dict[str, Any]:
    """The body of what `seal` wrote. Raises CorruptRecord, naming `where` and `remedy`, unless the checksum holds."""
    try:
        envelope = json.loads(data)
        version, body, digest = envelope["format"], envelope["body"], envelope["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRecord(f"{where} is damaged ({len(data)} bytes, not a sealed JSON object); {remedy}") from error
    if version != FORMAT:
        raise CorruptRecord(
            f"{where} has format version {version!r}, this release reads {FORMAT}; upgrade, or {remedy}"
        )
    if not isinstance(body, dict) or hashlib.sha256(canonical(body, where)).hexdigest() != digest:
        raise CorruptRecord(f"{where} fails its checksum; {remedy}")
    return body


def _offence(node: object, path: str) -> str | None:
    """The first place that is not JSON, in words."""
    if isinstance(node, dict):
        bad = next((key for key in node if not isinstance(key, str)), None)
        if bad is not None:
            return f"{path} has the key {bad!r}; keys must be strings"
        found = (_offence(child, f"{path}.{key}") for key, child in node.items())
        return next(filter(None, found), None)
    if isinstance(node, list | tuple):
        return next(filter(None, (_offence(child, f"{path}[{i}]") for i, child in enumerate(node))), None)
    if isinstance(node, float) and not math.isfinite(node):
        return f"{path} is {node}; JSON has no such number, use null or a string"
    if node is None or isinstance(node, str | int | float):
        return None
    return f"{path} is of type {type(node).__name__}; use plain numbers, strings, lists and objects"
