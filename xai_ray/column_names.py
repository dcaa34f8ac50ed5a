"""Columns of tables by their names: in the order of whoever takes them, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence

from xai_ray.errors import InputError

UNNAMED = "column "
"""How columns of arrays are called."""


def column_order(
    columns: Sequence[str], wanted: Sequence[str], where: str, who: str = "the model takes"
) -> list[int] | None:
    """Places of the wanted columns among these; None where they stay as they are: the same order, or no names on one of the sides.

    `who` says whose they are. InputError that begins with `where` for columns that are missing or too many.
    """
    if not wanted or tuple(wanted) == tuple(columns):
        return None
    missing = [name for name in wanted if name not in columns]
    spare = [name for name in columns if name not in wanted]
    if not missing and not spare:
        return [list(columns).index(name) for name in wanted]
    if _unnamed(columns) or _unnamed(wanted):
        if len(wanted) == len(columns):
            return None
        raise InputError(f"{where}: {len(columns)} columns, {who} {len(wanted)}")
    lacks = f"{who} {missing[0]!r}, which is not among its {len(columns)} columns" if missing else ""
    extra = f"column {spare[0]!r} is none of them; leave it out with drop = [{spare[0]!r}]" if spare else ""
    few = (
        f"{who} {len(wanted)} columns, {', '.join(wanted[:4])}{', ...' if len(wanted) > 4 else ''}"
        if not missing
        else ""
    )
    raise InputError(f"{where}: {'; '.join(part for part in (lacks, few, extra) if part)}")


def _unnamed(names: Sequence[str]) -> bool:
    return all(name.startswith(UNNAMED) for name in names)
