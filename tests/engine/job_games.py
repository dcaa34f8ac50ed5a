"""Games that tests of jobs share: one that counts its evaluations, one that answers NaN once, one on torch."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import numpy as np

from tests.games import smooth_table
from xai_ray.games import Columns, Logit, Marginal, ModelGame, TableGame, Zeros
from xai_ray.types import Coalitions, Ints, Values


class Counting:
    """A table game that counts the rows asked of it, and remembers the coalitions."""

    block = 1

    def __init__(self, n: int, outputs: int = 1, seed: int = 0, stochastic: bool = False) -> None:
        self.inner = TableGame(smooth_table(n, outputs, seed))
        self.n_players, self.n_outputs = n, outputs
        self.player_names: Sequence[str] = self.inner.player_names
        self.output_names: Sequence[str] = self.inner.output_names
        self.digest, self.stochastic = self.inner.digest, stochastic
        self.rows = 0
        self.seen: list[Ints] = []

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        self.rows += len(coalitions)
        self.seen.append(coalitions @ (1 << np.arange(self.n_players)))
        noise = 0.1 * np.cos(context[:, None] * 1.7) if self.stochastic else 0.0
        return self.inner.values(coalitions, context) + noise


class NanOnce(Counting):
    """NaN for one coalition until it is mended."""

    bad: int | None = None

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        out = super().values(coalitions, context)
        out[coalitions @ (1 << np.arange(self.n_players)) == self.bad] = np.nan
        return out


def network(batch: int = 8, samples: int | None = None) -> ModelGame:
    """A small multilayer perceptron on nine columns; with `samples`, absent columns come from sampled rows."""
    # Here, so that processes which only count need not load it.
    import torch
    from torch import nn

    rng = np.random.default_rng(3)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 2))
    removal = Zeros() if samples is None else Marginal(rng.normal(size=(20, 9)), samples, 5)
    return ModelGame(model, rng.normal(size=9), players=Columns(), removal=removal, behaviour=Logit(1), batch=batch)


def run_in_process(folder: str, gate: Barrier, answers: Queue[bytes]) -> None:
    """One of several processes that run one job into one store at the same moment."""
    from xai_ray.api import explain

    game = Counting(10)
    gate.wait()
    found = explain(game, "SV", budget=600, store=folder)
    answers.put(found.values.tobytes() + found.std_errors.tobytes())
