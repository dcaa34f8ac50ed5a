"""Which players' conditions of a leaf a row fails, as bits: all that a leaf sees of a row.

A leaf has a bit for each of its players, in words of up to 64; beside them stands whether a row fails a condition on a column that always
stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.closed_forms.forest import Array, Forest
from xai_ray.types import Ints, Mask

Codes = npt.NDArray[np.unsignedinteger[Any]]
"""Bits of players, last axis (words,)."""
_WORD = 64


@dataclass(frozen=True)
class Members:
    """Players of the leaves of a forest, and the bit of each condition."""

    players: Ints
    """Shape (l, q): the player of each bit, -1 where the leaf has none."""
    bit: Ints
    """Shape (l, c): -1 where a condition is on a column that always stays."""

    @classmethod
    def of(cls, forest: Forest, labels: Ints) -> Members:
        """`labels` (d,) is the player of each column, -1 where it always stays."""
        owner = np.where(forest.feature < 0, -1, labels[np.maximum(forest.feature, 0)])
        if np.bincount(labels[labels >= 0]).max(initial=0) <= 1:
            # A leaf has one condition a column, so one a player.
            return cls(owner, np.where(owner < 0, -1, np.arange(owner.shape[1], dtype=np.int64)))
        none = np.iinfo(np.int64).max
        order = np.argsort(np.where(owner < 0, none, owner), axis=1, kind="stable")
        ordered = np.take_along_axis(owner, order, axis=1)
        new = ordered >= 0
        new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
        rank = np.where(ordered >= 0, np.cumsum(new, axis=1) - 1, -1)
        bit = np.empty_like(owner)
        np.put_along_axis(bit, order, rank, axis=1)
        players = np.full((len(owner), int(new.sum(axis=1).max(initial=0))), -1, dtype=np.int64)
        leaf, place = np.nonzero(new)
        players[leaf, rank[leaf, place]] = ordered[leaf, place]
        return cls(players, bit)


def failed(forest: Forest, columns: Array, leaves: slice, members: Members, q: int) -> tuple[Codes, Mask]:
    """Bits of the players whose conditions rows, given as columns (d, r), fail, shape (l, r, words), and whether they fail a condition
    that is no player's, shape (l, r).
    """
    kind: Any = next((one for most, one in _KINDS if q <= most), np.uint64)
    words = max(1, -(-q // _WORD))
    shape = (leaves.stop - leaves.start, columns.shape[1])
    codes: Codes = np.zeros((words, *shape), dtype=kind)
    never = np.zeros(shape, dtype=np.bool_)
    for at, some, unmet in forest.unmet(columns, leaves):
        bit = members.bit[leaves][some, at]
        if (bit < 0).any():
            never[some] |= unmet & (bit < 0)[:, None]
        for word in range(words):
            here = np.where((bit >= 0) & (bit // _WORD == word), kind(1) << (bit % _WORD).astype(kind), kind(0))
            codes[word, some] |= unmet * here[:, None].astype(kind)
    return np.moveaxis(codes, 0, -1), never


_KINDS: tuple[tuple[int, Any], ...] = ((8, np.uint8), (16, np.uint16), (32, np.uint32))


@dataclass(frozen=True)
class Patterns:
    """Codes that occur, or may occur, leaf by leaf."""

    leaf: Ints
    """Shape (p,), ascending: the leaf within its block."""
    code: Codes
    """Shape (p, words)."""
    at: Ints
    """Shape (l, r): the pattern of each leaf and row."""


def patterns(codes: Codes, bits: Ints) -> Patterns:
    """Of codes (l, r, words) of leaves with some bits (l,): every code, or those that occur where that is less work."""
    leaves, rows, words = codes.shape
    leaf = np.arange(leaves, dtype=np.int64)
    if rows == 1:
        return Patterns(leaf, codes[:, 0], leaf[:, None])
    most = 2.0 ** np.minimum(bits, _WORD)
    if words == 1 and most.sum() <= codes.size:
        each = most.astype(np.int64)
        first = np.cumsum(each) - each
        every = (np.arange(each.sum()) - np.repeat(first, each)).astype(codes.dtype)
        return Patterns(np.repeat(leaf, each), every[:, None], first[:, None] + codes[:, :, 0])
    order = np.broadcast_to(np.arange(rows, dtype=np.int64), (leaves, rows))
    for word in range(words):
        keys = np.take_along_axis(codes[:, :, word], order, axis=1)
        order = np.take_along_axis(order, np.argsort(keys, axis=1, kind="stable"), axis=1)
    ordered = np.take_along_axis(codes, order[:, :, None], axis=1)
    new = np.ones((leaves, rows), dtype=np.bool_)
    new[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=2)
    at = np.empty((leaves, rows), dtype=np.int64)
    np.put_along_axis(at, order, np.cumsum(new).reshape(new.shape) - 1, axis=1)
    return Patterns(np.nonzero(new)[0], ordered[new], at)


_ONES = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.int64)


def ones(codes: Codes) -> Ints:
    """Bits that are set in each of some codes (p, words): shape (p,)."""
    return _ONES[np.ascontiguousarray(codes).view(np.uint8)].sum(axis=-1)
