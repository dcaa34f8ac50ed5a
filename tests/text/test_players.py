"""Players of texts: which tokens belong to whom, and what is refused."""

from __future__ import annotations

import pytest

from tests.text.models import TEXT, gpt2, tokenizer
from xai_ray.errors import InputError, ModelOutputError, SpecError
from xai_ray.games import (
    AnswerLogProbability,
    Attention,
    Blur,
    Columns,
    Constant,
    Drop,
    Logit,
    MaskToken,
    ModelGame,
    Passages,
    Raw,
    Segments,
    Sentences,
    Words,
    Zeros,
)
from xai_ray.games.players.encoded import encode


def laid(players, text=TEXT, kind="bert"):
    encoded = encode(tokenizer(kind), text)
    layout = players.lay_text(encoded)
    words = [[t for t, p in zip(encoded.tokens, layout.labels, strict=True) if p == i] for i in range(layout.n_players)]
    return layout, [" ".join(w) for w in words]


def test_sentences() -> None:
    layout, tokens = laid(Sentences(), 'Rome is big! "Was it never?" In 3.5 Italy .\nIt lies not in France')
    assert layout.names == ("Rome is big!", '"Was it never?"', "In 3.5 Italy .", "It lies not in France")
    assert tokens[0] == "rome is big !"
    assert layout.labels[0] == layout.labels[-1] == -1, "special tokens stay"


def test_segments_by_separator_and_by_spans() -> None:
    layout, tokens = laid(Segments(separator=" , "))
    assert tokens[1] == "not in france ."
    assert tokens[0].endswith("italy ,"), "a separator belongs to the segment before it"
    layout, tokens = laid(Segments(spans=[(0, 34), (34, len(TEXT))], names=("a", "b")))
    assert layout.names == ("a", "b")
    assert tokens[0] == "the capital of france is paris ."
    layout, tokens = laid(Segments(spans=[(4, 11), (15, 21)], rest="stays"))
    assert tokens == ["capital", "france"]


BAD_SPANS = [
    ([(0, 34)], "characters 34 to .* belong to no segment"),
    ([(0, 40), (34, 60)], "span 1 is .34, 60.*may begin at 40"),
    ([(0, 9999)], "span 0"),
    ([(5, 5)], "not empty"),
    ([], "no spans"),
    ([(0, 12), (12, 13), (13, len(TEXT))], "part 1 .* no token of its own"),
    ([0, 34], "pairs of whole numbers"),
    ([(0, 34), (34,)], "pairs of whole numbers"),
    ([(0.5, 34.5)], "pairs of whole numbers"),
    ([(float("nan"), 34)], "pairs of whole numbers"),
    ("all", "pairs of whole numbers"),
    (34, "pairs of whole numbers"),
]


@pytest.mark.parametrize(("spans", "words"), BAD_SPANS)
def test_spans_that_do_not_fit(spans, words) -> None:
    with pytest.raises(InputError, match=words):
        laid(Segments(spans=spans))


def test_segments_that_are_none() -> None:
    for players, words in [
        (Segments(), "either"),
        (Segments(separator="|"), "no separator"),
        (Segments(separator=".", spans=[(0, 3)]), "either"),
        (Segments(separator=" , ", names=("a",)), "1 names for 2"),
        (Segments(spans=[(0, 3)], rest="goes"), "'refuse' or 'stays'"),
    ]:
        with pytest.raises(InputError, match=words):
            laid(players)


def game_of(x=TEXT, players=None, removal=None, behaviour=None, model=None, kind="gpt", limit=64):
    return ModelGame(
        model or gpt2(), x, players=players or Words(), removal=removal or Drop(), tokenizer=tokenizer(kind, limit),
        behaviour=behaviour or AnswerLogProbability("Paris"),
    )  # fmt: skip


