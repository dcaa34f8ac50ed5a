"""TRAK: what training points do to the margins of validation points, by a kernel of projected gradients at several checkpoints.

Park, Georgiev, Ilyas, Leclerc and Madry, "TRAK: attributing model behavior at scale" (ICML 2023), section 3 and algorithm 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from xai_ray.errors import InputError, ModelOutputError, NonFiniteValue, SpecError
from xai_ray.types import Floats
from xai_ray.valuation.draws import positive
from xai_ray.valuation.losses import Pair, Tensors, as_tensors, as_values, chunks, evaluating, trained
from xai_ray.valuation.projection import SignProjection
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.tracin import at_checkpoint

_HELD = 1 << 27
"""Features kept (512 MB in single precision); of more, gradients are taken twice."""

_Features = Callable[[Tensors], tuple[Tensor, Tensor]]
"""A batch -> projected gradients of the margins (b, k) and chances of the right class (b,)."""


def trak_values(
    model: nn.Module,
    data: Pair,
    validation: Pair,
    *,
    checkpoints: Sequence[Mapping[str, Tensor]],
    dimensions: int | None = 512,
    ridge: float = 1e-3,
    seed: int = 0,
    chunk: int = 64,
) -> Valuation:
    """Rise of the mean validation margin by each of n training points, shape (n,), for a classifier of logits (b, C), C >= 2.

    The margin of a sample is log(p / (1 - p)), p the chance of its class. With Phi (n, k) the gradients of the training margins by
    the parameters, projected to k = `dimensions` by random signs (None: not at all), and g the mean of those of the validation
    points, the values are mean[(1 - p_i)] * mean[Phi (Phi'Phi + lambda I)^-1 g], both means over the checkpoints: state dicts of
    fits on all of the data, or on random halves of it as in the paper. Each checkpoint has a projection of its own, a function of
    `seed`; lambda is `ridge` times the mean of the diagonal of Phi'Phi. The paper's thresholding of single pairs is left out: sums
    over validation points do not need it. Standard errors are those of the jackknife over the checkpoints, 0 for one of them.

    O(n D k) products a checkpoint for D parameters. Memory: `chunk` gradients of D, n k features (taken twice above 2^27 of them)
    and D k signs (made anew for each chunk above 2^26). The model is read in evaluation mode and not changed.

    Raises SpecError for an unusable setting, InputError for unusable data or a checkpoint of another model, ModelOutputError for
    outputs that are not logits, NonFiniteValue naming checkpoint and point.
    """
    if not checkpoints:
        raise SpecError("no checkpoint given; TRAK needs at least one state dict of the model, better five to fifty")
    if dimensions is not None:
        positive("dimensions", dimensions)
    if not (np.isfinite(ridge) and ridge >= 0):
        raise SpecError(f"ridge is a number of at least 0, got {ridge}")
    train, held = as_tensors(data, "data", model), as_tensors(validation, "validation", model)
    own = copy.deepcopy(model)
    _check_logits(own, {"data": train, "validation": held})
    kernels, doubts = np.empty((2, len(checkpoints), len(train[0])))
    for number, checkpoint in enumerate(checkpoints):
        at_checkpoint(own, checkpoint, number)
        kernels[number], doubts[number] = kernel_and_doubts(
            own, train, held, number=number, dimensions=dimensions, ridge=ridge, seed=seed, chunk=chunk
        )
    values, errors = _jackknife(kernels, doubts)
    facts = {"checkpoints": len(checkpoints), "dimensions": dimensions, "ridge": ridge}
    return Valuation(values, errors, "TRAK: rise of the mean validation margin by the point", facts)


def kernel_and_doubts(
    model: nn.Module,
    train: Tensors,
    held: Tensors,
    *,
    number: int,
    dimensions: int | None,
    ridge: float,
    seed: int,
    chunk: int = 64,
) -> tuple[Floats, Floats]:
    """Of checkpoint `number`, the parameters of the model: Phi (Phi'Phi + lambda I)^-1 g and 1 - p of the training points, each (n,)."""
    at = trained(model)
    size = sum(p.numel() for p in at.values())
    projection = None if dimensions is None else SignProjection.of(size, dimensions, seed, number)
    with evaluating(model):
        features = _features(model, at, projection, number)
        return _one_checkpoint(features, train, held, ridge, chunk, number)


def _check_logits(model: nn.Module, batches: Mapping[str, Tensors]) -> None:
    """Raise ModelOutputError or InputError unless the outputs are logits of the classes that the targets number."""
    with torch.no_grad(), evaluating(model):
        found = model(batches["data"][0][:1])
    if found.ndim != 2 or found.shape[1] < 2:
        raise ModelOutputError(
            f"the model gave shape {tuple(found.shape)} for one sample; margins need logits of two classes or more, (1, C)"
        )
    for name, (_, labels) in batches.items():
        known = labels.ndim == 1 and not labels.is_floating_point()
        if not known or not bool(((labels >= 0) & (labels < found.shape[1])).all()):
            raise InputError(f"{name} targets must be one class number a sample, from 0 to {found.shape[1] - 1}")


def _features(model: nn.Module, at: dict[str, Tensor], projection: SignProjection | None, checkpoint: int) -> _Features:
    def margin(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        chances = torch.log_softmax(functional_call(model, parameters, (x[None],))[0], dim=0)
        own = torch.arange(len(chances), device=chances.device) == y
        # log p - log(1 - p) from the other classes themselves: 1 - p loses its digits where p is near 1.
        others = torch.logsumexp(chances.masked_fill(own, -torch.inf), dim=0)
        return chances.masked_fill(~own, 0.0).sum() - others, others.exp()

    gradients = vmap(grad(margin, has_aux=True), in_dims=(None, 0, 0))

    def features(batch: Tensors) -> tuple[Tensor, Tensor]:
        each, doubt = gradients(at, *batch)
        rows = torch.cat([part.flatten(1) for part in each.values()], dim=1)
        bad = (~(torch.isfinite(rows.square().sum(dim=1)) & torch.isfinite(doubt))).nonzero()
        if len(bad):
            raise NonFiniteValue(
                f"checkpoint {checkpoint}: the gradient of the margin of a sample (target {int(batch[1][int(bad[0])])}) is not "
                "finite; scale the inputs or use another checkpoint"
            )
        return rows if projection is None else projection(rows), doubt

    return features


def _one_checkpoint(
    features: _Features, train: Tensors, held: Tensors, ridge: float, chunk: int, number: int
) -> tuple[Floats, Floats]:
    """Phi (Phi'Phi + lambda I)^-1 g and 1 - p of the training points, each (n,)."""
    n = len(train[0])
    sums = [features(part)[0].to(torch.float64).sum(dim=0) for _, part in chunks(held, chunk)]
    slope = torch.stack(sums).sum(dim=0) / len(held[0])
    gram = torch.zeros(len(slope), len(slope), dtype=torch.float64, device=slope.device)
    kept: list[Tensor] = []
    doubts = torch.zeros(n, dtype=torch.float64)
    for place, part in chunks(train, chunk):
        rows, doubt = features(part)
        exact = rows.to(torch.float64)
        gram += exact.T @ exact
        doubts[place] = doubt.to("cpu", torch.float64)
        if n * len(slope) <= _HELD:
            kept.append(rows)
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    factor, trouble = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal()
    if int(trouble) or float((pivots.min() / pivots.max()) ** 2) < len(slope) * torch.finfo(gram.dtype).eps:
        raise SpecError(
            f"checkpoint {number}: the kernel of {len(slope)} dimensions and {n} points is singular; use a ridge above 0 (got "
            f"{ridge:g}) or fewer dimensions"
        )
    solved = torch.cholesky_solve(slope[:, None], factor)[:, 0]
    again: Iterator[Tensor] = iter(kept) if kept else (features(part)[0] for _, part in chunks(train, chunk))
    dots = torch.cat([rows.to(torch.float64) @ solved for rows in again])
    return as_values(dots), as_values(doubts)


def _jackknife(kernels: Floats, doubts: Floats) -> tuple[Floats, Floats]:
    """mean * mean over axis 0 and its standard error, from each checkpoint left out in turn (Efron, 1982)."""
    count = len(kernels)
    values = doubts.mean(axis=0) * kernels.mean(axis=0)
    if count == 1:
        return values, np.zeros_like(values)
    without = (doubts.sum(axis=0) - doubts) * (kernels.sum(axis=0) - kernels) / (count - 1) ** 2
    spread = np.square(without - without.mean(axis=0)).sum(axis=0)
    return values, np.sqrt(spread * (count - 1) / count)
