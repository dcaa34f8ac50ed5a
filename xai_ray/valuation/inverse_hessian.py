"""Influence of training points on the validation loss of a torch model, by inverse Hessian products that never form the Hessian.

Koh and Liang (ICML 2017), section 3: conjugate gradients, after Martens (ICML 2010), and LiSSA, after Agarwal, Bullins and Hazan
(JMLR 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from xai_ray.errors import SpecError, XaiRayError
from xai_ray.valuation.draws import Purpose, positive, uniforms
from xai_ray.valuation.losses import (
    Loss,
    Pair,
    Tensors,
    as_tensors,
    as_values,
    evaluating,
    trained,
    whole_gradient,
    whole_gradient_dots,
    whole_hessian_product,
)
from xai_ray.valuation.result import Valuation, without_sampling


@dataclass(frozen=True, slots=True)
class ConjugateGradients:
    """Solve to a residual of `tolerance` times the right side, in at most `steps` products with the whole Hessian."""

    tolerance: float = 1e-6
    steps: int = 1000


@dataclass(frozen=True, slots=True)
class Lissa:
    """h <- v + (I - (H_b + damping I) / scale) h with a batch's Hessian, `depth` times; mean of `repeats` runs.

    `scale` is at least the largest eigenvalue of any batch's damped Hessian, or the iteration diverges.
    """

    scale: float
    depth: int = 1000
    batch: int = 32
    repeats: int = 4
    seed: int = 0


def torch_influence(
    model: nn.Module,
    loss: Loss,
    data: Pair,
    validation: Pair,
    *,
    damping: float,
    solver: ConjugateGradients | Lissa | None = None,
    chunk: int = 1024,
) -> Valuation:
    """Rise of the mean validation loss without each training point, shape (n,): g_val . (H + damping I)^-1 g_i / n at the
    model's parameters, H the Hessian of the mean training loss; the penalty of a penalised fit belongs into `damping`.

    `loss(outputs, targets)` gives one number a sample; `chunk` samples are differentiated at a time. Standard errors are over
    the repeats of Lissa, 0 for conjugate gradients (the default). The model is read in evaluation mode and not changed.

    Raises SpecError for an unusable setting, InputError for unusable data, ModelOutputError for a loss of another shape,
    XaiRayError when a solver does not converge or H + damping I is not positive definite.
    """
    if not (np.isfinite(damping) and damping >= 0):
        raise SpecError(f"damping is a number of at least 0, got {damping}")
    chosen = ConjugateGradients() if solver is None else solver
    train, held = as_tensors(data, "data", model), as_tensors(validation, "validation", model)
    at, n = trained(model), len(train[0])
    with evaluating(model):
        slope = whole_gradient(model, loss, held, at, chunk)

        def product(batch: Tensors, vector: Tensor) -> Tensor:
            return whole_hessian_product(model, loss, batch, at, vector, chunk) + damping * vector

        if isinstance(chosen, Lissa):
            solved, steps = _lissa(chosen, product, train, slope)
        else:
            found, steps = _solve(chosen, lambda vector: product(train, vector), slope)
            solved = found[None]
        dots = torch.stack([whole_gradient_dots(model, loss, train, at, vector, chunk) for vector in solved])
    each = as_values(dots) / n
    method = f"influence by {type(chosen).__name__}: rise of the validation loss without the point"
    facts = {"damping": damping, "products": steps}
    if len(each) == 1:
        return without_sampling(each[0], method, facts)
    return Valuation(each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each)), method, facts)


def _solve(settings: ConjugateGradients, product: Callable[[Tensor], Tensor], right: Tensor) -> tuple[Tensor, int]:
    """Hestenes and Stiefel (1952)."""
    found, residual = torch.zeros_like(right), right.clone()
    goal = settings.tolerance * float(torch.linalg.vector_norm(right))
    direction, square = residual.clone(), residual @ residual
    for step in range(settings.steps + 1):
        if float(square.sqrt()) <= goal:
            return found, step
        if step == settings.steps:
            break
        bent = product(direction)
        curvature = float(direction @ bent)
        if not curvature > 0:
            raise XaiRayError(
                f"H + damping I has curvature {curvature:.3g} along a direction (step {step}): it is not positive definite; train "
                "closer to a minimum or use a larger damping"
            )
        length = square / curvature
        found, residual = found + length * direction, residual - length * bent
        square, before = residual @ residual, square
        direction = residual + (square / before) * direction
    raise XaiRayError(
        f"conjugate gradients left a residual of {float(square.sqrt()):.3g} after {settings.steps} steps (goal {goal:.3g}); use a "
        "larger damping, more steps or a larger tolerance"
    )


def _lissa(
    settings: Lissa, product: Callable[[Tensors, Tensor], Tensor], train: Tensors, right: Tensor
) -> tuple[Tensor, int]:
    positive("repeats", settings.repeats, least=2)
    positive("depth", settings.depth)
    positive("batch", settings.batch)
    if not (np.isfinite(settings.scale) and settings.scale > 0):
        raise SpecError(f"scale is a positive number, got {settings.scale}")
    n, limit = len(train[0]), 1e6 * float(torch.linalg.vector_norm(right))
    solved = []
    for repeat in range(settings.repeats):
        found = right.clone()
        for step in range(settings.depth):
            item = np.array([step], dtype=np.int64)
            drawn = (uniforms(settings.seed, Purpose.PROBES, item, settings.batch, sub=repeat)[0] * n).astype(np.int64)
            members = torch.from_numpy(drawn).to(train[0].device)
            found = right + found - product((train[0][members], train[1][members]), found) / settings.scale
            if not float(torch.linalg.vector_norm(found)) <= limit * settings.depth:
                raise XaiRayError(
                    f"LiSSA diverged in run {repeat} at step {step}: scale {settings.scale:g} is below the largest eigenvalue of a "
                    "batch's Hessian plus damping; use a larger scale"
                )
        solved.append(found / settings.scale)
    return torch.stack(solved), settings.repeats * settings.depth
