"""A slice of rows as a spec gives it."""

from __future__ import annotations

from xai_ray.errors import InputError


def span_of(rows: str | None, count: int, where: str) -> slice:
    """`"a:b"` of `count` rows as a slice; None is all of them. Raises InputError for rows that are not there."""
    if rows is None:
        return slice(0, count)
    start, stop = (int(end) if end else usual for end, usual in zip(rows.split(":"), (0, count), strict=True))
    if start >= stop:
        raise InputError(f'{where}: rows = "{rows}" takes no row; "a:b" begins at row a and ends before row b')
    if stop > count:
        raise InputError(f'{where}: rows = "{rows}" lies outside of its {count} rows, 0:{count}')
    return slice(start, stop)
