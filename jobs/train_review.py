"""Train the logistic head of `xai_ray.zoo:minilm_sentiment` on 300 of the 400 snippets in `jobs/data/reviews.tsv`.

    python jobs/train_review.py

Prints the accuracy on the 100 snippets held out and writes the head into the package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from xai_ray.zoo.minilm import HEAD, sentiment_model

DATA = Path(__file__).parent / "data" / "reviews.tsv"
TRAIN = 300


def main() -> None:
    """Embed, fit, report, write."""
    lines = [line.split("\t") for line in DATA.read_text(encoding="utf-8").splitlines()[1:]]
    labels, texts = np.array([int(line[0]) for line in lines]), [line[2] for line in lines]
    vectors = _embed(texts)
    head = LogisticRegression(C=10.0).fit(vectors[:TRAIN], labels[:TRAIN])
    right = head.predict(vectors[TRAIN:]) == labels[TRAIN:]
    print(f"held-out accuracy {right.mean():.3f} on {len(right)} snippets, trained on {TRAIN}")
    HEAD.parent.mkdir(exist_ok=True)
    np.savez(HEAD, weight=np.float32(head.coef_[0]), bias=np.float32(head.intercept_))


def _embed(texts: list[str]) -> np.ndarray:
    model, tokenizer = sentiment_model(np.zeros(384), np.zeros(1))
    vectors: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(texts), 20):
            batch = tokenizer(texts[start : start + 20], padding=True, return_tensors="pt")
            vectors.append(model.embed(batch["input_ids"], batch["attention_mask"]).numpy())
    return np.concatenate(vectors)


if __name__ == "__main__":
    main()
