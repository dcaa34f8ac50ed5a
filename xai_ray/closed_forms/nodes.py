"""Trees as arrays of nodes, and the box of every leaf: all trees of a forest go down one level at a time, together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xai_ray.types import Floats, Ints


@dataclass(frozen=True)
class Tree:
    """Nodes of one tree, or of several, one tree after the other. A row goes left where its feature is at most the threshold."""

    left: Ints
    """Shape (nodes,); -1 at a leaf."""
    right: Ints
    feature: Ints
    threshold: Floats
    value: Floats
    """Shape (nodes, m): what a leaf adds to the outputs."""
    roots: Ints
    """Shape (trees,): where each tree begins."""


def one_tree(left: Ints, right: Ints, feature: Ints, threshold: Floats, value: Floats) -> Tree:
    """A tree whose root is its first node."""
    return Tree(left, right, feature, threshold, value, np.zeros(1, dtype=np.int64))


def joined(trees: Sequence[Tree], value: Floats) -> Tree:
    """Trees as one, whose children are counted within each; `value` (nodes, m) is of all of them."""
    left, right, feature, threshold = (
        [getattr(tree, name) for tree in trees] for name in ("left", "right", "feature", "threshold")
    )
    sizes = np.array([len(part) for part in left], dtype=np.int64)
    roots = np.cumsum(sizes) - sizes
    shift = np.repeat(roots, sizes)
    lefts, rights = (np.concatenate(side).astype(np.int64) for side in (left, right))
    ends = lefts < 0
    lefts, rights = (np.where(ends, -1, side + shift) for side in (lefts, rights))
    return Tree(lefts, rights, np.concatenate(feature).astype(np.int64), np.concatenate(threshold), value, roots)


def in_columns(value: Floats, trees: Ints, m: int) -> Floats:
    """Values (nodes,) of trees with one number a leaf, in the column of the output that each tree adds to: shape (nodes, m).

    `trees` counts the nodes of each tree; trees take turns among the outputs.
    """
    out = np.zeros((len(value), m))
    out[np.arange(len(value)), np.repeat(np.arange(len(trees)) % m, trees)] = value
    return out


@dataclass(frozen=True)
class Boxes:
    """The l leaves that a row can reach and that add something, those with most conditions first."""

    leaf: Ints
    """Shape (l,): their nodes."""
    feature: Ints
    """Shape (l, c): of each condition, -1 behind the last one of a leaf."""
    low: Floats
    """Shape (l, c): a row lies above it."""
    high: Floats
    """Shape (l, c): and at or below it."""


def boxes(tree: Tree) -> Boxes:
    """Several conditions on one feature become one interval; branches that contradict themselves are left out."""
    at = tree.roots
    feature = np.full((len(at), 1), -1, dtype=np.int64)
    low, high = np.full((len(at), 1), -np.inf), np.full((len(at), 1), np.inf)
    found: list[tuple[Ints, Ints, Floats, Floats]] = []
    pays = np.asarray(tree.value.any(axis=1))
    while len(at):
        inner = tree.left[at] >= 0
        ended = ~inner & pays[at]
        if ended.any():
            found.append((at[ended], feature[ended], low[ended], high[ended]))
        at, feature, low, high = at[inner], feature[inner], low[inner], high[inner]
        column, cut = tree.feature[at], tree.threshold[at]
        # The place of the interval on this feature, or the first that is free.
        same = feature == column[:, None]
        place = np.where(same.any(axis=1), same.argmax(axis=1), (feature >= 0).sum(axis=1))
        if place.max(initial=0) == feature.shape[1]:
            feature, low, high = _one_more(feature, low, high)
        row = np.arange(len(at))
        feature[row, place] = column
        least, most = low[row, place], high[row, place]
        left, right = np.flatnonzero(least < cut), np.flatnonzero(cut < most)
        both = np.concatenate([left, right])
        at = np.concatenate([tree.left[at[left]], tree.right[at[right]]])
        feature, low, high = feature[both], low[both], high[both]
        lefts, rights = np.arange(len(left)), np.arange(len(left), len(both))
        high[lefts, place[left]] = np.minimum(most, cut)[left]
        low[rights, place[right]] = np.maximum(least, cut)[right]
    return _gathered(found or [(at, feature, low, high)])


def _one_more(feature: Ints, low: Floats, high: Floats) -> tuple[Ints, Floats, Floats]:
    """A place more for conditions."""
    some = (len(feature), 1)
    return (
        np.concatenate([feature, np.full(some, -1, dtype=np.int64)], axis=1),
        np.concatenate([low, np.full(some, -np.inf)], axis=1),
        np.concatenate([high, np.full(some, np.inf)], axis=1),
    )


def _gathered(found: list[tuple[Ints, Ints, Floats, Floats]]) -> Boxes:
    counts = np.concatenate([(part[1] >= 0).sum(axis=1) for part in found])
    width, count = int(counts.max(initial=0)), len(counts)
    feature = np.full((count, width), -1, dtype=np.int64)
    low, high = np.full((count, width), -np.inf), np.full((count, width), np.inf)
    leaf = np.concatenate([part[0] for part in found])
    # Those with most conditions first, then as they come in the forest.
    to = np.empty(count, dtype=np.int64)
    order = np.lexsort((leaf, -counts))
    to[order] = np.arange(count)
    start = 0
    for _, *parts in found:
        rows, used = to[start : start + len(parts[0])], min(width, parts[0].shape[1])
        for whole, part in zip((feature, low, high), parts, strict=True):
            whole[rows, :used] = part[:, :used]
        start += len(rows)
    return Boxes(leaf[order], feature, low, high)
