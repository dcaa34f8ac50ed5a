"""In-Run Data Shapley: what each training point adds to the fall of the validation loss in one run of stochastic gradient descent.

Wang, Mittal, Song and Jia, "Data Shapley in one training run" (ICLR 2025). The players of a step are the points of its batch,
U(S) = loss(w) - loss(w - (rate / |batch|) sum over S of g_i) on the validation set, to first or second order in the rate; a
point's value is the sum over the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from xai_ray.errors import NonFiniteValue, SpecError
from xai_ray.types import Ints
from xai_ray.valuation.draws import Purpose, orders, positive
from xai_ray.valuation.ghost import ghost_dots, recording, sample_dots, summed_gradient, trained_layers
from xai_ray.valuation.losses import (
    Loss,
    Pair,
    Tensors,
    as_tensors,
    as_values,
    evaluating,
    flat,
    hessian_product,
    sample_losses,
    trained,
)
from xai_ray.valuation.result import Valuation, without_sampling


def in_run_shapley(
    model: nn.Module,
    loss: Loss,
    data: Pair,
    validation: Pair,
    *,
    steps: int,
    batch: int,
    learning_rate: float | Callable[[int], float],
    seed: int = 0,
    order: int = 1,
) -> Valuation:
    """Train the model, in place, and value its n training points, shape (n,), in units of the validation loss.

    `loss(outputs, targets)` gives one number a sample; a step minimises the mean over its batch, by gradient descent without
    momentum, with `learning_rate` or `learning_rate(step)`. Batches walk through permutations of the points, a new one each
    epoch. The model runs in evaluation mode (no dropout). Trained parameters must belong to the layers of `ghost.LAYERS`. A
    step is one backward pass over [batch; validation]; order 2 adds one product with the Hessian of the validation loss.

    The values sum to the fall of the validation loss up to rate^2 a step for order 1, rate^3 for order 2. `facts["losses"]`
    holds the validation loss before each step and at the end, shape (steps + 1,).

    Raises SpecError for an unusable setting or layer, InputError for unusable data, ModelOutputError for a loss of
    another shape, NonFiniteValue naming the step of a run that diverges.
    """
    if order not in (1, 2):
        raise SpecError(f"order is 1 or 2, got {order}")
    positive("steps", steps)
    run = _Run(model, loss, as_tensors(data, "data", model), as_tensors(validation, "validation", model))
    n = len(run.data[0])
    if not 1 <= batch <= n:
        raise SpecError(f"batch is between 1 and the {n} training points, got {batch}")
    values = torch.zeros(n, dtype=torch.float64)
    losses = np.empty(steps + 1)
    with evaluating(model):
        for step, members in enumerate(batches(seed, n, batch, steps)):
            rate = _rate(learning_rate, step)
            found, losses[step] = run.step(members, rate / len(members), order, step)
            values[members] += found.to("cpu", torch.float64)
        losses[steps] = run.validation_loss(steps)
    facts = {"steps": steps, "batch": batch, "order": order, "losses": losses}
    return without_sampling(
        as_values(values), f"In-Run Data Shapley of order {order}: fall of the validation loss", facts
    )


def batches(seed: int, n: int, size: int, steps: int) -> Iterator[Tensor]:
    """Members of each batch; the last of an epoch may be smaller."""
    per_epoch = -(-n // size)
    order: Ints = np.arange(n)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = orders(seed, Purpose.BATCHES, np.array([epoch]), n)[0]
        yield torch.from_numpy(order[place * size : (place + 1) * size])


class _Run:
    """A model in training, one step at a time."""

    def __init__(self, model: nn.Module, loss: Loss, data: Tensors, validation: Tensors) -> None:
        self.model, self.loss, self.data, self.validation = model, loss, data, validation
        self.layers = trained_layers(model)
        for what, train, held in zip(("inputs", "targets"), data, validation, strict=True):
            if train.shape[1:] != held.shape[1:] or train.dtype != held.dtype:
                raise SpecError(
                    f"training and validation {what} differ in shape or type: {tuple(train.shape[1:])} {train.dtype}, "
                    f"{tuple(held.shape[1:])} {held.dtype}"
                )

    def step(self, members: Tensor, rate: float, order: int, number: int) -> tuple[Tensor, float]:
        """Values of the members (b,) and the validation loss before the step, which moves the model by `rate` a point."""
        mine = members.to(self.data[0].device)
        train = (self.data[0][mine], self.data[1][mine])
        b, m = len(mine), len(self.validation[0])
        both = (torch.cat([train[0], self.validation[0]]), torch.cat([train[1], self.validation[1]]))
        with recording(self.layers, self.model) as tape:
            losses = sample_losses(self.model, self.loss, both)
        self._check_finite(losses.detach(), members, number, rate * b)
        taps = tape.taps(losses.sum(), b + m)
        own, held = slice(0, b), slice(b, b + m)
        gradient = summed_gradient(taps, own)
        if number == 0:
            self._check_recovered(gradient, train)
        if order == 1:
            values = ghost_dots(taps, own, held) * (rate / m)
        else:
            values = sample_dots(taps, own, self._second_order(summed_gradient(taps, held), gradient, rate))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in gradient:
                    parameter -= rate * gradient[name]
        return values, float(losses[b:].detach().mean())

    def _second_order(self, held: dict[str, Tensor], gradient: dict[str, Tensor], rate: float) -> dict[str, Tensor]:
        """The direction rate g_val - (rate^2 / 2) H_val sum_j g_j, whose product with g_i is the value of point i."""
        at, m = trained(self.model), len(self.validation[0])
        move = {name: gradient[name] if name in gradient else torch.zeros_like(p) for name, p in at.items()}
        bent = hessian_product(self.model, self.loss, self.validation, at, move)
        found = {name: product * (-0.5 * rate * rate) for name, product in bent.items()}
        for name, slope in held.items():
            found[name] += slope * (rate / m)
        return found

    def validation_loss(self, number: int) -> float:
        """The mean validation loss after the last step."""
        with torch.no_grad():
            losses = sample_losses(self.model, self.loss, self.validation)
        if not torch.isfinite(losses).all():
            raise NonFiniteValue(
                f"the run diverged at step {number - 1}: the validation loss after it is not finite; {_ADVICE}"
            )
        return float(losses.mean())

    def _check_finite(self, losses: Tensor, members: Tensor, number: int, rate: float) -> None:
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            first = int(bad[0])
            who = (
                f"training point {int(members[first])}"
                if first < len(members)
                else f"validation point {first - len(members)}"
            )
            raise NonFiniteValue(
                f"the run diverged at step {number}: the loss of {who} is {float(losses[first])} (learning rate {rate:g}); {_ADVICE}"
            )

    def _check_recovered(self, gradient: dict[str, Tensor], train: Tensors) -> None:
        """The batch alone must have the gradient found beside the validation points: a layer that mixes samples, or parameters
        used outside their layer, would give wrong values without a word.
        """
        wanted = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        total = sample_losses(self.model, self.loss, train).sum()
        alone = torch.autograd.grad(total, list(wanted.values()), allow_unused=True, materialize_grads=True)
        scale = max(float(torch.linalg.vector_norm(flat(alone))), 1e-30)
        for name, right in zip(wanted, alone, strict=True):
            found = gradient.get(name, torch.zeros_like(right))
            gap = float(torch.linalg.vector_norm(found - right)) / scale
            if not gap <= _SAME * torch.finfo(right.dtype).eps ** 0.5:
                raise SpecError(
                    f"the gradient of {name} is not the sum over its layer's samples (relative gap {gap:.1e}): the model mixes "
                    "the samples of a batch, or uses the parameter outside its layer"
                )


_SAME = 10.0
"""Gap of gradients that rounding explains, in square roots of the precision: convolutions on a GPU round to 10 bits."""
_ADVICE = "use a smaller learning rate or clip the inputs"


def _rate(learning_rate: float | Callable[[int], float], step: int) -> float:
    rate = float(learning_rate(step)) if callable(learning_rate) else float(learning_rate)
    if not (np.isfinite(rate) and rate > 0):
        raise SpecError(f"the learning rate of step {step} is {rate}; it must be a positive number")
    return rate
