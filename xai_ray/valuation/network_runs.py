"""Methods that follow the training of a torch network, from what `xai_ray.value` and specs are given."""

from __future__ import annotations

import copy
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xai_ray.games.digest import described_model
from xai_ray.valuation.arnoldi import arnoldi_influence
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.data import LabelledData, NumericData
from xai_ray.valuation.draws import Purpose, orders
from xai_ray.valuation.g_shapley import Passes
from xai_ray.valuation.in_run import batches, in_run_shapley
from xai_ray.valuation.inverse_hessian import Lissa, torch_influence
from xai_ray.valuation.losses import Loss, Pair, as_tensors, evaluating, sample_losses
from xai_ray.valuation.network import Network
from xai_ray.valuation.networks import check_outputs, diverged_error, made
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.running_means import RunningMeans
from xai_ray.valuation.settings import InfluenceSettings, InRunSettings, TracinSettings
from xai_ray.valuation.tracin import tracin_values

LANES = 16
"""Permutations of a unit of G-Shapley, on stacked parameters."""
RANK = 50
"""Eigenvectors of Arnoldi influence, unless told."""


def in_run(asked: Asked, settings: InRunSettings) -> Valuation:
    """In-Run Data Shapley of the training that the network describes."""
    network, setup = asked.network(), Setup(asked)
    batch, steps = _steps(network, setup.n)
    return in_run_shapley(
        setup.model,
        setup.loss,
        setup.train,
        setup.held,
        steps=steps,
        batch=batch,
        learning_rate=network.learning_rate,
        seed=asked.seed,
        order=settings.order,
    )


