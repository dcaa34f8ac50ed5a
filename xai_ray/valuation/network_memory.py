"""How much memory a stack of torch networks takes, by one pass of a single row through the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from xai_ray.valuation.engine_memory import Sizes
from xai_ray.valuation.memory import Need
from xai_ray.valuation.network import Network
from xai_ray.valuation.networks import made

_PASSES = 3
"""What is held of each activation: itself, its gradient, and one temporary."""


def network_need(network: Network, sizes: Sizes) -> Need:
    """A stack of `network.models`: parameters with gradients and the optimiser's moments, and the activations of one step or of the
    test points. Raises what `made` raises.
    """
    model = made(network)
    word = 4 if network.precision == "float32" else 8
    parameters = sum(value.numel() for value in model.parameters())
    moments = {"adam": 2, "sgd": int(network.momentum > 0)}[network.optimiser]
    step = min(sizes.points, network.batch or sizes.points)
    seen = max(step, sizes.tests)
    each = word * parameters * (4 + moments) + word * _PASSES * seen * _activations(model, sizes.features)
    each += (word + 1) * sizes.points + 8 * sizes.tests * 2 * sizes.columns + sizes.decided
    rows = word * (2 * sizes.points + sizes.tests) * sizes.features
    parts = (sizes.data, ("tensors of the data", rows))
    advice = "value groups of points, train in mini-batches (batch=...), or take a smaller network or fewer test points"
    return Need(parts, each, network.models, advice)


def _activations(model: nn.Module, features: int) -> int:
    """Entries that all layers together put out for one row."""
    counted = 0

    def count(module: nn.Module, given: Any, found: Any) -> None:
        nonlocal counted
        counted += found.numel() if isinstance(found, torch.Tensor) else 0

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if not list(layer.children())]
    try:
        first = next(model.parameters())
        with torch.no_grad():
            model(torch.zeros((1, features), dtype=first.dtype, device=first.device))
    except (RuntimeError, ValueError, IndexError):
        # What is wrong with the network is told where it is trained.
        return counted
    finally:
        for hook in hooks:
            hook.remove()
    return counted
