"""Train the logistic head of `xai_ray.zoo:minilm_sentiment` on rated film-review snippets; about two minutes on one
core.

    python jobs/train_review.py movie_review_snippets.tsv

Trains on every clearly rated snippet of the source that is not in `jobs/data/reviews.tsv`, prints the accuracy on
that sample, and writes the head into the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sample_reviews import clear_cases
from sklearn.linear_model import LogisticRegression

from xai_ray.zoo.minilm import HEAD, sentiment_model

HELD_OUT = Path(__file__).parent / "data" / "reviews.tsv"


def main(source: Path) -> None:
    """Embed, fit, report, write."""
    torch.set_num_threads(1)
    held_out = [line.split("\t") for line in HELD_OUT.read_text(encoding="utf-8").splitlines()[1:]]
    seen = {line[2] for line in held_out}
    rows = [row for row in clear_cases(source) if row[2] not in seen]
    head = LogisticRegression(C=1.0, max_iter=1000).fit(embed([r[2] for r in rows]), [r[0] for r in rows])
    right = head.predict(embed([line[2] for line in held_out])) == np.array([int(line[0]) for line in held_out])
    print(f"held-out accuracy {right.mean():.3f} on {len(right)} snippets, trained on {len(rows)}")
    HEAD.parent.mkdir(exist_ok=True)
    np.savez(HEAD, weight=np.float32(head.coef_[0]), bias=np.float32(head.intercept_))


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors of texts, shape (texts, 384)."""
    model, tokenizer = sentiment_model(np.zeros(384), np.zeros(1))
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.empty((len(texts), 384), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(texts), 20):
            at = by_length[start : start + 20]
            batch = tokenizer([texts[i] for i in at], padding=True, return_tensors="pt")
            vectors[at] = model.embed(batch["input_ids"], batch["attention_mask"]).numpy()
    return vectors


if __name__ == "__main__":
    main(Path(sys.argv[1]))
