"""Blocks of players that cover pairs: pairs of groups for all pairs, a greedy cover for given ones. Deterministic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xai_ray.types import Ints


@dataclass(frozen=True, slots=True)
class Block:
    """w players and the e pairs of them that the block answers for; every pair is in one block of a cover."""

    members: Ints
    """Shape (w,): players, or positions in a relabelling; ascending."""
    edges: Ints
    """Shape (e, 2): numbers within `members`."""

    @property
    def shape(self) -> tuple[int, bytes]:
        """Number of players and pairs, hashable: blocks of one shape have the same stars."""
        return len(self.members), self.edges.tobytes()


@lru_cache(maxsize=64)
def group_blocks(n: int, size: int) -> tuple[Block, ...]:
    """All pairs of n positions, by blocks of two groups of up to `size` positions (the pairs across) and, first, single groups."""
    groups = [np.arange(start, min(start + size, n), dtype=np.int64) for start in range(0, n, size)]
    inner = [Block(g, np.stack(np.triu_indices(len(g), 1), axis=1).astype(np.int64)) for g in groups if len(g) > 1]
    across = [
        Block(np.concatenate([g, h]), _across(len(g), len(h))) for a, g in enumerate(groups) for h in groups[a + 1 :]
    ]
    return tuple(inner + across)


def _across(left: int, right: int) -> Ints:
    first = np.repeat(np.arange(left, dtype=np.int64), right)
    return np.stack([first, np.tile(np.arange(left, left + right, dtype=np.int64), left)], axis=1)


@lru_cache(maxsize=64)
def union_blocks(n: int, size: int) -> Ints:
    """Shape (blocks, size): positions such that every pair of n >= size positions is in a block; unions of two groups of size // 2."""
    half = max(1, size // 2)
    groups = [np.arange(start, min(start + half, n)) for start in range(0, n, half)]
    if len(groups) == 1 or size >= n:
        return np.arange(n, dtype=np.int64)[None, :size]
    blocks: list[Ints] = []
    for a, g in enumerate(groups):
        for h in groups[a + 1 :]:
            both = np.concatenate([g, h])
            filling = np.setdiff1d(np.arange(n), both)[: size - len(both)]
            blocks.append(np.sort(np.concatenate([both, filling])).astype(np.int64))
    return np.stack(blocks)


@lru_cache(maxsize=16)
def pair_blocks(n: int, size: int, pairs: tuple[tuple[int, int], ...]) -> tuple[Block, ...]:
    """Given pairs (i < j) by blocks of up to `size` players: from the first uncovered pair on, the player who brings most."""
    open_ = np.zeros((n, n), dtype=np.bool_)
    at = np.array(pairs, dtype=np.int64)
    open_[at[:, 0], at[:, 1]] = open_[at[:, 1], at[:, 0]] = True
    blocks: list[Block] = []
    for i, j in pairs:
        if not open_[i, j]:
            continue
        members = [i, j]
        while len(members) < size:
            gain = open_[members].sum(axis=0)
            gain[members] = 0
            best = int(gain.argmax())
            if gain[best] == 0:
                break
            members.append(best)
        chosen = np.array(sorted(members), dtype=np.int64)
        inside = np.triu(open_[np.ix_(chosen, chosen)])
        blocks.append(Block(chosen, np.argwhere(inside).astype(np.int64)))
        open_[np.ix_(chosen, chosen)] = False
    return tuple(blocks)
