"""Points, a network and a door that the tests of closed forms share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier

import xai_ray as xr
from xai_ray.valuation import Network

R = np.random.default_rng(9)
N, M = 40, 70
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
LABELS = (X[:, 0] + 0.4 * R.normal(size=N) > 0).astype(int)
TEST_LABELS = (TEST[:, 0] > 0).astype(int)
DATA = (X, LABELS, TEST, TEST_LABELS)
NUMBERS = (X, X[:, 1] + 0.3 * R.normal(size=N), TEST, TEST[:, 1])
TORCH = (DATA[:2], DATA[2:])
RIDGE = RidgeClassifier(random_state=0)


def perceptron() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


NETWORK = Network(perceptron, epochs=4, learning_rate=0.3, batch=8, precision="float64")


def initial() -> torch.nn.Module:
    """The network before its training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return perceptron().to(torch.float64)


def each_loss(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(found, truth, reduction="none")


def valued(method: str, data: tuple[Any, ...] = DATA, **asked: Any) -> xr.Result:
    return xr.value(asked.pop("estimator"), *data, method=method, **asked)
