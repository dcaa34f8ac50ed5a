"""Shapley effects: v(S) = Var(E[f(X) | X_S]) for independent inputs; the Shapley values share out the variance of the model's output.

Owen, "Sobol' indices and Shapley value" (SIAM/ASA JUQ 2, 2014). Two independent inputs x and x' give an unbiased value without an inner
loop, by exchanging the players outside S ("pick and freeze"; the difference form of Mauntz, in Sobol' et al., RESS 92, 2007):

    E f(x) [f(x_S, x'_rest) - f(x')] = Var(E[f | X_S]),    for any f shifted by a constant.

The nested loop of Song, Nelson, Staum, "Shapley effects for global sensitivity analysis" (SIAM/ASA JUQ 4, 2016) is unbiased as well, for
E[Var(f | X_rest)], whose Shapley values are the same; it needs two or more inner draws for each outer one. Dependent inputs would need
draws from their conditional laws, which neither rows nor marginals give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import InputError, NonFiniteValue, SpecError
from xai_ray.games.arguments import arrange
from xai_ray.games.digest import described_model, fingerprint
from xai_ray.games.labelled.labels import data_rows
from xai_ray.games.named_columns import check_column_order
from xai_ray.games.passes.backends import pick_device
from xai_ray.games.passes.resting import moved, resting
from xai_ray.games.players.arrays import Columns, Players
from xai_ray.games.rows.cells import RowCells, default_batch, whole_block
from xai_ray.games.view import View
from xai_ray.types import Coalitions, Floats, Ints, Values

EXPECTED = 4096
"""Pairs of scrambled Sobol' points that stand for the whole distribution."""
_LARGEST = 10_600
"""Players up to which Sobol' points are there, two dimensions each."""


class VarianceGame:
    """v(S) = Var(E[f(X) | X_S]), one output for each number that the model returns; independent players.

    `inputs`   rows (R, d): each player draws its columns from a row of its own, so that players are independent whatever the rows say;
               or one distribution a column, objects with `ppf` as scipy.stats has them (each column is then a player).
    `samples`  pairs of inputs of each context: the stochastic game whose noise is part of every standard error; None takes the same
               4,096 Sobol' pairs for all coalitions: a deterministic game, near the truth by quasi Monte Carlo.

    The expectation (context -1) is that over the Sobol' pairs; `permutation` reads no expectation and is unbiased. v(empty) is 0.
    A value costs four model rows a pair. Raises SpecError, InputError, ModelOutputError, NonFiniteValue.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        inputs: Any,
        *,
        players: Players | None = None,
        samples: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        threads: int = 1,
        device: str = "cpu",
        player_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        if not callable(model):
            raise SpecError(f"the model is not callable: {type(model).__name__}; pass its predict function")
        if samples is not None and samples < 1:
            raise SpecError(f"samples must be at least 1, got {samples}")
        check_column_order(model, inputs, players)
        self._marginals = _marginals(inputs)
        example = self._marginals.columns(np.full((1, self._marginals.width), 0.5))[0]
        self._arguments = arrange(example, players or Columns(), None)
        labels = np.broadcast_to(self._arguments.inputs[0].layout.labels, example.shape)
        if (labels < 0).any():
            raise InputError("every column needs a player: one that always stays would have no variance to share")
        if isinstance(self._marginals, _Laws) and len(np.unique(labels)) < len(labels):
            raise SpecError("distributions are one a column; groups of columns need rows to draw from")
        self._labels, usual = labels, self._arguments.player_names
        if player_names is not None and len(player_names) != len(usual):
            raise InputError(f"{len(player_names)} player names for {len(usual)} players")
        self.player_names = usual if player_names is None else tuple(str(n) for n in player_names)
        self.n_players, self.stochastic = len(usual), samples is not None
        if 2 * self.n_players > 2 * _LARGEST:
            raise SpecError(f"Sobol' points are there for {_LARGEST:,} players, not for {self.n_players:,}")
        self._samples, self._seed, self.threads, self.device = samples or EXPECTED, seed, threads, device
        self.batch = default_batch(example[None], pick_device(device)) if batch is None else batch
        if self.batch < 1:
            raise SpecError(f"batch must be at least 1, got {batch}")
        self.block = whole_block(4 * self._samples, self.batch)
        self._model: Any = resting(model)
        self._cells: RowCells | None = None
        self._fixed = self._split(qmc.Sobol(2 * self.n_players, scramble=True, seed=0).random(EXPECTED))  # pyright: ignore[reportCallIssue]
        probe = self._full(self._fixed[0][:256])
        self._centre = probe.mean(axis=0)
        self.n_outputs = probe.shape[1]
        self.output_names = tuple(output_names or (f"variance of output {at}" for at in range(self.n_outputs)))
        if len(self.output_names) != self.n_outputs:
            raise InputError(f"{len(self.output_names)} output names for {self.n_outputs} outputs")
        self.view = View("plain", self.player_names)
        parts = ["variance game", str(samples), str(seed), self._fixed[0], self._fixed[1], labels]
        self.digest = fingerprint([*described_model(self._model, probe[:2]), *parts])

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k), in forward passes of one shape."""
        out = np.empty((len(coalitions), self.n_outputs))
        for start in range(0, len(coalitions), self.block):
            part = slice(start, min(start + self.block, len(coalitions)))
            out[part] = self._block_values(coalitions[part], context[part])
        return out

    def _block_values(self, coalitions: Coalitions, context: Ints) -> Floats:
        if not self.stochastic:
            return self._expected(coalitions)
        drawn = context >= 0
        out = np.empty((len(coalitions), self.n_outputs))
        if drawn.any():
            # Expectations ride along with context 0, so that every value keeps its place in the batches.
            out[:] = self._frozen(coalitions, *self._pairs(np.where(drawn, context, 0)))
        for row in np.flatnonzero(~drawn):
            out[row] = self._expected(coalitions[row : row + 1])[0]
        return out

    def _expected(self, coalitions: Coalitions) -> Floats:
        """Over the Sobol' pairs, a coalition at a time."""
        one, other = (part[None] for part in self._fixed)
        return np.concatenate([self._frozen(row[None], one, other) for row in coalitions])

    def _frozen(self, coalitions: Coalitions, one: Floats, other: Floats) -> Floats:
        """Mean over pairs of inputs, each (c, q, d), of the product above, with x and x' in both parts."""
        c, q, d = one.shape
        flat = [part.reshape(c * q, d) for part in (one, other)]
        present = np.concatenate([coalitions, np.ones((1, self.n_players), dtype=np.bool_)])
        which = np.repeat(np.arange(c), q)
        every = np.full(c * q, c)
        rows, rest = np.concatenate([flat[0], flat[1], *flat]), np.concatenate([flat[1], flat[0], *flat[::-1]])
        passed = self._running().outputs(present, np.concatenate([every, every, which, which]), rows, rest)
        own, others, mixed, exchanged = passed.reshape(4, c, q, -1) - self._centre
        return (own * (mixed - others) + others * (exchanged - own)).mean(axis=1) / 2

    def _pairs(self, context: Ints) -> tuple[Floats, Floats]:
        """Inputs x and x' of contexts, each (c, samples, d)."""
        words = random_words(self._seed, Stream.INPUT_PAIRS, 0, context, self._samples * 2 * self.n_players)
        unit = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        one, other = self._split(unit.reshape(len(context) * self._samples, 2 * self.n_players))
        return tuple(part.reshape(len(context), self._samples, -1) for part in (one, other))  # pyright: ignore[reportReturnType]

    def _split(self, unit: Floats) -> tuple[Floats, Floats]:
        """Uniform numbers (r, 2n) as two inputs (r, d)."""
        unit = np.clip(unit, 2.0**-54, 1 - 2.0**-53)
        halves = unit[:, : self.n_players], unit[:, self.n_players :]
        one, other = (self._marginals.columns(half[:, self._labels]) for half in halves)
        return one, other

    def _full(self, rows: Floats) -> Floats:
        nobody = np.zeros(len(rows), dtype=np.int64)
        found = self._running().outputs(np.ones((1, self.n_players), dtype=np.bool_), nobody, rows, rows)
        if not np.isfinite(found).all():
            raise NonFiniteValue(
                f"the model's output on an input is not finite: {rows[np.argwhere(~np.isfinite(found))[0][0]]}"
            )
        return found

    def _running(self) -> RowCells:
        if self._cells is None:
            nothing = np.zeros((1, len(self._labels)))
            self._cells = RowCells(
                self._model, self._arguments, nothing, nothing, self.batch, self.threads, self.device
            )
        return self._cells

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cells": None, "_model": moved(self._model, "cpu")}


