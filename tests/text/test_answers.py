"""Log-probabilities of answers, batched, equal to an unbatched loop over coalitions and tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.text.models import TEXT, at_zero, coalitions, gpt2, llama, tokenizer
from xai_ray.games import (
    AnswerLogProbability,
    Attention,
    Constant,
    Drop,
    ModelGame,
    Passages,
    Segments,
    Sentences,
    Words,
)
from xai_ray.testing.games import check_game

PROMPT = TEXT + " Question : is it in Italy ? Answer :"
ANSWERS = ("Paris", "it was never seen", "not in Italy .")
ATOL = 2e-5
"""Of log-probabilities around -30, in float32."""


def game_of(model, removal, answers=ANSWERS, players=None, text=PROMPT, per_token=False, **more) -> ModelGame:
    return ModelGame(
        model, text, players=Words() if players is None else players, removal=removal,
        behaviour=AnswerLogProbability(answers, per_token), tokenizer=tokenizer("gpt"), **more,
    )  # fmt: skip


def alone(model, prompt, answer, mask=None, places=None, read=None) -> float:
    """log p(answer | prompt), one sequence by itself and one token of the answer after the other."""
    total, ids, mask = 0.0, list(prompt), list(mask or [1] * len(prompt))
    read = len(prompt) - 1 if read is None else read
    for token in answer:
        with torch.inference_mode():
            found = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([mask]))
        logits = found.logits[0, read].double()
        total += float(torch.log_softmax(logits, 0)[token])
        ids, mask = [*ids, token], [*mask, 1]
        read = len(ids) - 1
    return total


def wanted(model, game, rows, answers=ANSWERS, attention=False):
    known = tokenizer("gpt")
    ids, labels = known(PROMPT)["input_ids"], game._arguments.inputs[0].layout.labels
    start = [] if (labels < 0).any() else [2]
    out = []
    for row in rows:
        there = [True] * len(start) + [bool(p < 0 or row[p]) for p in labels]
        whole = [*start, *ids]
        replies = [known(a, add_special_tokens=False)["input_ids"] for a in answers]
        if attention:
            last = max(i for i, t in enumerate(there) if t)
            out.append([alone(model, whole, a, [int(t) for t in there], read=last) for a in replies])
        else:
            out.append([alone(model, [i for i, t in zip(whole, there, strict=True) if t], a) for a in replies])
    return np.array(out)


@pytest.mark.parametrize("answers", [ANSWERS, ANSWERS[1:2], ANSWERS[:1]], ids=["three", "one", "one token"])
@pytest.mark.parametrize("model", [gpt2, llama])
def test_dropping_equals_a_loop(model, answers) -> None:
    game = game_of(model(), Drop(), answers, batch=4)
    assert game.output_names == answers
    rows = coalitions(game.n_players, 24)
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), wanted(model(), game, rows, answers), atol=ATOL)


@pytest.mark.parametrize("answers", [ANSWERS, ANSWERS[1:2]], ids=["three", "one"])
@pytest.mark.parametrize("model", [gpt2, llama])
def test_attention_equals_a_loop(model, answers) -> None:
    """The last tokens of the prompt may be absent: the answer is read at the last one that is there."""
    game = game_of(model(), Attention(), answers, batch=4)
    rows = coalitions(game.n_players, 24)
    assert not rows[:, -1].all()
    want = wanted(model(), game, rows, answers, attention=True)
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=ATOL)


def test_a_constant_token_in_place_of_absent_ones() -> None:
    game = game_of(gpt2(), Constant(1), players=Sentences(), batch=4)
    ids, labels = tokenizer("gpt")(PROMPT)["input_ids"], game._arguments.inputs[0].layout.labels
    rows = coalitions(game.n_players, 8)
    replies = [tokenizer("gpt")(a, add_special_tokens=False)["input_ids"] for a in ANSWERS]
    want = [
        [alone(gpt2(), [t if p < 0 or row[p] else 1 for t, p in zip(ids, labels, strict=True)], a) for a in replies]
        for row in rows
    ]
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=ATOL)


def test_a_model_is_not_copied() -> None:
    game = game_of(gpt2(), Drop())
    assert game._model.model is gpt2()


def test_mean_per_token() -> None:
    total, mean = game_of(gpt2(), Drop()), game_of(gpt2(), Drop(), per_token=True)
    rows = coalitions(total.n_players, 8)
    sizes = [len(tokenizer("gpt")(a, add_special_tokens=False)["input_ids"]) for a in ANSWERS]
    np.testing.assert_allclose(mean.values(rows, at_zero(rows)), total.values(rows, at_zero(rows)) / sizes, rtol=1e-12)
    assert total.digest != mean.digest


def test_probabilities_of_all_answers_sum_to_one() -> None:
    """One-token answers over the whole vocabulary: a distribution for every coalition."""
    from tests.text.models import WORDS

    words = [*WORDS, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    game = game_of(gpt2(), Drop(), tuple(dict.fromkeys(words)), players=Sentences())
    rows = coalitions(game.n_players, 8)
    np.testing.assert_allclose(np.exp(game.values(rows, at_zero(rows))).sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("removal", [Drop(), Attention()])
@pytest.mark.usefixtures("small_pool")
def test_the_contract(removal) -> None:
    check_game(game_of(llama(), removal, batch=4), rows=16)


def test_passages_are_joined_by_their_template() -> None:
    passages = ["Paris is in France .", "Rome lies in Italy .", "It was big ."]
    players = Passages(template="{passages}Question : is Rome in France ? Answer :", each="{number} : {passage}\n")
    game = game_of(gpt2(), Drop(), ANSWERS[:1], players, text=passages)
    assert game.player_names == ("1 : Paris is in France .", "2 : Rome lies in Italy .", "3 : It was big .")
    kept = [f"{i + 1} : {passages[i]}\n" for i in (0, 2)]
    shorter = "".join(kept) + "Question : is Rome in France ? Answer :"
    ids = tokenizer("gpt")(shorter)["input_ids"]
    row = np.array([[True, False, True]])
    want = alone(gpt2(), ids, tokenizer("gpt")("Paris", add_special_tokens=False)["input_ids"])
    assert game.values(row, at_zero(row))[0, 0] == pytest.approx(want, abs=ATOL)


def test_segments_leave_the_question_alone() -> None:
    at = PROMPT.index("Question")
    spans = [(0, 32), (33, at - 1)]
    game = game_of(gpt2(), Drop(), players=Segments(spans=spans, rest="stays", names=("one", "two")))
    assert game.player_names == ("one", "two")
    none = np.zeros((1, 2), dtype=bool)
    ids = tokenizer("gpt")(PROMPT[at:])["input_ids"]
    want = [alone(gpt2(), ids, tokenizer("gpt")(a, add_special_tokens=False)["input_ids"]) for a in ANSWERS]
    np.testing.assert_allclose(game.values(none, at_zero(none))[0], want, atol=ATOL)
