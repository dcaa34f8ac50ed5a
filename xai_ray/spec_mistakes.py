"""What pydantic found wrong with a spec, in words: one line a place, with its dotted path and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Places:
    """Which model lies where, for finding the valid names beside a wrong one."""

    root: type[BaseModel]
    members: Mapping[str, type[BaseModel]]
    """Members of unions, by class name and by the value of their `kind`."""
    nested: Mapping[str, type[BaseModel]]
    """Models that are no union, by the key they stand at."""


def mistakes(errors: list[dict[str, Any]], document: dict[str, Any], places: Places) -> list[str]:
    """One line a place; of the several complaints of a union the one that fits what was given."""
    by_path: dict[str, list[dict[str, Any]]] = {}
    for error in errors:
        by_path.setdefault(_walk(error["loc"], document, places)[0], []).append(error)
    # A union complains at its own place as well, and a list with a bad item about its length: the inner place says more.
    inner = [path for path in by_path if not any(other.startswith((f"{path}.", f"{path}[")) for other in by_path)]
    return [_explain(path, _fitting(by_path[path]), document, places) for path in inner]


def _fitting(found: list[dict[str, Any]]) -> dict[str, Any]:
    named = [e for e in found if (e["type"] == "literal_error") == isinstance(e.get("input"), str)]
    return (named or found)[0]


def _explain(path: str, error: dict[str, Any], document: dict[str, Any], places: Places) -> str:
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: unknown key{_nearest(str(error['loc'][-1]), list(_walk(error['loc'], document, places)[1].model_fields))}"
    if kind == "missing":
        return f"{path}: this key is needed"
    if kind == "union_tag_invalid":
        tags = [t.strip(" '") for t in str(context.get("expected_tags", "")).split(",")]
        return f"{path}.kind: unknown {context.get('tag')!r}{_nearest(str(context.get('tag')), tags)}"
    if kind == "union_tag_not_found":
        return f"{path}: {_WANTED.get(path.rsplit('.', 1)[-1], 'the key `kind` is needed')}, got {given!r}"
    if kind == "literal_error":
        options = [o.strip(" '") for o in str(context.get("expected", "")).replace(" or ", ", ").split(",")]
        return f"{path}: {given!r} is not allowed{_nearest(str(given), options)}"
    if kind == "string_pattern_mismatch" and (form := _FORMS.get(path.rsplit(".", 1)[-1])):
        return f"{path}: {form}, got {given!r}"
    return f"{path}: {error['msg'][0].lower() + error['msg'][1:]}, got {given!r}"


_FORMS = {
    "rows": 'a slice of rows as rows = "0:1000" (row 0 up to row 999; either number may be left out)',
    "factory": 'a function as factory = "package.module:function"',
    "name": "a name of small letters, digits and hyphens, 41 at most, which begins with a letter or a digit",
}
"""What a text of a fixed form is, by the key it stands at."""

_WANTED = {
    "model": 'a model is { factory = "package.module:function" } or { file = "model.pt", trust = true }',
    "data": 'training data are { table, target }, { arrays }, { sklearn } or { factory = "package.module:function" }',
    "test": "test rows are { table } or { share, seed }",
    "input": 'an input is a path, "skimage:NAME", { table, row }, { sklearn, row }, { text }, { texts, row } { passages } or { dataset }',
}


def _walk(location: tuple[int | str, ...], document: Any, places: Places) -> tuple[str, type[BaseModel]]:
    """Dotted path of a place, without the names of union members that pydantic puts in between, and the model it lies in."""
    parts: list[str] = []
    node, model, tagged = document, places.root, False
    for position, key in enumerate(location):
        if isinstance(key, int):
            parts.append(f"[{key}]")
            node = node[key] if isinstance(node, (list, tuple)) and key < len(node) else None
        elif tagged and key in places.members:
            model, tagged = places.members[key], False
            continue
        elif key in model.model_fields or (position == len(location) - 1 and isinstance(node, dict) and key in node):
            parts.append(f".{key}")
            node = node.get(key) if isinstance(node, dict) else None
        elif isinstance(node, dict) and key in node:
            parts.append(f".{key}")
            node = node[key]
        tagged = True
        if isinstance(key, str) and key in places.nested:
            model = places.nested[key]
    return "".join(parts).lstrip(".") or "spec", model


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(known)}"
