"""Training data of `jobs/value_reviews.toml`: film-review snippets by their embeddings, some labels wrong by a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xai_ray.errors import InputError

DATA = Path(__file__).parent / "data"
EMBEDDINGS = DATA / "review_embeddings.npz"
"""Written by `embed_reviews.py`."""
CLASSES = ("negative", "positive")


def noisy_reviews(points: int = 280, tests: int = 120, flipped: float = 0.2, seed: int = 0) -> dict[str, Any]:
    """X (points, 384), y, X_test (tests, 384), y_test, names, texts and flagged (points,), the wrong labels.

    Names are the label and the beginning of the text, with `not` before a wrong label. Raises InputError.
    """
    lines = [line.split("\t") for line in (DATA / "reviews.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    with np.load(EMBEDDINGS, allow_pickle=False) as stored:
        rows = stored["embeddings"].astype(np.float64)
    if points < 1 or tests < 1 or points + tests > len(rows) or not 0 <= flipped <= 1:
        raise InputError(
            f"noisy_reviews(points={points}, tests={tests}, flipped={flipped}): {len(rows)} snippets are there, and flipped is a share"
        )
    labels = np.array([int(line[0]) for line in lines])
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(rows))
    train, test = order[:points], order[points : points + tests]
    wrong = np.zeros(points, dtype=np.bool_)
    wrong[generator.permutation(points)[: round(flipped * points)]] = True
    given = np.where(wrong, 1 - labels[train], labels[train])
    names = [
        f"{'not ' if bad else ''}{CLASSES[label]}, {i}: {lines[i][2][:60]}"
        for i, label, bad in zip(train, given, wrong, strict=True)
    ]
    classes = np.array(CLASSES)
    return {
        "X": rows[train],
        "y": classes[given],
        "X_test": rows[test],
        "y_test": classes[labels[test]],
        "names": names,
        "texts": [lines[i][2] for i in train],
        "flagged": wrong,
    }
