"""Two models of the Wisconsin breast cancer data that come with scikit-learn: a torch perceptron and a random forest.

Street, Wolberg, Mangasarian (1993); 569 rows, 30 columns, classes malignant and benign. A fifth of the rows is held
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer

from xai_ray.types import Floats, Ints
from xai_ray.zoo.model import ZooModel

WEIGHTS = Path(__file__).parent / "weights" / "tumour_mlp.npz"
"""State dict of the perceptron, by the names of its tensors; trained by `jobs/train_tumour.py`."""
_HIDDEN = 32
_HELD_OUT = 114
_BACKGROUND = 100


@dataclass(frozen=True)
class TumourData:
    """The data set and its split."""

    rows: Floats
    labels: Ints
    columns: tuple[str, ...]
    class_names: tuple[str, ...]
    train: Ints
    """Row numbers of the training rows, in a fixed random order."""
    test: Ints

    @property
    def background(self) -> Floats:
        """The first 100 training rows."""
        return self.rows[self.train[:_BACKGROUND]]


def tumour_data() -> TumourData:
    """The data, split by a fixed permutation."""
    data: Any = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.data))
    rows, labels = np.asarray(data.data, dtype=np.float64), np.asarray(data.target, dtype=np.int64)
    names = tuple(str(n) for n in data.feature_names), tuple(str(n) for n in data.target_names)
    return TumourData(rows, labels, *names, order[_HELD_OUT:], order[:_HELD_OUT])


def perceptron(mean: Floats, scale: Floats) -> Any:
    """Standardisation and two hidden layers, as a torch module: (rows, 30) -> logits (rows, 2)."""
    import torch
    from torch import nn

    first = nn.BatchNorm1d(len(mean), affine=False, eps=0.0)
    first.running_mean, first.running_var = torch.tensor(mean).float(), torch.tensor(scale**2).float()
    layers = (nn.Linear(len(mean), _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 2))
    return nn.Sequential(first, *layers).eval()


def tumour_mlp() -> ZooModel:
    """Logits of malignant and benign."""
    import torch

    data = tumour_data()
    model = perceptron(np.zeros(30), np.ones(30))
    with np.load(WEIGHTS, allow_pickle=False) as weights:
        model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    return _described(model.eval(), "logits", data)


def tumour_forest() -> ZooModel:
    """Probabilities of malignant and benign; fitted here, from a fixed seed, in about a second."""
    from sklearn.ensemble import RandomForestClassifier

    data = tumour_data()
    forest = RandomForestClassifier(n_estimators=100, random_state=0, n_jobs=1)
    forest.fit(data.rows[data.train], data.labels[data.train])
    return _described(forest.predict_proba, "probabilities", data)


def _described(model: Any, outputs: Any, data: TumourData) -> ZooModel:
    return ZooModel(model, outputs, data.class_names, columns=data.columns, rows=data.rows, background=data.background)