class _Rows:
    """Columns from rows by rank of the row: players that draw the same number draw the same row."""

    def __init__(self, rows: npt.NDArray[Any]) -> None:
        self.rows, self.width = rows.astype(np.float64), rows.shape[1]

    def columns(self, unit: Floats) -> Floats:
        """Uniform numbers (r, d) -> inputs (r, d)."""
        at = np.minimum((unit * len(self.rows)).astype(np.int64), len(self.rows) - 1)
        return np.take_along_axis(self.rows, at, axis=0)


class _Laws:
    """Columns by the inverse of each distribution function."""

    def __init__(self, laws: Sequence[Any]) -> None:
        self.laws, self.width = tuple(laws), len(laws)

    def columns(self, unit: Floats) -> Floats:
        """Uniform numbers (r, d) -> inputs (r, d)."""
        return np.stack(
            [np.asarray(law.ppf(unit[:, at]), dtype=np.float64) for at, law in enumerate(self.laws)], axis=1
        )


def _marginals(inputs: Any) -> _Rows | _Laws:
    if isinstance(inputs, (list, tuple)) and inputs and all(hasattr(law, "ppf") for law in inputs):
        return _Laws(inputs)
    if isinstance(inputs, (list, tuple)) and any(hasattr(law, "ppf") for law in inputs):
        at = next(i for i, law in enumerate(inputs) if not hasattr(law, "ppf"))
        raise InputError(
            f"inputs: number {at} ({inputs[at]!r}) is no distribution with `ppf`; give one for each column"
        )
    rows = data_rows(inputs)
    rows = rows if isinstance(rows, np.ndarray) else rows.detach().cpu().float().numpy()
    if rows.ndim != 2:
        raise InputError(f"inputs are rows (R, d), or one distribution with `ppf` a column; got shape {rows.shape}")
    return _Rows(rows)
