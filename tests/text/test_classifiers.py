"""Classifiers of texts, token by token: every removal equals an explicit loop over single coalitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.text.models import TEXT, at_zero, bert, coalitions, gpt2, tokenizer
from xai_ray.coalitions import Strata, Unit
from xai_ray.coalitions.strata import uniform_law
from xai_ray.engine.worker import evaluate
from xai_ray.errors import SpecError
from xai_ray.games import Attention, Drop, Logit, MaskToken, ModelGame, Segments, Sentences, Tokens, Words
from xai_ray.testing.games import check_game


def game_of(removal, players=None, model=None, text=TEXT, kind="bert", **more) -> ModelGame:
    players = Words() if players is None else players
    return ModelGame(
        model or bert(),
        text,
        players=players,
        removal=removal,
        behaviour=Logit("all"),
        tokenizer=tokenizer(kind),
        **more,
    )


def alone(model, ids, mask=None) -> np.ndarray:
    """Logits of one sequence by itself."""
    with torch.inference_mode():
        given = torch.tensor(ids)[None]
        return (
            model(input_ids=given, attention_mask=torch.ones_like(given) if mask is None else torch.tensor(mask)[None])
            .logits[0]
            .double()
            .numpy()
        )


@pytest.mark.parametrize("players", [Words(), Tokens(), Sentences(), Segments(separator=" is ")])
def test_dropping_equals_a_loop(players) -> None:
    game = game_of(Drop(), players, batch=4)
    ids = tokenizer()(TEXT)["input_ids"]
    labels = game._arguments.inputs[0].layout.labels
    rows = coalitions(game.n_players)
    want = [alone(bert(), [t for t, p in zip(ids, labels, strict=True) if p < 0 or row[p]]) for row in rows]
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=2e-6)


def test_dropping_closes_positions_up() -> None:
    """The text without the words is the same as the shorter text."""
    game = game_of(Drop())
    without = game_of(Drop(), text="Rome is a big city .")
    names = list(game.player_names)
    kept = np.zeros((1, len(names)), dtype=bool)
    kept[0, [14, 15, 16, 17, 18, 25]] = True
    assert [names[i] for i in np.flatnonzero(kept[0])] == ["Rome", "is", "a", "big", "city", "."]
    grand = without.values(np.ones((1, 6), dtype=bool), at_zero(kept))
    np.testing.assert_allclose(game.values(kept, at_zero(kept)), grand, atol=2e-6)


def test_attention_equals_a_loop_and_keeps_positions() -> None:
    game = game_of(Attention(), batch=4)
    ids = tokenizer()(TEXT)["input_ids"]
    labels = game._arguments.inputs[0].layout.labels
    rows = coalitions(game.n_players)
    want = [alone(bert(), ids, [int(p < 0 or row[p]) for p in labels]) for row in rows]
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=2e-6)
    dropped = game_of(Drop()).values(rows, at_zero(rows))
    assert np.abs(dropped[2:] - np.array(want)[2:]).max() > 1e-2, "positions differ"
    np.testing.assert_allclose(dropped[1], want[1], atol=2e-6)


def test_replacement_equals_a_loop() -> None:
    game = game_of(Drop(replacement="[UNK] ,"), Sentences())
    assert game.n_players == 3
    known = tokenizer()
    ids, labels = known(TEXT)["input_ids"], game._arguments.inputs[0].layout.labels
    instead = known("[UNK] ,", add_special_tokens=False)["input_ids"]
    rows = np.array([[bool(s >> i & 1) for i in range(3)] for s in range(8)])
    for row, got in zip(rows, game.values(rows, at_zero(rows)), strict=True):
        sequence = [ids[0]]
        for player in range(3):
            sequence += [t for t, p in zip(ids, labels, strict=True) if p == player] if row[player] else instead
        np.testing.assert_allclose(got, alone(bert(), [*sequence, ids[-1]]), atol=2e-6)


@pytest.mark.parametrize("removal", [Drop(), Attention(), MaskToken(), Drop(replacement=",")])
@pytest.mark.usefixtures("small_pool")
def test_the_contract(removal) -> None:
    check_game(game_of(removal, batch=4), rows=16)


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize("removal", [Drop(), Attention()])
def test_a_text_that_fills_the_model(removal) -> None:
    """62 tokens and two special ones: there is no room for padding."""
    text = " ".join(["paris rome"] * 31)
    game = game_of(removal, text=text, batch=4)
    assert game.n_players == 62
    check_game(game, rows=16)
    grand = game.values(np.ones((1, 62), dtype=bool), np.zeros(1, dtype=np.int64))
    np.testing.assert_allclose(grand[0], alone(bert(), tokenizer()(text)["input_ids"]), atol=2e-6)


def test_a_classifier_that_reads_the_last_token() -> None:
    """Dropping is exact, attention is refused: the last token would be read though it is absent."""
    model = gpt2(3)
    game = game_of(Drop(), model=model, kind="gpt")
    ids, rows = tokenizer("gpt")(TEXT)["input_ids"], coalitions(game.n_players)
    want = [alone(model, [2, *(t for t, there in zip(ids, row, strict=True) if there)]) for row in rows]
    np.testing.assert_allclose(game.values(rows, at_zero(rows)), want, atol=2e-6)
    with pytest.raises(SpecError, match=r"reads tokens that have no attention.*'drop'"):
        game_of(Attention(), model=model, kind="gpt")


def test_digests_and_sizes() -> None:
    games = [game_of(r) for r in (Drop(), Attention(), MaskToken(), Drop(replacement=","))]
    assert len({g.digest for g in games}) == 4
    assert games[0].block == 16 * games[0].batch
    assert games[0].halved().block == games[0].block // 2


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize("removal", [Drop(), Attention()])
def test_units_may_be_cut_anywhere(removal) -> None:
    """The same bits, whatever unit a row comes in and whatever stands beside it there."""
    game = game_of(removal, batch=16)
    design = Strata(game.n_players, 0, uniform_law(game.n_players))
    whole = evaluate(Unit(0, 60), game, design).values
    parts = [evaluate(Unit(a, b), game, design).values for a, b in ((0, 7), (7, 33), (33, 60))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
