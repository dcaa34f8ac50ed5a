"""Torch models, losses of samples, and products with their gradients and Hessians; shared by the gradient methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from xai_ray.errors import InputError, ModelOutputError, SpecError
from xai_ray.types import Floats
from xai_ray.valuation.draws import positive

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (b, ...), targets (b, ...)) -> the loss of each sample, shape (b,); in torch: reduction="none"."""

Pair = tuple[Any, Any]
"""Inputs and targets, arrays or tensors with samples along axis 0."""

Tensors = tuple[Tensor, Tensor]


def as_tensors(pair: Pair, name: str, model: nn.Module) -> Tensors:
    """Inputs and targets on the model's device, floats in its precision. Raises InputError."""
    like = next(iter(model.parameters()), torch.zeros(()))
    inputs, targets = (_tensor(part, f"{name} {what}", like) for part, what in zip(pair, _PARTS, strict=True))
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise InputError(
            f"{name} has {len(inputs)} inputs and {len(targets)} targets; it needs as many, and at least one"
        )
    return inputs, targets


_PARTS = ("inputs", "targets")


def _tensor(part: Any, name: str, like: Tensor) -> Tensor:
    try:
        tensor = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
    except TypeError as error:
        raise InputError(f"{name} must hold numbers: {error}") from error
    if tensor.ndim == 0:
        raise InputError(f"{name} has no axis of samples")
    if tensor.is_floating_point():
        bad = (~torch.isfinite(tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None])).any(dim=1)
        if bad.any():
            raise InputError(
                f"{name} of sample {int(bad.nonzero()[0])} are not finite; {int(bad.sum())} samples are not"
            )
        tensor = tensor.to(like.dtype)
    return tensor.detach().to(like.device)


def sample_losses(model: Callable[[Tensor], Tensor], loss: Loss, batch: Tensors) -> Tensor:
    """Shape (b,). Raises ModelOutputError when the loss gives another shape."""
    inputs, targets = batch
    losses = loss(model(inputs), targets)
    if losses.shape != (len(inputs),):
        raise ModelOutputError(
            f"the loss gave shape {tuple(losses.shape)} for {len(inputs)} samples; it must give one number a sample "
            "(reduction='none', summed over other axes)"
        )
    return losses


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode while the context lasts: dropout and batch statistics make a gradient depend on more than its sample."""
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Parameters that require a gradient, by name. Raises SpecError when there is none."""
    found = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise SpecError("the model has no parameter that requires a gradient")
    return found


def mean_gradient(model: nn.Module, loss: Loss, batch: Tensors, at: dict[str, Tensor]) -> Tensor:
    """Gradient of the mean loss at parameters `at`, as one vector (D,)."""
    leaves = {name: p.detach().requires_grad_() for name, p in at.items()}
    mean = sample_losses(_with(model, leaves), loss, batch).mean()
    return flat(torch.autograd.grad(mean, list(leaves.values()), allow_unused=True, materialize_grads=True))


def hessian_product(
    model: nn.Module, loss: Loss, batch: Tensors, at: dict[str, Tensor], direction: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Hessian of the mean loss at parameters `at` times a direction, by a backward pass through the backward pass."""
    leaves = {name: p.detach().requires_grad_() for name, p in at.items()}
    wanted = list(leaves.values())
    mean = sample_losses(_with(model, leaves), loss, batch).mean()
    gradient = torch.autograd.grad(mean, wanted, create_graph=True, allow_unused=True, materialize_grads=True)
    # A gradient that does not depend on the parameters has no graph and curvature 0.
    bent = [(g, direction[name]) for name, g in zip(leaves, gradient, strict=True) if g.requires_grad]
    if not bent:
        return {name: torch.zeros_like(p) for name, p in at.items()}
    found = torch.autograd.grad(
        [g for g, _ in bent], wanted, [v for _, v in bent], allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, found, strict=True))


def gradient_dots(model: nn.Module, loss: Loss, batch: Tensors, at: dict[str, Tensor], vector: Tensor) -> Tensor:
    """<gradient of each sample's loss, vector (D,)>, shape (b,): the derivative by weights u_i, at 1, of the product of the vector
    with the gradient of sum_i u_i loss_i. Two backward passes and no per-sample gradient.
    """
    leaves = {name: p.detach().requires_grad_() for name, p in at.items()}
    losses = sample_losses(_with(model, leaves), loss, batch)
    weights = torch.ones_like(losses).requires_grad_()
    total = (weights * losses).sum()
    gradient = torch.autograd.grad(
        total, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.autograd.grad(flat(gradient) @ vector, weights)[0]


def whole_gradient(model: nn.Module, loss: Loss, batch: Tensors, at: dict[str, Tensor], chunk: int) -> Tensor:
    """`mean_gradient` of all samples, `chunk` of them at a time."""
    return _sum_of_means(batch, chunk, lambda part: mean_gradient(model, loss, part, at))


def whole_hessian_product(
    model: nn.Module, loss: Loss, batch: Tensors, at: dict[str, Tensor], vector: Tensor, chunk: int
) -> Tensor:
    """Hessian of the mean loss of all samples times a vector (D,), `chunk` samples at a time."""
    direction = unflat(vector, at)
    return _sum_of_means(
        batch, chunk, lambda part: flat(list(hessian_product(model, loss, part, at, direction).values()))
    )


def whole_gradient_dots(
    model: nn.Module, loss: Loss, batch: Tensors, at: dict[str, Tensor], vector: Tensor, chunk: int
) -> Tensor:
    """`gradient_dots` of all samples, shape (n,), `chunk` of them at a time."""
    return torch.cat([gradient_dots(model, loss, part, at, vector) for _, part in chunks(batch, chunk)])


def _sum_of_means(batch: Tensors, chunk: int, mean: Callable[[Tensors], Tensor]) -> Tensor:
    """A mean over all samples from means over chunks of them."""
    parts = [mean(part) * (len(part[0]) / len(batch[0])) for _, part in chunks(batch, chunk)]
    return torch.stack(parts).sum(dim=0)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """One vector (D,)."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def unflat(vector: Tensor, like: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parts of a vector (D,) in the shapes of `like`."""
    parts = torch.split(vector, [p.numel() for p in like.values()])
    return {name: part.reshape(p.shape) for part, (name, p) in zip(parts, like.items(), strict=True)}


def chunks(batch: Tensors, size: int) -> Iterator[tuple[slice, Tensors]]:
    """Samples in order, `size` at a time. Raises SpecError for a size below 1."""
    positive("chunk", size)
    for start in range(0, len(batch[0]), size):
        part = slice(start, min(start + size, len(batch[0])))
        yield part, (batch[0][part], batch[1][part])


def as_values(tensor: Tensor) -> Floats:
    """A float64 array of its own."""
    return tensor.detach().to("cpu", torch.float64).numpy().copy()


def _with(model: nn.Module, parameters: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda inputs: functional_call(model, parameters, (inputs,))
