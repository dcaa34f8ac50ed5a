"""Every method of data valuation on one split, with what it was allowed to spend."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor, nn
from valuation_splits import Split

import xai_ray as xr
from xai_ray.valuation import (
    TrainingGame,
    arnoldi_influence,
    class_wise_shapley,
    data_oob_values,
    distributional_shapley,
    gradient_shapley,
    in_run_shapley,
    knn_shapley,
    lava_values,
    leave_one_out_values,
    logistic_influence,
    threshold_knn_shapley,
    tracin_values,
    trak_values,
    truncated_shapley,
)
from xai_ray.valuation.g_shapley import best_rate

MODELS = 10_000
"""Trained models that a method which retrains may spend."""
EPOCHS, BATCH, RATE, DECAY = 20, 16, 0.1, 1e-3
CHECKPOINTS = 10
Found = tuple[np.ndarray, int | None]
"""Values (n,), and models trained (None: not by retraining)."""


@dataclass(frozen=True)
class Method:
    """A row of the tables."""

    title: str
    spends: str
    """The budget, in words."""
    values: Callable[[Split, int], Found]


def game(split: Split) -> TrainingGame:
    return TrainingGame(split.estimator, *split.arrays, scores=("accuracy",))


def asked(method: str, **settings: Any) -> Callable[[Split, int], Found]:
    """A method of `xai_ray.value`."""

    def values(split: Split, seed: int) -> Found:
        found = xr.value(split.estimator, *split.arrays, method=method, budget=MODELS, seed=seed, **settings)
        return found.values, found.evaluations

    return values


def at_random(split: Split, seed: int) -> Found:
    return np.random.default_rng(seed + 1000).random(len(split.problem.X)), 0


def truncated(split: Split, seed: int) -> Found:
    count = MODELS // len(split.problem.X)
    found = truncated_shapley(game(split), permutations=count, tolerance=0.01, seed=seed)
    return found.values[:, 0], found.facts["evaluations"]


def left_out(split: Split, seed: int) -> Found:
    found = leave_one_out_values(game(split))
    return found.values[:, 0], found.facts["evaluations"]


def bagged(split: Split, seed: int) -> Found:
    X, y, _, _ = split.arrays
    return data_oob_values(split.estimator, X, y, bootstraps=1000, seed=seed).values, 1000


def by_class(split: Split, seed: int) -> Found:
    count = MODELS // len(split.problem.X)
    found = class_wise_shapley(split.estimator, *split.arrays, permutations=count, seed=seed)
    return found.values, count * len(split.problem.X)


def distributional(split: Split, seed: int) -> Found:
    size = len(split.problem.X) // 4
    found = distributional_shapley(game(split), cardinality=size, draws=MODELS // size, seed=seed)
    return found.values[:, 0], found.facts["evaluations"]


def nearest(split: Split, seed: int) -> Found:
    return knn_shapley(*split.arrays, k=5), None


def within_reach(split: Split, seed: int) -> Found:
    """The radius holds ten training points for the median validation point."""
    X, _, X_val, _ = split.arrays
    radius = float(np.median(np.sort(cdist(X_val, X), axis=1)[:, 9]))
    return threshold_knn_shapley(*split.arrays, radius=radius), None


def transported(split: Split, seed: int) -> Found:
    return lava_values(*split.arrays).values, None


def influence(split: Split, seed: int) -> Found:
    return logistic_influence(*split.arrays).values, 1


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=1) == targets).to(outputs.dtype).mean()


def linear(split: Split) -> nn.Module:
    """A softmax regression from zero, the model of all gradient methods."""
    model = nn.Linear(split.problem.X.shape[1], split.classes)
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


def pairs(split: Split) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    X, y, X_val, y_val = (torch.from_numpy(part) for part in split.arrays)
    return (X.float(), y), (X_val.float(), y_val)


def in_run(order: int) -> Callable[[Split, int], Found]:
    def values(split: Split, seed: int) -> Found:
        data, held = pairs(split)
        steps = EPOCHS * -(-len(data[0]) // BATCH)
        settings = {"steps": steps, "batch": BATCH, "learning_rate": RATE, "seed": seed, "order": order}
        return in_run_shapley(linear(split), loss, data, held, **settings).values, 1

    return values


def fitted(split: Split, data: tuple[Tensor, Tensor], snapshots: int = 1) -> list[dict[str, Tensor]]:
    """States of a run of full-batch descent, the last of them at its end."""
    model, states = linear(split), []
    optimiser = torch.optim.SGD(model.parameters(), lr=5 * RATE, momentum=0.9, weight_decay=DECAY)
    for step in range(200):
        optimiser.zero_grad()
        loss(model(data[0]), data[1]).mean().backward()
        optimiser.step()
        if (step + 1) % (200 // snapshots) == 0:
            states.append(copy.deepcopy(model.state_dict()))
    return states


def traced(split: Split, seed: int) -> Found:
    data, held = pairs(split)
    states = fitted(split, data, CHECKPOINTS)
    rates = [RATE] * len(states)
    return tracin_values(linear(split), loss, data, held, checkpoints=states, learning_rates=rates).values, 1


def projected(split: Split, seed: int) -> Found:
    """Checkpoints of fits on random halves, as in the paper."""
    data, held = pairs(split)
    generator = np.random.default_rng(seed)
    halves = [generator.permutation(len(data[0]))[: len(data[0]) // 2] for _ in range(CHECKPOINTS)]
    states = [fitted(split, (data[0][half], data[1][half]))[0] for half in halves]
    found = trak_values(linear(split), data, held, checkpoints=states, dimensions=256, ridge=1e-2, seed=seed)
    return found.values, CHECKPOINTS


def arnoldi(split: Split, seed: int) -> Found:
    data, held = pairs(split)
    model = linear(split)
    model.load_state_dict(fitted(split, data)[0])
    return arnoldi_influence(model, loss, data, held, damping=DECAY, rank=20, seed=seed).values, 1


def descended(split: Split, seed: int) -> Found:
    data, held = pairs(split)
    rate = best_rate(linear(split), loss, accuracy, data, held, rates=(0.001, 0.01, 0.1), permutations=4, seed=seed)
    found = gradient_shapley(linear(split), loss, accuracy, data, held, permutations=128, learning_rate=rate, seed=seed)
    return found.values, 128


METHODS: dict[str, Method] = {
    "random": Method("random order", "nothing", at_random),
    "shapley": Method("Data Shapley", f"{MODELS:,} models", asked("shapley")),
    "tmc": Method("TMC, tolerance 0.01", f"at most {MODELS:,} models", truncated),
    "beta": Method("Beta(4, 1)", f"{MODELS:,} models", asked("beta", alpha=4.0, beta=1.0)),
    "banzhaf": Method("Data Banzhaf", f"{MODELS:,} models", asked("banzhaf")),
    "loo": Method("leave-one-out", "n + 1 models", left_out),
    "class_wise": Method("class-wise Shapley", f"{MODELS:,} models", by_class),
    "distributional": Method("distributional Shapley, sets of n / 4", f"{MODELS:,} models", distributional),
    "data_oob": Method("Data-OOB", "1,000 bootstraps", bagged),
    "knn": Method("KNN-Shapley, k = 5", "closed form", nearest),
    "tknn": Method("threshold KNN-Shapley", "closed form", within_reach),
    "lava": Method("LAVA", "transport", transported),
    "influence": Method("influence, one Newton step", "one fit", influence),
    "arnoldi": Method("influence, 20 eigenvectors", "one fit", arnoldi),
    "tracin": Method("TracIn", f"one fit, {CHECKPOINTS} checkpoints", traced),
    "trak": Method("TRAK, 256 dimensions", f"{CHECKPOINTS} fits on halves", projected),
    "in_run": Method("In-Run, order 1", f"one run of {EPOCHS} epochs", in_run(1)),
    "in_run_2": Method("In-Run, order 2", f"one run of {EPOCHS} epochs", in_run(2)),
    "g_shapley": Method("G-Shapley", "128 passes", descended),
}
"""Name -> row; budgets are the same for every data set."""
