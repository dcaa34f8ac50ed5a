"""Torch networks trained on many coalitions at once: one stack of parameters, each model's loss over its own points.

Gradients of the sum of the losses are those of each model, as no parameter is shared; torch's optimisers work entry by entry, so one
of them moves the whole stack. Plain perceptrons run as batched matrix products, which is faster than `torch.func` (measured); any
other module runs through `torch.func.functional_call` under `torch.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from xai_ray.errors import ModelOutputError, SpecError, XaiRayError
from xai_ray.games.digest import described_model
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.data import LabelledData, NumericData
from xai_ray.valuation.engine import held_classes, one_hot, prefixes_one_by_one, without_absent
from xai_ray.valuation.network import Network
from xai_ray.valuation.newton import members_told

Stack = dict[str, Tensor]
"""Parameters by name, each with a first axis of models."""

_LOOK = 50
"""Steps between looks for networks that have diverged: a look waits for the device."""
_ENTRY_BY_ENTRY = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus, nn.Identity)


class NetworkEngine:
    """A coalition of one class predicts it everywhere, without training."""

    itself = False

    def __init__(self, network: Network, data: LabelledData | NumericData) -> None:
        self.tile, self.chains = network.models, network.batch is None
        self._network, self._labels = network, data.labels if isinstance(data, LabelledData) else None
        self._held = one_hot(data.labels, len(data.classes)) if isinstance(data, LabelledData) else None
        device, kind = torch.device(network.device), getattr(torch, network.precision)
        self.rows = torch.tensor(data.rows, dtype=kind, device=device)
        self.test_rows = torch.tensor(data.test_rows, dtype=kind, device=device)
        targets = torch.tensor(data.labels if isinstance(data, LabelledData) else data.targets, device=device)
        self.targets = targets if isinstance(data, LabelledData) else targets.to(kind)
        self.model = made(network)
        outputs = len(data.classes) if isinstance(data, LabelledData) else 1
        check_outputs(self.model, self.test_rows, outputs)
        self.described = described_model(self.model, np.zeros(0))
        plain = _layers(self.model)
        self._forward = _by_functional_call(self.model) if plain is None else _by_products(plain)
        self.name = f"torch networks, {network.models} at once" + ("" if plain is None else ", by batched products")

    def decisions(self, coalitions: Coalitions) -> Floats:
        """Shape (tile, m, C) or (tile, m, 1)."""
        return self._decided(coalitions, np.arange(coalitions.shape[1], dtype=np.int64))

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """One training a prefix; points that join later enter no product."""
        if not self.chains:
            yield from prefixes_one_by_one(self, order, lengths)
            return
        for start in range(0, len(lengths), self.tile):
            part = lengths[start : start + self.tile]
            points = order[: int(part[-1])]
            yield start, self._decided(np.arange(len(points)) < part[:, None], points)

    def _decided(self, members: Coalitions, points: Ints) -> Floats:
        """Decisions of coalitions (b, t) of the points (t,)."""
        held = None if self._held is None else held_classes(members, self._held[points])
        trained = np.asarray(members.any(axis=1) if held is None else held.sum(axis=1) > 1)
        # All points stand in for coalitions that need no training.
        out = self._train(members | ~trained[:, None], points)
        out[~trained] = 0.0
        return out if held is None else without_absent(out, held)

    def _train(self, members: Coalitions, points: Ints) -> Floats:
        network, numbers = self._network, torch.as_tensor(points, device=self.rows.device)
        rows, targets = self.rows[numbers], self.targets[numbers]
        weights = torch.tensor(members, dtype=rows.dtype, device=rows.device)
        stack = {name: _repeated(value, len(members)) for name, value in self.model.named_parameters()}
        optimiser = optimiser_of(network, list(stack.values()))
        diverged = torch.full((len(members),), -1, device=rows.device)
        last = -1
        for step, batch in enumerate(batches(network, len(self.rows))):
            # Mini-batches are runs of an order of all points, and `points` are then all of them.
            part = slice(None) if batch is None else torch.as_tensor(batch, device=rows.device)
            optimiser.zero_grad(set_to_none=True)
            losses = _losses(self._forward(stack, rows[part]), targets[part], weights[:, part])
            losses.sum().backward()
            optimiser.step()
            diverged = torch.where((diverged < 0) & ~torch.isfinite(losses.detach()), step, diverged)
            last = step
            if step % _LOOK == _LOOK - 1:
                self._check(diverged, members, points)
        self._check(diverged, members, points)
        with torch.no_grad():
            found = self._forward(stack, self.test_rows).transpose(1, 2).to(torch.float64)
        broken = ~torch.isfinite(found).all(dim=2).all(dim=1)
        self._check(torch.where(broken, last, diverged), members, points)
        return found.cpu().numpy()

    def _check(self, diverged: Tensor, members: Coalitions, points: Ints) -> None:
        steps = diverged.cpu().numpy()
        broken = np.flatnonzero(steps >= 0)
        if len(broken):
            told = members_told(np.sort(points[members[broken[0]]]))
            raise diverged_error(told, int(steps[broken[0]]), self._network)


def made(network: Network) -> nn.Module:
    """The network at its initial weights. Raises SpecError for modules whose training cannot be compared over coalitions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(network.seed)
        model = network.make()
    if not isinstance(model, nn.Module):
        raise SpecError(f"make must return a torch.nn.Module, and returned {type(model).__name__}")
    for name, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.SyncBatchNorm)):
            raise SpecError(
                f"{name} is {kind}, whose statistics mix the points of a batch with those of other coalitions; use LayerNorm or GroupNorm"
            )
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            raise SpecError(f"{name} is {kind}, which draws at random in every step; use weight_decay instead")
    if not any(value.requires_grad for value in model.parameters()):
        raise SpecError(f"{type(model).__name__} has no parameter to train")
    return model.to(network.device, getattr(torch, network.precision)).train()


