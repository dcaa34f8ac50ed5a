"""Shared prefixes: equal to the plain pass, and every shared token goes through the model once."""

from __future__ import annotations

import numpy as np
import pytest

from tests.text.models import TEXT, WORDS, at_zero, coalitions, gpt2, llama, tokenizer
from xai_ray.errors import SpecError
from xai_ray.games import AnswerLogProbability, Drop, ModelGame, Passages, Segments, Words
from xai_ray.testing.games import check_game

ATOL = 5e-5
ANSWERS = ("paris", "it was never seen", "not in italy .")


def passages(count: int) -> list[str]:
    generator = np.random.default_rng(count)
    return [" ".join(generator.choice(WORDS, generator.integers(1, 6))) for _ in range(count)]


def pair(model, count, answers=ANSWERS, head="answer by me : ", **drop) -> list[ModelGame]:
    players = Passages(template=head + "{passages}question : is rome in france ? answer :", each="{passage} ! ")
    return [
        ModelGame(
            model, passages(count), players=players, removal=Drop(prefix_cache=cache, **drop),
            behaviour=AnswerLogProbability(answers), tokenizer=tokenizer("gpt"), batch=16,
        )
        for cache in (False, True)
    ]  # fmt: skip


@pytest.mark.parametrize("head", ["answer by me : ", ""])
@pytest.mark.parametrize("count", [1, 3, 5, 10])
@pytest.mark.parametrize("model", [gpt2, llama])
def test_equal_to_the_plain_pass(model, count, head) -> None:
    plain, shared = pair(model(), count, head=head)
    rows = coalitions(count, 200)
    np.testing.assert_allclose(shared.values(rows, at_zero(rows)), plain.values(rows, at_zero(rows)), atol=ATOL)
    assert plain.digest != shared.digest


@pytest.mark.parametrize("answers", [ANSWERS[:1], ANSWERS[1:2]])
def test_one_answer_and_replacements(answers) -> None:
    plain, shared = pair(llama(), 7, answers, replacement="it lies")
    rows = coalitions(7, 60)
    np.testing.assert_allclose(shared.values(rows, at_zero(rows)), plain.values(rows, at_zero(rows)), atol=ATOL)


@pytest.mark.usefixtures("small_pool")
def test_the_contract() -> None:
    check_game(pair(gpt2(), 9)[1], rows=16)


def test_shared_tokens_go_through_once(monkeypatch) -> None:
    """All 2^8 coalitions of eight passages: half the tokens of the plain pass or fewer."""
    from xai_ray.games.sequences.answer_scorer import AnswerScorer

    fed: list[int] = []
    plain_call = AnswerScorer.call

    def counted(self, ids, *others, **more):
        fed.append(ids.numel())
        return plain_call(self, ids, *others, **more)

    monkeypatch.setattr(AnswerScorer, "call", counted)
    rows = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(bool)
    tokens = []
    for game in pair(gpt2(), 8, ANSWERS[:1]):
        fed.clear()
        game.values(rows, at_zero(rows))
        tokens.append(sum(fed))
    assert tokens[1] < 0.6 * tokens[0], tokens


def test_refusals() -> None:
    with pytest.raises(SpecError, match="last token always stays"):
        ModelGame(
            gpt2(), TEXT, players=Words(), removal=Drop(prefix_cache=True), behaviour=AnswerLogProbability("paris"),
            tokenizer=tokenizer("gpt"),
        )  # fmt: skip
    from tests.text.models import bert
    from xai_ray.games import Logit

    with pytest.raises(SpecError, match="causal models"):
        ModelGame(
            bert(), TEXT, players=Segments(separator="."), removal=Drop(prefix_cache=True), behaviour=Logit(0),
            tokenizer=tokenizer(),
        )  # fmt: skip
