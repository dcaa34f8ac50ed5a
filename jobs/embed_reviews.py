"""Write `jobs/data/review_embeddings.npz`: all-MiniLM-L6-v2 of the snippets in `jobs/data/reviews.tsv`; some ten seconds on one core.

    python jobs/embed_reviews.py

Half precision, key `embeddings`, shape (snippets, 384): a job that computed them anew could have other last bits on another machine, and so
another identity.
"""

from __future__ import annotations

import numpy as np
from train_review import HELD_OUT, embed
from value_reviews import EMBEDDINGS


def main() -> None:
    """Embed and write."""
    texts = [line.split("\t")[2] for line in HELD_OUT.read_text(encoding="utf-8").splitlines()[1:]]
    np.savez_compressed(EMBEDDINGS, embeddings=np.float16(embed(texts)))
    print(f"wrote {EMBEDDINGS}: {len(texts)} snippets")


if __name__ == "__main__":
    main()
