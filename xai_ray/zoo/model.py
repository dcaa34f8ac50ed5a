"""What a model factory of a spec may return: a bare model, or a `ZooModel` that also says how its input and output
look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.games.behaviours import Outputs
from xai_ray.games.players.words import Tokenizer
from xai_ray.types import Floats

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ZooModel:
    """A model with what belongs to it. Fields that its kind of input does not use stay at their defaults."""

    model: Callable[..., Any]
    """A torch module or a callable on arrays, for `ModelGame`."""
    outputs: Outputs
    """What it returns."""
    class_names: tuple[str, ...] = ()
    """One a class; empty where the model came without."""
    picture: Callable[[Picture], Picture] | None = None
    """Images: a photograph (height, width, 3) -> the picture that the model sees, for people."""
    preprocess: Callable[[Picture], npt.NDArray[np.float32]] | None = None
    """Images: a photograph (height, width, 3) -> the model's input (C, H, W)."""
    tokenizer: Tokenizer | None = field(default=None, repr=False)
    """Texts."""
    columns: tuple[str, ...] = ()
    """Tables: names of the columns."""
    rows: Floats | None = field(default=None, repr=False)
    """Tables: the data set, shape (rows, columns)."""
    background: Floats | None = field(default=None, repr=False)
    """Tables: training rows to average over."""


def need(package: str, extra: str) -> ModuleType:
    """Import an optional package; InputError that names the extra to install when it is missing."""
    try:
        return import_module(package)
    except ImportError as error:
        raise InputError(
            f'this model needs {package}; install it with: pip install "xai-ray[{extra}]" ({error})'
        ) from error
