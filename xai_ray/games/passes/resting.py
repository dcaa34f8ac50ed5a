"""A model as games run it: in evaluation mode and on its device. The caller's module is never changed."""

from __future__ import annotations

import copy
from typing import Any

from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.backends import ArrayBackend, TorchBackend, is_module, pick_device
from xai_ray.games.passes.numerics import Numerics


def resting(model: Any) -> Any:
    """The model in evaluation mode; a copy if it has to change."""
    if is_module(model) and any(part.training for part in model.modules()):
        return copy.deepcopy(model).eval()
    return model


def moved(model: Any, device: str) -> Any:
    """A module on a device (`cpu`, `cuda`, `cuda:1`), a copy if it is elsewhere; any other callable itself."""
    if not is_module(model):
        return model
    tensors = [*model.parameters(), *model.buffers()]
    kind, _, number = device.partition(":")
    if all(t.device.type == kind and (not number or str(t.device) == device) for t in tensors):
        return model
    return copy.deepcopy(model).to(device)


def backend_of(model: Any, arguments: Arguments, device: str, numerics: Numerics) -> ArrayBackend | TorchBackend:
    """Where a model runs: a module, and what takes tensors, on a device; any other callable on numpy arrays."""
    if not is_module(model) and not arguments.tensors:
        return ArrayBackend(model, arguments)
    device = pick_device(device)
    return TorchBackend(moved(model, device), arguments, device, numerics)


def settled(model: Any, device: str) -> Any:
    """The model as a game on this device holds it, so that many games share one copy."""
    return moved(resting(model), pick_device(device)) if is_module(model) else model
