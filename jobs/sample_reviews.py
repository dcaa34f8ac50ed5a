"""Draw the balanced sample of film-review snippets that lives in `jobs/data/reviews.tsv`.

    python jobs/sample_reviews.py movie_review_snippets.tsv jobs/data/reviews.tsv

The source has columns id, mean human rating in [-4, 4], text, sorted by class. Clear cases only: half rated above 1,
half below -1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

PER_CLASS = 200


def clear_cases(source: Path) -> list[tuple[int, float, str]]:
    """Label (1 is positive), rating and text of every snippet rated above 1 or below -1."""
    rows: list[tuple[int, float, str]] = []
    for line in source.read_text(encoding="utf-8", errors="ignore").splitlines():
        _, rating, text = line.split("\t", 2)
        if abs(float(rating)) > 1.0:
            rows.append((int(float(rating) > 0), float(rating), " ".join(text.split())))
    return rows


def sample(source: Path, target: Path, seed: int = 0) -> None:
    """Write `label <tab> rating <tab> text`, shuffled."""
    rows = clear_cases(source)
    generator = np.random.default_rng(seed)
    picked: list[tuple[int, float, str]] = []
    for label in (0, 1):
        members = [row for row in rows if row[0] == label]
        picked += [members[i] for i in generator.choice(len(members), PER_CLASS, replace=False)]
    order = generator.permutation(len(picked))
    lines = [f"{picked[i][0]}\t{picked[i][1]:.3f}\t{picked[i][2]}" for i in order]
    target.write_text("label\trating\ttext\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sample(Path(sys.argv[1]), Path(sys.argv[2]))
