"""Gradient-boosted trees on (coalition, value) as a sum of leaves (LightGBM: Ke et al., NeurIPS 2017).

One model an output; the features are the players and the size of the coalition. Trees are grown by one thread from fixed seeds, so
the same rows give the same bits.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import lightgbm
import numpy as np

from xai_ray.estimators.leaves import Leaves
from xai_ray.types import Coalitions, Floats, Ints


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees are grown. The defaults suit 10 to 40 rows a player; `benchmarks/accuracy.py --ours proxy` measures a change."""

    trees: int = 300
    rate: float = 0.1
    leaves: int = 15
    depth: int = 6
    least: int = 3
    """Rows that a leaf needs."""
    ridge: float = 0.0
    """L2 penalty on leaf values."""
    rows: float = 1.0
    """Share of the rows that a tree sees."""
    players: float = 1.0
    """Share of the features that a tree sees."""
    by_size: bool = False
    """Whether trees may split on the size of the coalition."""

    def parameters(self) -> dict[str, Any]:
        """For LightGBM."""
        return {
            "objective": "regression",
            "num_leaves": self.leaves,
            "max_depth": self.depth,
            "learning_rate": self.rate,
            "min_data_in_leaf": self.least,
            "min_sum_hessian_in_leaf": 0.0,
            "lambda_l2": self.ridge,
            "bagging_fraction": self.rows,
            "bagging_freq": 1 if self.rows < 1 else 0,
            "feature_fraction": self.players,
            "boost_from_average": False,
            "enable_bundle": False,
            "feature_pre_filter": False,
            "min_data_in_bin": 1,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "seed": 1,
            "verbosity": -1,
        }


def grow(coalitions: Coalitions, target: Floats, growth: Growth) -> lightgbm.Booster:
    """Trees for one output: coalitions (r, n), target (r,)."""
    parameters = growth.parameters()
    data = lightgbm.Dataset(features(coalitions, growth.by_size), target, params=parameters, free_raw_data=True)
    # What LightGBM does otherwise, writing the model out as text and reading it again, takes as long as growing it from few rows.
    return lightgbm.train(parameters, data, num_boost_round=growth.trees, keep_training_booster=True)


@dataclass(frozen=True)
class Trees:
    """Grown trees of one output: LightGBM's own form, which predicts fast, and their leaves, which have closed forms."""

    booster: lightgbm.Booster
    n_players: int
    by_size: bool

    @classmethod
    def grown(cls, coalitions: Coalitions, target: Floats, growth: Growth) -> Trees:
        """Trees for coalitions (r, n) with target (r,)."""
        return cls(grow(coalitions, target, growth), coalitions.shape[1], growth.by_size)

    @cached_property
    def leaves(self) -> Leaves:
        """Read from the model when first asked for: trees that only predict need none."""
        return leaves_of(self.booster, self.n_players)

    def predict(self, coalitions: Coalitions) -> Floats:
        """Values of coalitions (r, n), shape (r,)."""
        return np.asarray(self.booster.predict(features(coalitions, self.by_size), num_threads=1), dtype=np.float64)


def features(coalitions: Coalitions, by_size: bool) -> Floats:
    """Players, then the size where trees may see it; shape (r, n) or (r, n + 1)."""
    plain = coalitions.astype(np.float64)
    return np.column_stack([plain, plain.sum(axis=1)]) if by_size else plain


def leaves_of(booster: lightgbm.Booster, n: int) -> Leaves:
    """The trees of a booster on n players (and the size) as leaves, level by level over all trees at once."""
    nodes = _Nodes.of(booster.model_to_string())
    count = len(nodes.roots)
    at, players = nodes.roots, np.full((count, 0), -1, dtype=np.int64)
    needed = np.zeros((count, 0), dtype=np.bool_)
    low, high = np.zeros(count, dtype=np.int64), np.full(count, n, dtype=np.int64)
    done: list[tuple[Floats, Ints, Any, Ints, Ints]] = []
    while len(at):
        ended = at < 0
        if ended.any():
            done.append((nodes.value[~at[ended]], players[ended], needed[ended], low[ended], high[ended]))
            at, players, needed, low, high = at[~ended], players[~ended], needed[~ended], low[~ended], high[~ended]
        player = nodes.feature[at] < n
        column = np.where(player, nodes.feature[at], -1)[:, None]
        bound = np.floor(nodes.threshold[at]).astype(np.int64)
        players = np.tile(np.concatenate([players, column], axis=1), (2, 1))
        needed = np.concatenate(
            [np.column_stack([needed, np.zeros(len(at), dtype=np.bool_)]), np.column_stack([needed, player])]
        )
        low = np.concatenate([low, np.where(player, low, np.maximum(low, bound + 1))])
        high = np.concatenate([np.where(player, high, np.minimum(high, bound)), high])
        at = np.concatenate([nodes.left[at], nodes.right[at]])
    width = max((players.shape[1] for _, players, *_ in done), default=0)
    return Leaves.of(
        n,
        np.concatenate([value for value, *_ in done]),
        np.concatenate([np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=-1) for _, p, *_ in done]),
        np.concatenate([np.pad(m, ((0, 0), (0, width - m.shape[1]))) for _, _, m, *_ in done]),
        np.concatenate([low for *_, low, _ in done]),
        np.concatenate([high for *_, high in done]),
    )


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Inner nodes and leaves of all trees, numbered through; a child below zero is the leaf ~child."""

    roots: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats

    @classmethod
    def of(cls, text: str) -> _Nodes:
        """From LightGBM's own text form of a model."""
        columns: dict[str, list[Floats]] = {
            key: [] for key in ("split_feature", "threshold", "left_child", "right_child", "leaf_value")
        }
        inner = ends = 0
        roots: list[int] = []
        for tree in text.split("\nTree=")[1:]:
            fields = dict(line.split("=", 1) for line in tree.splitlines() if "=" in line)
            found = {key: np.array(fields.get(key, "").split(), dtype=np.float64) for key in columns}
            roots.append(inner if len(found["split_feature"]) else ~ends)
            for key in ("left_child", "right_child"):
                child = found[key]
                found[key] = np.where(child < 0, child - ends, child + inner)
            for key, column in columns.items():
                column.append(found[key])
            inner, ends = inner + len(found["split_feature"]), ends + len(found["leaf_value"])
        flat = {key: np.concatenate(column) for key, column in columns.items()}
        whole = {key: flat[key].astype(np.int64) for key in ("split_feature", "left_child", "right_child")}
        return cls(
            np.array(roots, dtype=np.int64), whole["split_feature"], flat["threshold"], whole["left_child"],
            whole["right_child"], flat["leaf_value"],
        )  # fmt: skip
