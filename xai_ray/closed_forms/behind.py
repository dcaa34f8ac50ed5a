"""What lies behind a callable: the estimator whose method it is, or the torch module itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from xai_ray.games.passes.backends import is_module


@dataclass(frozen=True)
class Behind:
    """An estimator and the method of it that a game calls; a torch module has the method `forward`."""

    owner: Any
    method: str
    arguments: dict[str, Any]
    """Keywords that a `functools.partial` fixes, as `raw_score=True` of LightGBM."""

    @property
    def words(self) -> str:
        """For people."""
        return f"{type(self.owner).__name__}.{self.method}"


def behind(model: Callable[..., Any]) -> Behind | None:
    """The owner of a bound method, of a partial of one, or a module; None for a function of its own."""
    fixed: dict[str, Any] = {}
    if isinstance(model, partial):
        if model.args:
            return None
        model, fixed = model.func, dict(model.keywords)
    if is_module(model):
        return Behind(model, "forward", fixed)
    owner = getattr(model, "__self__", None)
    if owner is None or isinstance(owner, type):
        return None
    return Behind(owner, getattr(model, "__name__", ""), fixed)
