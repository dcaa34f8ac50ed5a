"""Architectures that read padding, forget old tokens or count their places in other ways: right, or refused, and never wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.text.models import SIZE, TEXT, _random, at_zero, bert, coalitions, gpt2, llama, tokenizer, transformers
from tests.text.test_answers import alone as log_probability
from tests.text.test_classifiers import alone
from tests.text.test_prefix_cache import pair
from xai_ray.errors import InputError, SpecError
from xai_ray.games import AnswerLogProbability, Attention, Drop, Logit, ModelGame, Words

ANSWERS = ("paris", "it was never seen", "not in italy .")
SHORT = "Rome is a big city in Italy , not in France . It was never seen by me . answer :"
LLAMA = {**SIZE, "num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64, "num_labels": 3, "vocab_size": SIZE["vocab_size"]}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def built(name: str, **sizes: Any) -> Any:
    """A model of transformers with random weights."""
    kind = getattr(transformers, name)
    return _random(kind, kind.config_class(**sizes))


def mistral(window: int) -> Any:
    return built("MistralForCausalLM", **LLAMA, sliding_window=window)


def mamba() -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "vocab_size": SIZE["vocab_size"]}
    return built("MambaForCausalLM", **sizes, **SPECIAL)


def answering(model: Any, removal: Any, limit: int = 64, answers: Any = ANSWERS, text: str = SHORT) -> ModelGame:
    return ModelGame(
        model, text, players=Words(), removal=removal, behaviour=AnswerLogProbability(answers),
        tokenizer=tokenizer("gpt", limit),
    )  # fmt: skip


@pytest.mark.parametrize("make", [lambda: mistral(6), mamba], ids=["sliding window", "recurrent states"])
def test_several_answers_of_models_that_forget(make) -> None:
    """The prompt and its answers are longer than the window, and states cannot be taken back."""
    model, known = make(), tokenizer("gpt")
    game = answering(model, Drop())
    rows, ids = coalitions(game.n_players, 6), known(SHORT)["input_ids"]
    replies = [known(answer, add_special_tokens=False)["input_ids"] for answer in ANSWERS]
    want = [
        [log_probability(model, [2, *(t for t, there in zip(ids, row, strict=True) if there)], a) for a in replies]
        for row in rows
    ]
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=5e-5)


def test_an_encoder_decoder_has_no_answers() -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4, "vocab_size": SIZE["vocab_size"]}
    with pytest.raises(SpecError, match="goes on from its prompt"):
        answering(built("T5ForConditionalGeneration", **sizes, pad_token_id=0, decoder_start_token_id=0), Drop())


@pytest.mark.parametrize("make", [gpt2, llama])
def test_attention_of_a_prompt_that_fills_the_model(make) -> None:
    """There is no place for padding, and positions begin at the first token."""
    known = tokenizer("gpt")
    ids, longest = known(SHORT)["input_ids"], 4
    for spare in (0, 1):
        game = answering(make(), Attention(), limit=1 + len(ids) + longest + spare)
        everyone = np.ones((1, game.n_players), dtype=bool)
        replies = [known(answer, add_special_tokens=False)["input_ids"] for answer in ANSWERS]
        want = [[log_probability(make(), [2, *ids], reply) for reply in replies]]
        np.testing.assert_allclose(game.values(everyone, at_zero(everyone)), want, atol=5e-5)


def local(name: str, **sizes: Any) -> Any:
    return lambda: built(name, vocab_size=SIZE["vocab_size"], **sizes, **SPECIAL)


ONE_LOCAL = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}
NO_PREFIXES = {
    "a local window": (local("GPTNeoForCausalLM", **ONE_LOCAL, window_size=30), "sees 30 of them at a time"),
    "ALiBi by place": (local("MptForCausalLM", d_model=32, n_heads=4, n_layers=2, max_seq_len=64), "counts places"),
    "a sliding window": (lambda: mistral(40), "sees 40 of them at a time"),
    "recurrent states": (mamba, "keeps states"),
}


@pytest.mark.parametrize("name", NO_PREFIXES)
def test_prefixes_that_would_not_be_exact_are_refused(name) -> None:
    make, match = NO_PREFIXES[name]
    with pytest.raises(SpecError, match=match) as told:
        pair(make(), 8)
    assert "\n" not in str(told.value)


def test_a_window_is_as_long_as_the_prompt_and_its_answer() -> None:
    game = pair(mistral(64), 5)[1]
    length = game._arguments.inputs[0].array.size
    with pytest.raises(SpecError, match="leave prefix_cache out"):
        pair(mistral(length + 1), 5)
    plain, shared = pair(mistral(length + 4), 5)
    rows = coalitions(5, 32)
    np.testing.assert_allclose(shared.values(rows, at_zero(rows)), plain.values(rows, at_zero(rows)), atol=5e-5)


def classifying(model: Any, removal: Any, known: Any) -> ModelGame:
    return ModelGame(model, TEXT, players=Words(), removal=removal, behaviour=Logit("all"), tokenizer=known)


def padded_left() -> Any:
    known = tokenizer("bert", 10**6)
    known.padding_side = "left"
    return known


def test_a_model_that_reads_its_last_place() -> None:
    """XLNet, with relative positions alone: right where its tokenizer pads on the left, refused where it does not."""
    model = built("XLNetForSequenceClassification", **XLNET, **SPECIAL)
    for removal in (Drop(), Attention()):
        with pytest.raises(SpecError, match="reads its padding" if isinstance(removal, Drop) else "have no attention"):
            classifying(model, removal, tokenizer())
    known = padded_left()
    game, ids = classifying(model, Drop(), known), known(TEXT)["input_ids"]
    labels, rows = game._arguments.inputs[0].layout.labels, coalitions(game.n_players, 12)
    want = [alone(model, [t for t, p in zip(ids, labels, strict=True) if p < 0 or row[p]]) for row in rows]
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=2e-6)
    game = classifying(model, Attention(), known)
    want = [alone(model, ids, [int(p < 0 or row[p]) for p in labels]) for row in rows]
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=2e-6)
    tokenizer("bert", 10**6).padding_side = "right"


GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "num_labels": 3, "vocab_size": SIZE["vocab_size"]}
FNET = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64, "num_labels": 3, "vocab_size": SIZE["vocab_size"]}  # fmt: skip


@pytest.mark.parametrize("removal", [Drop(), Attention()])
def test_padding_that_the_model_takes_for_text(removal) -> None:
    """Another token of padding than the tokenizer's, and a model that mixes all places."""
    other = built("GPT2ForSequenceClassification", **GPT2, **{**SPECIAL, "pad_token_id": 3})
    mixing = built("FNetForSequenceClassification", **FNET, **SPECIAL)
    for model, kind in ((other, "gpt"), (mixing, "bert")):
        with pytest.raises(SpecError, match=r"reads its padding|have no attention") as told:
            classifying(model, removal, tokenizer(kind))
        assert "\n" not in str(told.value)


def test_positions_that_begin_after_that_of_padding() -> None:
    """RoBERTa: 34 places are room for 32 tokens."""
    sizes = {**SIZE, "intermediate_size": 64, "num_labels": 3, "pad_token_id": 1, "max_position_embeddings": 34}
    model = built("RobertaForSequenceClassification", **sizes)
    for words in (29, 30):
        text = " ".join(["paris"] * words)
        for removal in (Drop(), Attention()):
            made = ModelGame(
                model, text, players=Words(), removal=removal, behaviour=Logit(0), tokenizer=tokenizer("bert", 10**6)
            )
            assert made.n_players == words
    with pytest.raises(InputError, match="33 tokens, the model takes 32; shorten it by 1 token"):
        ModelGame(
            model,
            "paris " * 31,
            players=Words(),
            removal=Drop(),
            behaviour=Logit(0),
            tokenizer=tokenizer("bert", 10**6),
        )


def test_half_precision_is_no_leak() -> None:
    import copy

    import torch

    model = copy.deepcopy(bert()).to(torch.bfloat16)
    made = ModelGame(model, TEXT, players=Words(), removal=Drop(), behaviour=Logit(0), tokenizer=tokenizer())
    assert made.n_players == len(TEXT.split())
