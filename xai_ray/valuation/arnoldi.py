"""Influence of training points on the validation loss by the leading curvature alone: Arnoldi iteration, by scipy's ARPACK.

Schioppa, Zablotskaia, Vilar and Sokolov, "Scaling up influence functions" (AAAI 2022), section 3. A Hessian is symmetric, so that
the iteration is that of Lanczos, implicitly restarted (Lehoucq, Sorensen and Yang, ARPACK users' guide, 1998).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

from xai_ray.errors import SpecError, XaiRayError
from xai_ray.types import Floats
from xai_ray.valuation.draws import Purpose, positive, uniforms
from xai_ray.valuation.losses import (
    Loss,
    Pair,
    as_tensors,
    as_values,
    evaluating,
    trained,
    whole_gradient,
    whole_gradient_dots,
    whole_hessian_product,
)
from xai_ray.valuation.result import Valuation, without_sampling


def arnoldi_influence(
    model: nn.Module,
    loss: Loss,
    data: Pair,
    validation: Pair,
    *,
    damping: float,
    rank: int = 50,
    tolerance: float = 1e-3,
    steps: int = 100,
    seed: int = 0,
    chunk: int = 1024,
) -> Valuation:
    """Rise of the mean validation loss without each training point, shape (n,): g_val . K g_i / n, where K inverts H + damping I on
    its `rank` leading eigenvectors and is 0 on all others.

    H is the Hessian of the mean training loss at the model's parameters, `loss(outputs, targets)` gives one number a sample and
    `chunk` samples are differentiated at a time. Eigenvectors are found to a relative `tolerance` in at most `steps` restarts; those
    with H + damping I not above 0 are left out. The start is a random direction, a function of `seed`. The standard errors are 0: they
    know nothing of the directions left out. Memory beside the data: about 5 rank vectors of all D parameters, in double precision. The
    model is read in evaluation mode and not changed.

    `facts`: `eigenvalues` of H + damping I that were kept, descending, and `products` with H.

    Raises SpecError for an unusable setting, InputError for unusable data, ModelOutputError for a loss of another shape, XaiRayError
    when the iteration does not converge or finds no positive curvature.
    """
    for name, number, least in (("damping", damping, 0.0), ("tolerance", tolerance, np.nextafter(0.0, 1.0))):
        if not (np.isfinite(number) and number >= least):
            raise SpecError(f"{name} is a number {'above' if least else 'of at least'} 0, got {number}")
    positive("steps", steps)
    train, held = as_tensors(data, "data", model), as_tensors(validation, "validation", model)
    at, products = trained(model), 0
    size = sum(p.numel() for p in at.values())
    if positive("rank", rank) >= size:
        raise SpecError(f"rank {rank} is not below the {size} parameters; torch_influence solves with all directions")
    with evaluating(model):
        slope = whole_gradient(model, loss, held, at, chunk)

        def product(vector: Tensor) -> Tensor:
            nonlocal products
            products += 1
            return whole_hessian_product(model, loss, train, at, vector, chunk)

        start = uniforms(seed, Purpose.PROBES, np.zeros(1, dtype=np.int64), size)[0] - 0.5
        values, vectors = _leading(product, slope, start, rank, tolerance, steps)
        values += damping
        if not (values > 0).any():
            raise XaiRayError(
                f"H + damping I has no positive curvature (largest eigenvalue {values.max():.3g}): train closer to a minimum or use a "
                "larger damping"
            )
        kept = torch.from_numpy(np.ascontiguousarray(vectors.T[values > 0])).to(slope)
        values = values[values > 0]
        solved = ((kept @ slope) / torch.from_numpy(values).to(slope)) @ kept
        dots = whole_gradient_dots(model, loss, train, at, solved, chunk)
    facts = {"damping": damping, "eigenvalues": values[::-1].copy(), "products": products}
    method = "influence by Arnoldi iteration: rise of the validation loss without the point"
    return without_sampling(as_values(dots) / len(train[0]), method, facts)


def _leading(
    product: Callable[[Tensor], Tensor], like: Tensor, start: Floats, rank: int, tolerance: float, steps: int
) -> tuple[Floats, Floats]:
    """The `rank` largest eigenvalues, ascending, and their eigenvectors (D, rank)."""
    operator = LinearOperator(
        (len(start), len(start)),
        matvec=lambda vector: as_values(product(torch.from_numpy(vector.ravel().astype(np.float64)).to(like))),
        dtype=np.float64,
    )
    try:
        values, vectors = eigsh(operator, k=rank, which="LA", v0=start, tol=tolerance, maxiter=steps)
    except ArpackNoConvergence as error:
        raise XaiRayError(
            f"{len(error.eigenvalues)} of {rank} eigenvectors of the Hessian converged in {steps} restarts; ask for a lower rank, more "
            "steps or a larger tolerance"
        ) from error
    except ArpackError as error:
        raise XaiRayError(
            f"Arnoldi iteration failed ({error}): is the loss finite and curved at the model's parameters?"
        ) from error
    order = np.argsort(values)
    return values[order].astype(np.float64), vectors[:, order].astype(np.float64)
