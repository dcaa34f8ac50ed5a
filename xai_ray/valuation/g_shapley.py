"""G-Shapley: marginal contributions of points to one pass of gradient descent through the data, over random orders.

Ghorbani and Zou, "Data Shapley: equitable valuation of data for machine learning" (ICML 2019), algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from xai_ray.errors import ModelOutputError, NonFiniteValue, SpecError
from xai_ray.types import Floats, Ints
from xai_ray.valuation.draws import Purpose, orders, positive
from xai_ray.valuation.losses import Loss, Pair, Tensors, as_tensors, as_values, evaluating, sample_losses, trained
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.running_means import RunningMeans

Score = Callable[[Tensor, Tensor], Tensor]
"""(outputs (m, ...), targets (m, ...)) -> one number, larger is better; it must work under torch.func.vmap."""


def gradient_shapley(
    model: nn.Module,
    loss: Loss,
    score: Score,
    data: Pair,
    validation: Pair,
    *,
    permutations: int,
    learning_rate: float,
    seed: int = 0,
    lanes: int = 64,
) -> Valuation:
    """Values of n training points, shape (n,), in units of the score on the validation set, with errors over permutations.

    Each permutation starts at the model's parameters and takes one step on one point after the other, w - learning_rate *
    gradient of its loss; a point's contribution is the change of the score by its step. `lanes` permutations run at once on
    stacked parameters (bits may depend on `lanes`). n steps and n scores a permutation. The model is read in evaluation mode and
    not changed. The paper takes the rate whose single pass scores best: see `best_rate`.

    `facts["start"]` is the score of the model itself, `facts["end"]` the mean score after a whole pass: the values sum to their
    difference.

    Raises SpecError for a setting out of range, InputError for unusable data, ModelOutputError for a loss or score of another
    shape, NonFiniteValue naming permutation and step of a run that diverges.
    """
    positive("permutations", permutations, least=2)
    positive("lanes", lanes)
    passes = Passes(model, loss, score, as_tensors(data, "data", model), as_tensors(validation, "validation", model))
    n = len(passes.data[0])
    means, first, ends = RunningMeans(n), 0.0, []
    for start in range(0, permutations, lanes):
        numbers = np.arange(start, min(start + lanes, permutations), dtype=np.int64)
        contributions, scores = passes.contributions(orders(seed, Purpose.ORDERS, numbers, n), learning_rate, start)
        means.add(contributions)
        first = float(scores[0, 0])
        ends.append(scores[:, -1])
    facts = {
        "permutations": permutations,
        "learning_rate": learning_rate,
        "start": first,
        "end": float(np.concatenate(ends).mean()),
    }
    return Valuation(means.means(), means.std_errors(), "G-Shapley: validation score", facts)


def best_rate(
    model: nn.Module,
    loss: Loss,
    score: Score,
    data: Pair,
    validation: Pair,
    *,
    rates: Sequence[float],
    permutations: int = 8,
    seed: int = 0,
) -> float:
    """The learning rate whose single pass has the best mean score; one that diverges is out. Raises SpecError when all diverge."""
    passes = Passes(model, loss, score, as_tensors(data, "data", model), as_tensors(validation, "validation", model))
    order = orders(seed, Purpose.ORDERS, np.arange(permutations, dtype=np.int64), len(passes.data[0]))
    reached: dict[float, float] = {}
    for rate in rates:
        try:
            reached[rate] = float(passes.walk(order, rate, 0)[:, -1].mean())
        except NonFiniteValue:
            continue
    if not reached:
        raise SpecError(
            f"a pass of gradient descent diverges at every learning rate of {list(rates)}; give smaller ones"
        )
    return max(reached, key=lambda rate: reached[rate])


class Passes:
    """Single passes of gradient descent on stacked parameters."""

    def __init__(self, model: nn.Module, loss: Loss, score: Score, data: Tensors, validation: Tensors) -> None:
        self.model, self.data, self.start = model, data, trained(model)

        def one(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return sample_losses(
                lambda inputs: functional_call(model, parameters, (inputs,)), loss, (x[None], y[None])
            )[0]

        def scored(parameters: dict[str, Tensor]) -> Tensor:
            found = score(functional_call(model, parameters, (validation[0],)), validation[1])
            if found.shape != ():
                raise ModelOutputError(
                    f"the score gave shape {tuple(found.shape)}; it must be one number for all samples"
                )
            return found

        self.gradients, self.scores = vmap(grad(one)), vmap(scored)

    def contributions(self, order: Ints, rate: float, first: int) -> tuple[Floats, Floats]:
        """Of each point in p orders (p, n), and the scores before and after each step (p, n + 1)."""
        scores = self.walk(order, rate, first)
        out = np.empty(order.shape)
        np.put_along_axis(out, order, np.diff(scores, axis=1), axis=1)
        return out, scores

    def walk(self, order: Ints, rate: float, first: int) -> Floats:
        """Scores before and after each step of p orders (p, n), shape (p, n + 1); `first` is the number of the first order."""
        if not (np.isfinite(rate) and rate > 0):
            raise SpecError(f"the learning rate is a positive number, got {rate}")
        x, y = self.data
        steps = torch.from_numpy(order).to(x.device)
        out = np.empty((len(order), order.shape[1] + 1))
        with evaluating(self.model), torch.no_grad():
            now = {name: p.expand(len(order), *p.shape).clone() for name, p in self.start.items()}
            out[:, 0] = as_values(self.scores(now))
            for step in range(order.shape[1]):
                members = steps[:, step]
                moves = self.gradients(now, x[members], y[members])
                now = {name: p - rate * moves[name] for name, p in now.items()}
                out[:, step + 1] = as_values(self.scores(now))
                self._check(now, out[:, step + 1], step, first, rate)
        return out

    def _check(self, now: dict[str, Tensor], scores: Floats, step: int, first: int, rate: float) -> None:
        # Accuracy stays finite when the parameters do not.
        fine = np.isfinite(scores)
        for p in now.values():
            fine &= torch.isfinite(p.flatten(1)).all(dim=1).cpu().numpy()
        if not fine.all():
            raise NonFiniteValue(
                f"permutation {first + int(np.flatnonzero(~fine)[0])} diverged at step {step} (learning rate {rate:g}); use a smaller "
                "learning rate"
            )
