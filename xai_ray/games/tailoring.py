"""Where the model, the removal and the behaviour of a game need one another: answers of language models, and sequences that shorten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.games.arguments import Arguments
from xai_ray.games.behaviours import Behaviour
from xai_ray.games.passes.backends import is_module
from xai_ray.games.players.encoded import bare_ids, check_length
from xai_ray.games.removals.filling import Filling, Removal
from xai_ray.games.removals.shortening import Attention, Drop
from xai_ray.games.sequences.answers import AnswerLogProbability, answer_ids
from xai_ray.games.sequences.columns import TokenColumns, token_columns
from xai_ray.games.sequences.short_text import ShortText

POOL = 16
"""Batches of coalitions that are sorted by length at a time."""
_MULTIPLE = 16
"""Rows of a batch: matrix products in whole vector registers give a row the same bits at any place (AVX-512 holds 16 numbers)."""


def tailored(
    model: Any, arguments: Arguments, removal: Removal, behaviour: Behaviour, tokenizer: Any
) -> tuple[Any, Filling]:
    """The model as it is called, and the fillings with what runs them. Raises SpecError and InputError."""
    if isinstance(removal, type):
        raise SpecError(f"removal is the class {removal.__name__}; give one of it, {removal.__name__}(..)")
    filling = removal.bind(arguments.inputs)
    asked = isinstance(behaviour, AnswerLogProbability)
    text = [i for i in arguments.inputs if i.layout.kind == "text"]
    if not text:
        return _without_text(model, arguments, removal, filling, asked)
    answers = answer_ids(behaviour, tokenizer) if asked else []
    limit = _limit(model, tokenizer)
    longest = max((len(ids) for ids in answers), default=0)
    _check_vocabulary(model, {"the text": text[0].array, "an absent token": filling.rows[0], "an answer": answers})
    if not isinstance(removal, (Attention, Drop)):
        check_length(text[0].array.size + longest, limit, " with its answer" if asked else "")
        return (_scorer(model, behaviour, answers, None, removal) if asked else model), filling
    if tokenizer is None:
        raise InputError(
            f"{type(removal).__name__} removal needs the text and its tokenizer: give x as a string and `tokenizer=`"
        )
    columns = token_columns(text[0], tokenizer, _replacement(removal, tokenizer), type(removal).__name__.lower())
    cut = isinstance(removal, Drop)
    check_length((columns.longest() if cut else columns.count) + longest, limit, " with its answer" if asked else "")
    runner: Any = ShortText(
        columns, cut, "left" if asked or _padded_left(model, tokenizer) else "right", limit - longest
    )
    if asked:
        room = limit - longest > columns.count
        model = _scorer(model, behaviour, answers, columns, removal, pads=int(room and not cut))
    if isinstance(removal, Drop) and removal.prefix_cache:
        if not asked:
            raise SpecError("drop removal: a prefix_cache is for causal models that are asked for answers")
        from xai_ray.games.sequences.prefix_cache import PrefixCache, cached

        model, runner = cached(model, columns, longest), PrefixCache(columns)
    return model, replace(filling, runner=runner, pool=POOL if cut else 1, multiple=_MULTIPLE)


def _without_text(
    model: Any, arguments: Arguments, removal: Removal, filling: Filling, asked: bool
) -> tuple[Any, Filling]:
    if asked:
        raise SpecError("answer_log_probability is about a text: give x as a string and the players of a text")
    if isinstance(removal, Drop):
        from xai_ray.games.sequences.short_images import short_image

        model, runner = short_image(model, arguments)
        return model, replace(filling, runner=runner, pool=POOL, multiple=_MULTIPLE)
    return model, filling


def _replacement(removal: Attention | Drop, tokenizer: Any) -> Any:
    if isinstance(removal, Attention) or removal.replacement is None:
        return None
    ids = bare_ids(tokenizer, removal.replacement, "drop removal: the replacement")
    if len(ids) == 0:
        raise InputError(
            f"drop removal: the replacement {removal.replacement!r} has no tokens; leave it out to drop tokens"
        )
    return ids


def _scorer(
    model: Any, behaviour: Any, answers: list[Any], columns: TokenColumns | None, removal: Removal, pads: int = 0
) -> Any:
    if not is_module(model):
        raise SpecError("answer_log_probability needs a torch module: a causal language model (AutoModelForCausalLM)")
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise SpecError(
            f"answer_log_probability needs a model that goes on from its prompt (AutoModelForCausalLM); {type(model).__name__} has an "
            "encoder for the prompt and a decoder for the answer"
        )
    from xai_ray.games.sequences.answer_scorer import AnswerScorer

    hidden = columns is not None and not isinstance(removal, Drop)
    reach = columns.count - int(np.flatnonzero(columns.always)[-1]) if columns is not None and hidden else 1
    return AnswerScorer(
        model, answers, behaviour.per_token, closes_up=isinstance(removal, Drop), pads=pads, reach=reach
    )


def _limit(model: Any, tokenizer: Any) -> int:
    """Tokens that a model takes, by its tokenizer and by its table of positions."""
    said = [getattr(tokenizer, "model_max_length", None), _positions(model)]
    return min([int(n) for n in said if isinstance(n, (int, float)) and n > 0], default=1 << 62)


def _check_vocabulary(model: Any, used: dict[str, Any]) -> None:
    """InputError for a token that the model has no row for: on an accelerator it would take the whole process down."""
    table = model.get_input_embeddings() if is_module(model) and hasattr(model, "get_input_embeddings") else None
    rows = getattr(table, "num_embeddings", None)
    for what, ids in used.items():
        largest = max((int(np.max(part)) for part in ids), default=-1)
        if rows is not None and largest >= rows:
            raise InputError(
                f"{what} has token id {largest}, the model's table has {rows} rows; take the model's own tokenizer"
            )


def _positions(model: Any) -> Any:
    """Places that a model counts, or None where it has no table of them."""
    config = getattr(model, "config", None)
    config = getattr(config, "get_text_config", lambda: config)()
    said = getattr(config, "max_position_embeddings", None)
    if said is None or not is_module(model):
        return said
    tables = [part for name, part in model.named_modules() if name.endswith("position_embeddings")]
    # RoBERTa and its like count from the place after that of padding.
    first = [1 + part.padding_idx for part in tables if getattr(part, "padding_idx", None) is not None]
    return said - max(first, default=0)


def _padded_left(model: Any, tokenizer: Any) -> bool:
    """Whether padding goes where the tokenizer puts it, on the left: with relative positions alone (XLNet, BLOOM) it shifts nothing."""
    table = _positions(model)
    return getattr(tokenizer, "padding_side", "right") == "left" and is_module(model) and (table is None or table < 1)
