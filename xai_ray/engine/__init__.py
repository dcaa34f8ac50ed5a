"""Who does the work: the ledger (a state machine without I/O), the inline reference engine and the Ray engine.

Ray is imported only when `RayEngine` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xai_ray.engine.inline import InlineEngine
from xai_ray.engine.protocol import Engine
from xai_ray.engine.worker import evaluate

if TYPE_CHECKING:
    from xai_ray.engine.ray_engine import RayEngine

__all__ = ["Engine", "InlineEngine", "RayEngine", "evaluate"]


def __getattr__(name: str) -> Any:
    if name == "RayEngine":
        from xai_ray.engine.ray_engine import RayEngine

        return RayEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