LONG = " ".join(["paris"] * 62)
SEEN = Passages("{passages}?")
REFUSED = [
    ({"x": " \n"}, InputError, "no tokens"),
    ({"x": LONG + " rome" * 9}, InputError, "71 tokens, the model takes 64; shorten it by 7 tokens"),
    (
        {"x": LONG, "behaviour": AnswerLogProbability(" in a city")},
        InputError,
        "with its answer has 66 tokens, the model takes 64; shorten it by 2",
    ),
    ({"x": LONG, "limit": 10**30, "behaviour": AnswerLogProbability("paris " * 9)}, InputError, "model takes 64"),
    ({"behaviour": AnswerLogProbability("  ")}, InputError, "answer '  ' has no tokens"),
    ({"behaviour": AnswerLogProbability(())}, SpecError, "at least one answer"),
    ({"removal": MaskToken()}, SpecError, "no mask token.*'drop' or 'attention'"),
    ({"removal": Blur(2.0)}, SpecError, "'blur' is for image players"),
    ({"removal": Drop(replacement=" ")}, InputError, "replacement ' ' has no tokens"),
    ({"kind": "bare"}, SpecError, "nothing is left of the empty coalition.*bos_token"),
    ({"kind": "bare", "removal": Attention()}, SpecError, "nothing is left"),
    ({"x": [], "players": SEEN}, InputError, "list of passages is empty"),
    ({"x": ["paris", "  "], "players": SEEN}, InputError, "passage 1 is empty"),
    ({"x": "paris", "players": SEEN}, InputError, "needs a list of texts"),
    ({"x": ["paris"], "players": Passages("?")}, InputError, "`template` needs"),
    ({"model": gpt2(3)}, ModelOutputError, "needs a causal language model"),
    ({"behaviour": Raw()}, ModelOutputError, r"must return shape \(rows, outputs\)"),
    ({"model": lambda **given: None}, SpecError, "needs a torch module"),
    ({"x": "half of \ud83d"}, InputError, "the text holds half a character at place 8"),
    ({"x": ["The", "capital"]}, InputError, "needs it as one string, got list"),
    ({"x": None}, InputError, "needs it as one string, got NoneType"),
    ({"x": ["paris"], "players": Passages(template=3)}, InputError, "`template` needs .* both are texts"),
    ({"behaviour": AnswerLogProbability(None)}, SpecError, "at least one answer, .*; got None"),
    ({"behaviour": AnswerLogProbability(a for a in "ab")}, SpecError, "at least one answer, a text or a list"),
    ({"behaviour": AnswerLogProbability([3])}, InputError, "answer 0 is of type int"),
    ({"behaviour": AnswerLogProbability("a \ud83d")}, InputError, "answer 0 holds half a character"),
    ({"removal": Drop}, SpecError, r"removal is the class Drop; give one of it, Drop\(..\)"),
    ({"removal": Drop(replacement=3)}, InputError, "the replacement is of type int"),
    ({"removal": Constant(9999)}, InputError, "an absent token has token id 9999, the model's table has 32 rows"),
    ({"players": Segments(separator=3)}, InputError, "no separator 3"),
]


@pytest.mark.parametrize(("given", "error", "words"), REFUSED)
def test_refusals(given, error, words) -> None:
    with pytest.raises(error, match=words) as caught:
        game_of(**given)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_model_and_white_space() -> None:
    from xai_ray.zoo.language import byte_tokenizer

    paris = AnswerLogProbability("Paris")
    more = {"players": Words(), "removal": Drop(), "behaviour": paris}
    with pytest.raises(InputError, match=r"the text has token id 2.., the model's table has 32 rows"):
        ModelGame(gpt2(), "is it\u00e9?", tokenizer=byte_tokenizer(), **more)
    with pytest.raises(InputError, match="Words: the text is nothing but white space"):
        ModelGame(gpt2(), " \u00a0\n", tokenizer=byte_tokenizer(), **more)
    with pytest.raises(InputError, match="tokenizer= is 'bert-base' of type str; load it"):
        ModelGame(gpt2(), TEXT, tokenizer="bert-base", **more)


def test_refusals_of_other_inputs() -> None:
    with pytest.raises(SpecError, match="'drop' is for text or image"):
        ModelGame(lambda x: x, [1.0, 2.0], players=Columns(), removal=Drop(), behaviour=Raw())
    with pytest.raises(SpecError, match="about a text"):
        ModelGame(lambda x: x, [1.0, 2.0], players=Columns(), removal=Zeros(), behaviour=AnswerLogProbability("a"))
    with pytest.raises(InputError, match="give the model's `tokenizer=`"):
        ModelGame(gpt2(), TEXT, players=Sentences(), removal=Drop(), behaviour=Logit(0))
    with pytest.raises(InputError, match="Sentences needs the text"):
        ModelGame(lambda x: x, [1, 2], players=Sentences(), removal=Drop(), behaviour=Raw())
