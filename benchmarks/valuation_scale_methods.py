"""The other methods of `valuation_scale.py --methods`: what each is given at n points, and the most points it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier

import xai_ray as xr
from xai_ray.valuation import (
    TrainingGame,
    banzhaf_values,
    class_wise_shapley,
    distributional_shapley,
    knn_shapley,
    leave_one_out_values,
    logistic_influence,
    ridge_leave_one_out,
    threshold_knn_shapley,
    truncated_shapley,
)

Array = Any
Found = tuple[Array, Array, dict[str, Any]]
"""Values, which labels are wrong, and what else there is to tell."""
FEATURES, TESTS = 10, 200


def linear(n: int, features: int, clean: int = 0) -> tuple[Array, Array, Array]:
    """Rows, labels and which of them are wrong, none of the last `clean`."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(n, features))
    labels = (rows @ generator.normal(size=features) > 0).astype(np.int64)
    wrong = generator.random(n) < 0.1
    wrong[n - clean :] = False
    labels[wrong] ^= 1
    return rows, labels, wrong


def split(n: int) -> tuple[tuple[Array, Array, Array, Array], Array]:
    """X, y, X_test, y_test of n points and 200 clean ones; and which of the n labels are wrong."""
    rows, labels, wrong = linear(n + TESTS, FEATURES, clean=TESTS)
    return (rows[:n], labels[:n], rows[n:], labels[n:]), wrong[:n]


def _ridge_game(n: int) -> tuple[TrainingGame, Array]:
    arrays, wrong = split(n)
    return TrainingGame(RidgeClassifier(random_state=0), *arrays, scores=("accuracy",)), wrong


def shapley(n: int) -> Found:
    """Ten orders and their reverses, a ridge classifier of 10 features: 20 n models."""
    arrays, wrong = split(n)
    budget = 20 * n
    found = xr.value(RidgeClassifier(random_state=0), *arrays, method="shapley", budget=budget)
    return found.values, wrong, {"models": found.evaluations}


def tmc(n: int) -> Found:
    """Twenty orders, truncated within 0.01 of the score of all points; a ridge classifier."""
    game, wrong = _ridge_game(n)
    found = truncated_shapley(game, permutations=20, tolerance=0.01)
    return found.values[:, 0], wrong, {"models": found.facts["evaluations"]}


def banzhaf(n: int) -> Found:
    """2,000 random halves, a ridge classifier."""
    game, wrong = _ridge_game(n)
    return banzhaf_values(game, evaluations=2000).values[:, 0], wrong, {"models": 2000}


def loo(n: int) -> Found:
    """n + 1 ridge classifiers."""
    game, wrong = _ridge_game(n)
    return leave_one_out_values(game).values[:, 0], wrong, {"models": n + 1}


def loo_closed(n: int) -> Found:
    """Ridge regression of the labels in closed form."""
    (X, y, X_test, y_test), wrong = split(n)
    found = ridge_leave_one_out(X, 2.0 * y - 1, X_test, 2.0 * y_test - 1, alpha=1.0)
    return found.values[:, 0], wrong, {}


def class_wise(n: int) -> Found:
    """Ten orders of each class, a ridge classifier: 10 n models."""
    arrays, wrong = split(n)
    return (
        class_wise_shapley(RidgeClassifier(random_state=0), *arrays, permutations=10).values,
        wrong,
        {"models": 10 * n},
    )


def distributional(n: int) -> Found:
    """Data sets of 50 points, about 20 contributions a point, a ridge classifier: 20 n models."""
    game, wrong = _ridge_game(n)
    found = distributional_shapley(game, cardinality=50, draws=20 * n // 50)
    return found.values[:, 0], wrong, {"models": found.facts["evaluations"]}


def knn(n: int) -> Found:
    """5 neighbours."""
    arrays, wrong = split(n)
    return knn_shapley(*arrays, k=5), wrong, {}


def tknn(n: int) -> Found:
    """Neighbours within 3 standard deviations of a feature."""
    arrays, wrong = split(n)
    return threshold_knn_shapley(*arrays, radius=3.0), wrong, {}


def influence(n: int) -> Found:
    """Logistic regression of 10 features, one Newton step."""
    arrays, wrong = split(n)
    return logistic_influence(*arrays).values, wrong, {}


def _perceptron() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 2))


def _trained(n: int) -> tuple[Any, Any, Any, list[Any], Array]:
    """A perceptron 10-64-2 with three checkpoints of a run of 300 steps of 64 points, its data, and which labels are wrong."""
    import torch

    (X, y, X_test, y_test), wrong = split(n)
    data = torch.from_numpy(X).float(), torch.from_numpy(y)
    held = torch.from_numpy(X_test).float(), torch.from_numpy(y_test)
    model, states = _perceptron(), []
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for step in range(300):
        batch = torch.randint(0, n, (64,), generator=generator)
        optimiser.zero_grad()
        _loss(model(data[0][batch]), data[1][batch]).mean().backward()
        optimiser.step()
        if step % 100 == 99:
            states.append({name: p.detach().clone() for name, p in model.state_dict().items()})
    return model, data, held, states, wrong


def _loss(outputs: Any, targets: Any) -> Any:
    from torch import nn

    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def tracin(n: int) -> Found:
    """Three checkpoints of a perceptron 10-64-2."""
    from xai_ray.valuation import tracin_values

    model, data, held, states, wrong = _trained(n)
    rates = [0.1] * len(states)
    return tracin_values(model, _loss, data, held, checkpoints=states, learning_rates=rates).values, wrong, {}


def trak(n: int) -> Found:
    """The same checkpoints, 834 parameters in 256 dimensions."""
    from xai_ray.valuation import trak_values

    model, data, held, states, wrong = _trained(n)
    return trak_values(model, data, held, checkpoints=states, dimensions=256).values, wrong, {}


def arnoldi(n: int) -> Found:
    """The last of them, 20 eigenvectors."""
    from xai_ray.valuation import arnoldi_influence

    model, data, held, _, wrong = _trained(n)
    found = arnoldi_influence(model, _loss, data, held, damping=0.01, rank=20)
    return found.values, wrong, {"products": found.facts["products"]}


def g_shapley(n: int) -> Found:
    """Sixteen passes of a softmax regression."""
    import torch
    from torch import nn

    from xai_ray.valuation import gradient_shapley

    (X, y, X_test, y_test), wrong = split(n)
    data = torch.from_numpy(X).float(), torch.from_numpy(y)
    held = torch.from_numpy(X_test).float(), torch.from_numpy(y_test)

    def score(outputs: Any, targets: Any) -> Any:
        return -nn.functional.cross_entropy(outputs, targets)

    found = gradient_shapley(
        nn.Linear(FEATURES, 2), _loss, score, data, held, permutations=16, learning_rate=0.01, lanes=16
    )
    return found.values, wrong, {}


METHODS: dict[str, tuple[Callable[[int], Found], int]] = {
    "knn": (knn, 100_000),
    "tknn": (tknn, 100_000),
    "influence": (influence, 100_000),
    "loo_closed": (loo_closed, 100_000),
    "tracin": (tracin, 100_000),
    "trak": (trak, 100_000),
    "arnoldi": (arnoldi, 100_000),
    "banzhaf": (banzhaf, 100_000),
    "shapley": (shapley, 100_000),
    "tmc": (tmc, 10_000),
    "distributional": (distributional, 10_000),
    "class_wise": (class_wise, 10_000),
    "loo": (loo, 10_000),
    "g_shapley": (g_shapley, 10_000),
}
"""Name -> method, and the most points it is asked for: beyond, one run takes more than a few minutes."""
