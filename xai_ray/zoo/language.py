"""A causal language model with random weights: it knows nothing, and shows how prompts, passages and answers are explained.

The architecture is GPT-2's (Radford et al., 2019) with one token a byte; built by transformers from a seed, nothing is downloaded.
"""

from __future__ import annotations

from typing import Any

from xai_ray.errors import InputError
from xai_ray.zoo.model import ZooModel, need

_BEGIN, _PAD = "<begin>", "<pad>"
_POSITIONS = 2048


def random_language_model(layers: int = 2, width: int = 64, heads: int = 4, seed: int = 0) -> ZooModel:
    """Logits (rows, tokens, 258) of up to 2,048 bytes. Raises InputError for sizes that do not go together."""
    import torch

    if min(layers, width, heads) < 1 or width % heads:
        raise InputError(
            f"random_language_model(layers={layers}, width={width}, heads={heads}): all at least 1, and width a multiple of heads"
        )
    transformers: Any = need("transformers", "text")
    tokenizer = byte_tokenizer()
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=_POSITIONS, n_embd=width, n_layer=layers, n_head=heads, initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.GPT2LMHeadModel(config).eval()
    return ZooModel(model, "raw", tokenizer=tokenizer)


def byte_tokenizer() -> Any:
    """A fast tokenizer with a token for each byte of a text, and two more to begin and to pad with."""
    transformers: Any = need("transformers", "text")
    tokenizers: Any = need("tokenizers", "text")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate([*alphabet, _BEGIN, _PAD])}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=_BEGIN, pad_token=_PAD, model_max_length=_POSITIONS
    )
