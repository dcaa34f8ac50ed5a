"""A model as games run it: in evaluation mode and on its device. The caller's module is never changed."""

from __future__ import annotations

import copy
from typing import Any

from xai_ray.games.passes.backends import is_module


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
