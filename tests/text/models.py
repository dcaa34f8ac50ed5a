"""Tiny transformers with random weights, and tokenizers built in memory: nothing is downloaded."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import functools
from typing import Any

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="the extra `text` is not installed")

WORDS = [
    "the",
    "capital",
    "of",
    "france",
    "is",
    "paris",
    "rome",
    "not",
    "italy",
    "in",
    "a",
    "city",
    "big",
    ".",
    "!",
    "?",
    ",",
    "question",
    ":",
    "answer",
    "it",
    "lies",
    "was",
    "never",
    "seen",
    "by",
    "me",
]
TEXT = "The capital of France is Paris . It was never seen by me ! Rome is a big city in Italy , not in France ."


@functools.cache
def tokenizer(kind: str = "bert", limit: int = 64) -> Any:
    """Words as tokens. `bert` puts [CLS] and [SEP] around a text, `gpt` adds nothing but knows a token to begin with; `bare` knows none."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate([*special, *WORDS])}, "[UNK]"))
    made.add_special_tokens(special)
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if kind == "bert":
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    names: dict[str, Any] = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    if kind == "bert":
        names |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    if kind == "gpt":
        names |= {"bos_token": "[CLS]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=limit, **names)


SIZE = {
    "vocab_size": 5 + len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}


def _random(kind: Any, config: Any) -> Any:
    torch.manual_seed(3)
    made = kind(config).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.ndim > 1 and "norm" not in name.lower():
                weight.mul_(6.0)  # weights as large as those of trained models, so that tokens matter
    return made


@functools.cache
def bert() -> Any:
    """Three classes."""
    config = transformers.BertConfig(**SIZE, intermediate_size=64, max_position_embeddings=64, num_labels=3)
    return _random(transformers.BertForSequenceClassification, config)


@functools.cache
def gpt2(classes: int | None = None) -> Any:
    """A causal language model; with `classes`, a classifier that reads the last token."""
    sizes = {
        "vocab_size": SIZE["vocab_size"],
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    config = transformers.GPT2Config(**sizes, num_labels=classes or 2)
    return _random(transformers.GPT2ForSequenceClassification if classes else transformers.GPT2LMHeadModel, config)


@functools.cache
def llama() -> Any:
    """A causal language model with rotary positions and shared key heads."""
    sizes = {**SIZE, "num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    return _random(transformers.LlamaForCausalLM, transformers.LlamaConfig(**sizes))


def coalitions(n: int, count: int = 40, seed: int = 0) -> np.ndarray:
    """Random coalitions of all sizes, the empty and the grand one among them."""
    generator = np.random.default_rng(seed)
    rows = generator.random((count, n)) < generator.random((count, 1))
    rows[0], rows[1] = False, True
    return rows


def at_zero(rows: np.ndarray) -> np.ndarray:
    """Contexts of a deterministic game."""
    return np.zeros(len(rows), dtype=np.int64)
