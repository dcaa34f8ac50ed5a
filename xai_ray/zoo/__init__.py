"""Models and training data for the jobs that come with the project, as `xai_ray.zoo:name` in a spec. Nothing is
downloaded; each name is imported when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from xai_ray.zoo.model import ZooModel

FACTORIES: dict[str, str] = {
    "efficientnet_lite0": "xai_ray.zoo.efficientnet",
    "minilm_sentiment": "xai_ray.zoo.minilm",
    "noisy_digits": "xai_ray.zoo.training_sets",
    "random_language_model": "xai_ray.zoo.language",
    "shifted_digits": "xai_ray.zoo.training_sets",
    "tumour_clinics": "xai_ray.zoo.training_sets",
    "tumour_forest": "xai_ray.zoo.tumour",
    "tumour_mlp": "xai_ray.zoo.tumour",
}
"""Factory -> the module that holds it."""

__all__ = ["FACTORIES", "ZooModel"]


def __getattr__(name: str) -> Any:
    if name not in FACTORIES:
        raise AttributeError(f"xai_ray.zoo has no {name!r}; it has {', '.join(FACTORIES)}")
    return getattr(import_module(FACTORIES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *FACTORIES])