def check_outputs(model: nn.Module, rows: Tensor, outputs: int) -> None:
    """Raise ModelOutputError unless the model maps rows (m, d) to (m, outputs)."""
    try:
        with torch.no_grad():
            found = model(rows)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelOutputError(f"{type(model).__name__} failed on rows of {rows.shape[1]} features: {error}") from error
    shape = tuple(getattr(found, "shape", ()))
    if shape != (len(rows), outputs):
        raise ModelOutputError(
            f"{type(model).__name__} gave shape {shape} for {len(rows)} test points; expected {(len(rows), outputs)}: "
            "one number a class, or one for a regression"
        )


def optimiser_of(network: Network, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Torch's own, for one model or a stack."""
    if network.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=network.learning_rate, weight_decay=network.weight_decay)
    return torch.optim.SGD(
        parameters, lr=network.learning_rate, momentum=network.momentum, weight_decay=network.weight_decay
    )


def batches(network: Network, n: int) -> Iterator[Ints | None]:
    """The points of every step, None for all of them: a function of the seed, n and the epoch."""
    for epoch in range(network.epochs):
        if network.batch is None:
            yield None
            continue
        generator = np.random.Generator(np.random.Philox(key=network.seed, counter=[epoch, 0, 0, 0]))
        order = generator.permutation(n)
        for start in range(0, n, network.batch):
            yield order[start : start + network.batch]


def diverged_error(told: str, step: int, network: Network) -> XaiRayError:
    """What a network that diverged raises."""
    return XaiRayError(
        f"the network diverged on {told}: its loss is not finite at step {step}; use a smaller learning_rate than "
        f"{network.learning_rate}, or scale the features"
    )


def _losses(found: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean loss of each model over its points, shape (b,), from answers (b, C, t) and weights (b, t)."""
    if targets.is_floating_point():
        each = (found[:, 0] - targets) ** 2
    else:
        each = nn.functional.cross_entropy(found, targets.expand(len(found), -1), reduction="none")
    return (each * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def _repeated(value: Tensor, models: int) -> Tensor:
    stacked = value.detach().expand(models, *value.shape).clone()
    return stacked.requires_grad_(value.requires_grad)


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]] | None:
    """The layers of a plain perceptron by name; None for any other module."""
    if not isinstance(model, nn.Sequential):
        return None
    layers = list(model.named_children())
    return layers if all(type(m) is nn.Linear or isinstance(m, _ENTRY_BY_ENTRY) for _, m in layers) else None


def _by_products(layers: list[tuple[str, nn.Module]]) -> Callable[[Stack, Tensor], Tensor]:
    """(b, C, t) from rows (t, d). Points last: every product then reads and writes whole rows of memory."""

    def forward(stack: Stack, rows: Tensor) -> Tensor:
        found, models = rows.T, 0
        for name, layer in layers:
            if not isinstance(layer, nn.Linear):
                found = layer(found)
                continue
            weight, bias = stack[f"{name}.weight"], stack.get(f"{name}.bias")
            if models:
                found = torch.bmm(weight, found)
            else:
                # Rows are the same for all models: one matrix product with all their weights.
                models, outputs, inputs = weight.shape
                found = (weight.reshape(-1, inputs) @ found).reshape(models, outputs, -1)
            found = found if bias is None else found + bias[:, :, None]
        return found

    return forward


def _by_functional_call(model: nn.Module) -> Callable[[Stack, Tensor], Tensor]:
    """(b, C, t) from rows (t, d)."""
    buffers = dict(model.named_buffers())

    def one(parameters: Stack, rows: Tensor) -> Tensor:
        return torch.func.functional_call(model, (parameters, buffers), (rows,)).T

    return torch.vmap(one, in_dims=(0, None), randomness="error")
