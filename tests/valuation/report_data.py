"""Training data with wrong labels, and a reader of pages, for the tests of reports of training points."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import RidgeClassifier

import xai_ray as xr
from xai_ray.reports.training import TrainingPart, training_part

R = np.random.default_rng(3)
N, M = 30, 50
X, TEST = R.normal(size=(N, 4)), R.normal(size=(M, 4))
TRUE = X[:, 0] > 0
WRONG = np.zeros(N, dtype=bool)
WRONG[R.permutation(N)[:6]] = True
LABELS = np.where(TRUE ^ WRONG, "yes", "<no>")
DATA = (X, LABELS, TEST, np.where(TEST[:, 0] > 0, "yes", "<no>"))
TEXTS = [f"<b>review</b> number {i} & more" for i in range(N)]
IMAGES = R.random((N, 6, 5))
RIDGE = RidgeClassifier(alpha=0.5)


@pytest.fixture(scope="module", name="shapley")
def shapley() -> xr.Result:
    return xr.value(RIDGE, *DATA, budget=3_000, seed=1)


class Page(HTMLParser):
    """Text, images and elements of a page, which must close."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.raw = path.read_text(encoding="utf-8")
        self.words, self.tags, self.images = "", [], []
        self._open: list[str] = []
        self.feed(self.raw)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        elif tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def drawn(self) -> list[Image.Image]:
        found = [s.split(",", 1)[1] for s in self.images if s.startswith("data:image/png")]
        return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def part_of(result: xr.Result, **given: Any) -> TrainingPart:
    part = training_part(result, **given)
    assert part is not None
    return part
