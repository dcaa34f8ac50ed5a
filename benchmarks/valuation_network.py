"""The small network of the data valuation benchmark, trained by a plain torch loop behind scikit-learn's interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

EPOCHS, RATE = 100, 0.1


def make(inputs: int, classes: int) -> torch.nn.Module:
    """One hidden layer."""
    return torch.nn.Sequential(torch.nn.Linear(inputs, 32), torch.nn.ReLU(), torch.nn.Linear(32, classes))


class TorchNetwork(ClassifierMixin, BaseEstimator):
    """Full-batch gradient descent on the mean cross-entropy, from the same initial weights every time."""

    def __init__(self, classes: int = 10) -> None:
        self.classes = classes

    def fit(self, X: Any, y: Any) -> TorchNetwork:
        torch.manual_seed(0)
        rows, labels = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y)
        self.model_ = make(rows.shape[1], self.classes)
        self.classes_ = np.arange(self.classes)
        optimiser = torch.optim.SGD(self.model_.parameters(), lr=RATE)
        for _ in range(EPOCHS):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(self.model_(rows), labels).backward()
            optimiser.step()
        return self

    def predict(self, X: Any) -> Any:
        with torch.no_grad():
            return self.model_(torch.as_tensor(X, dtype=torch.float32)).argmax(dim=1).numpy()
