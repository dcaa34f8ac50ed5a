"""How a person sees the players of a game: regions of an image, words of a text, columns of a row. JSON on the wire."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from xai_ray.types import Ints


@dataclass(frozen=True)
class View:
    """What a report draws."""

    kind: Literal["image", "text", "table", "plain"]
    labels: tuple[str, ...]
    """One a player: the word itself, `column = value`, or the player's name."""
    image: npt.NDArray[np.uint8] | None = None
    """Shape (height, width, 3), for kind `image`."""
    regions: Ints | None = None
    """Shape (height, width): the player at each pixel, -1 for pixels that always stay; for kind `image`."""

    def document(self) -> dict[str, Any]:
        """As a JSON object; images as base64 PNG."""
        return {"kind": self.kind, "labels": list(self.labels), **self._images}

    @cached_property
    def _images(self) -> dict[str, str]:
        # Of a photograph they take as long as a forward pass or two.
        if self.image is None or self.regions is None:
            return {}
        regions = (self.regions + 1).astype(np.uint16)
        return {"image": _png(Image.fromarray(self.image)), "regions": _png(Image.fromarray(regions))}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> View:
        """The inverse of `document`."""
        image = regions = None
        if "image" in document:
            image = np.asarray(_open(document["image"]).convert("RGB"), dtype=np.uint8)
            regions = np.asarray(_open(document["regions"]), dtype=np.int64) - 1
        return cls(document["kind"], tuple(document["labels"]), image, regions)


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _open(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))
