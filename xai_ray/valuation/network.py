"""A torch network as an estimator of training games: how it is made and trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from xai_ray.errors import SpecError


@dataclass(frozen=True, slots=True)
class Network:
    """Trains `make()`, a `torch.nn.Module` from (points, features) to (points, classes) logits, or to (points, 1) numbers.

    Every coalition starts from the same initial weights, those of `make()` under torch's `seed`, and sees the points in the same
    order: an epoch is one step on all its points, or, with `batch`, one step for each run of `batch` points of a shuffled order of all
    points, on those of them that the coalition holds (with none of them the gradient is 0). The loss is the mean cross-entropy, or the
    mean squared error with `kind="regression"`. Raises SpecError for settings that train nothing.
    """

    make: Callable[[], Any]
    epochs: int = 100
    learning_rate: float = 0.1
    batch: int | None = None
    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    kind: Literal["classifier", "regression"] = "classifier"
    seed: int = 0
    models: int = 64
    """Networks trained at once; belongs to the answer, since products of another shape round differently."""
    precision: Literal["float32", "float64"] = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "models"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} of a network is at least 1; got {getattr(self, name)}")
        if self.batch is not None and self.batch < 1:
            raise SpecError(f"batch is the number of points of a step, at least 1, or None for all; got {self.batch}")
        if not self.learning_rate > 0:
            raise SpecError(f"learning_rate is a positive number; got {self.learning_rate}")
        if self.momentum and self.optimiser == "adam":
            raise SpecError("momentum is for optimiser='sgd'; leave it out for adam")
        for name, known in (
            ("optimiser", ("sgd", "adam")),
            ("kind", ("classifier", "regression")),
            ("precision", ("float32", "float64")),
        ):
            if getattr(self, name) not in known:
                raise SpecError(f"{name} is {' or '.join(map(repr, known))}; got {getattr(self, name)!r}")