def traced(asked: Asked, settings: TracinSettings) -> Valuation:
    """TracIn over checkpoints of a training of the network; a checkpoint stands for the steps since the one before."""
    network, setup = asked.network(), Setup(asked)
    count = min(settings.checkpoints, network.epochs)
    kept = np.linspace(0, network.epochs, count + 1).round().astype(int)[1:]
    checkpoints = train(setup.model, setup.loss, setup.train, network, asked.seed, set(kept.tolist()))
    per_epoch = -(-setup.n // (network.batch or setup.n))
    # The gradient of a step's mean loss has a share of 1 / batch of each point's, and a point is in one step an epoch.
    epochs = np.diff(kept, prepend=0)
    rates = [network.learning_rate * int(count) * per_epoch / setup.n for count in epochs]
    found = tracin_values(
        setup.model, setup.loss, setup.train, setup.held, checkpoints=checkpoints, learning_rates=rates
    )
    return Valuation(found.values, found.std_errors, found.method, {"epochs": kept})


def bent(asked: Asked, settings: InfluenceSettings) -> Valuation:
    """Influence at the end of a training of the network."""
    network, setup = asked.network(), Setup(asked)
    train(setup.model, setup.loss, setup.train, network, asked.seed)
    given = (setup.model, setup.loss, setup.train, setup.held)
    match settings.inverse:
        case "cg":
            return torch_influence(*given, damping=settings.damping)
        case "lissa":
            assert settings.scale is not None
            runs = Lissa(settings.scale, settings.depth or 1000, repeats=settings.repeats or 4, seed=asked.seed)
            return torch_influence(*given, damping=settings.damping, solver=runs)
        case "arnoldi":
            rank = min(RANK, directions(asked) - 1) if settings.rank is None else settings.rank
            return arnoldi_influence(*given, damping=settings.damping, rank=rank, seed=asked.seed)


def directions(asked: Asked) -> int:
    """Parameters that are trained."""
    return sum(p.numel() for p in made(asked.network()).parameters() if p.requires_grad)


def model_parts(asked: Asked, data: LabelledData | NumericData) -> list[Any]:
    """The initial network, for the digest. Raises what makes or checks it."""
    model = made(asked.network())
    network = asked.network()
    rows = torch.tensor(data.test_rows[:1], dtype=getattr(torch, network.precision))
    check_outputs(model, rows, len(data.classes) if isinstance(data, LabelledData) else 1)
    return described_model(model, np.zeros(0))


@dataclass
class GradientPieces:
    """A piece is one pass of gradient descent over the points in an order of its own."""

    asked: Asked
    score: str
    _passes: Passes | None = field(default=None, repr=False)

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Means and squared deviations over permutations, shape (n, 2, 1)."""
        if self._passes is None:
            setup = Setup(self.asked)
            tensors = (
                as_tensors(p, name, setup.model) for p, name in ((setup.train, "data"), (setup.held, "validation"))
            )
            self._passes = Passes(setup.model, setup.loss, SCORES[self.score], *tensors)
        n = len(self._passes.data[0])
        order = orders(self.asked.seed, Purpose.ORDERS, np.arange(start, stop, dtype=np.int64), n)
        found, scores = self._passes.contributions(order, self.asked.network().learning_rate, start)
        means = RunningMeans(n)
        means.add(found)
        return means.sums()[:, :2, None], {"empty": float(scores[0, 0])}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_passes": None}


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "accuracy": lambda found, truth: (found.argmax(dim=1) == truth).to(found.dtype).mean(),
    "neg_log_loss": lambda found, truth: -nn.functional.cross_entropy(found, truth),
    "neg_mean_squared_error": lambda found, truth: -nn.functional.mse_loss(found[:, 0], truth),
}
"""Scores that are computed beside stacked parameters."""


class Setup:
    """The initial network, its loss, and data in its precision."""

    def __init__(self, asked: Asked) -> None:
        network, data = asked.network(), asked.data()
        kind = getattr(torch, network.precision)
        self.model, self.n = made(network).to(network.device), len(data.rows)
        if isinstance(data, LabelledData):
            self.loss: Loss = _cross_entropy
            targets, held = torch.tensor(data.labels), torch.tensor(data.test_labels)
        else:
            self.loss = _square
            targets, held = (torch.tensor(t, dtype=kind) for t in (data.targets, data.test_targets))
        self.train: Pair = (torch.tensor(data.rows, dtype=kind), targets)
        self.held: Pair = (torch.tensor(data.test_rows, dtype=kind), held)


def _cross_entropy(found: Tensor, truth: Tensor) -> Tensor:
    return nn.functional.cross_entropy(found, truth, reduction="none")


def _square(found: Tensor, truth: Tensor) -> Tensor:
    return (found[:, 0] - truth).square()


def _steps(network: Network, n: int) -> tuple[int, int]:
    batch = n if network.batch is None else network.batch
    return batch, network.epochs * -(-n // batch)


def train(
    model: nn.Module,
    loss: Loss,
    data: Pair,
    network: Network,
    seed: int,
    kept: Set[int] = frozenset(),
    told: str = "all points",
) -> list[dict[str, Tensor]]:
    """Train the network's model in place on these data, as In-Run does; its state after each of the epochs `kept`.

    Raises XaiRayError that names the points, `told`, where the loss is not finite.
    """
    x, y = as_tensors(data, "data", model)
    batch, steps = _steps(network, len(x))
    per_epoch, found = steps // network.epochs, []
    wanted = [p for p in model.parameters() if p.requires_grad]
    with evaluating(model):
        for step, members in enumerate(batches(seed, len(x), batch, steps)):
            mine = members.to(x.device)
            mean = sample_losses(model, loss, (x[mine], y[mine])).mean()
            if not torch.isfinite(mean):
                raise diverged_error(told, step, network)
            slopes = torch.autograd.grad(mean, wanted, allow_unused=True, materialize_grads=True)
            with torch.no_grad():
                for parameter, slope in zip(wanted, slopes, strict=True):
                    parameter -= network.learning_rate * slope
            if (step + 1) % per_epoch == 0 and (step + 1) // per_epoch in kept:
                found.append(copy.deepcopy(model.state_dict()))
    return found
