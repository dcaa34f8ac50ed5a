"""How a person sees the players of a model's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.games.arguments import Arguments
from xai_ray.games.removals.filling import PlacedInput
from xai_ray.games.view import View


def show(arguments: Arguments, names: tuple[str, ...], picture: Any) -> View:
    """The view of the one input that has players; plain names when several have."""
    placed = [i for i in arguments.inputs if not i.constant]
    kind = placed[0].layout.kind
    if len(placed) > 1 or kind == "constant":
        return View("plain", names)
    if kind == "image":
        return _image(placed[0], names, picture)
    shown = placed[0].layout.shown
    if shown is not None:
        return View("table", tuple(f"{n} = {v}" for n, v in zip(names, shown, strict=True)))
    return View(kind, names)


def _image(placed: PlacedInput, names: tuple[str, ...], picture: Any) -> View:
    down, across = placed.layout.spatial
    labels = placed.layout.labels
    regions = labels.reshape(labels.shape[down], labels.shape[across])
    image = _scaled(placed) if picture is None else np.asarray(picture)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"picture must be uint8 of shape (height, width, 3), got {image.dtype} {image.shape}")
    row = np.arange(image.shape[0]) * regions.shape[0] // image.shape[0]
    col = np.arange(image.shape[1]) * regions.shape[1] // image.shape[1]
    return View("image", names, image, regions[row[:, None], col[None, :]])


def _scaled(placed: PlacedInput) -> npt.NDArray[np.uint8]:
    array = placed.array.astype(np.float64)
    if array.ndim == 2:
        array = array[:, :, None]
    elif placed.layout.spatial == (1, 2):
        array = array.transpose(1, 2, 0)
    array = array[:, :, :3] if array.shape[2] >= 3 else np.repeat(array[:, :, :1], 3, axis=2)
    low, high = array.min(), array.max()
    return np.rint((array - low) / (high - low or 1.0) * 255).astype(np.uint8)
