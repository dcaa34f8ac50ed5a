"""The small network of the data valuation benchmark, trained by a plain torch loop behind scikit-learn's interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

EPOCHS, RATE = 100, 0.1


def make() -> torch.nn.Module:
    """Digits of 64 features, one hidden layer, ten classes."""
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


class TorchNetwork(ClassifierMixin, BaseEstimator):
    """Full-batch gradient descent on the mean cross-entropy, from the same initial weights every time."""

    def fit(self, X: Any, y: Any) -> TorchNetwork:
        torch.manual_seed(0)
        rows, labels = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y)
        self.model_ = make()
        self.classes_ = np.unique(y)
        optimiser = torch.optim.SGD(self.model_.parameters(), lr=RATE)
        for _ in range(EPOCHS):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(self.model_(rows), labels).backward()
            optimiser.step()
        return self

    def predict(self, X: Any) -> Any:
        with torch.no_grad():
            found = self.model_(torch.as_tensor(X, dtype=torch.float32)).numpy()
        # A class without training points is never predicted.
        return self.classes_[found[:, self.classes_].argmax(axis=1)]
