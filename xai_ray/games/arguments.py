"""What a model is called with: one array, a tuple (positional) or a dict (keywords), with players laid on each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, SpecError
from xai_ray.games.players.arrays import Layout, Players
from xai_ray.games.players.segments import Passages
from xai_ray.games.players.words import PLAYERS_OF_TEXT, Tokenizer, encode
from xai_ray.games.removals.filling import PlacedInput

CallBy = Literal["single", "position", "keyword"]


@dataclass(frozen=True)
class Arguments:
    """The full input, part by part, without batch axes."""

    inputs: tuple[PlacedInput, ...]
    dtypes: tuple[str | None, ...]
    """Torch type of each part that came as a tensor (`bfloat16` travels as float32), None for arrays."""
    call_by: CallBy

    @property
    def tensors(self) -> bool:
        """Whether any part came as a torch tensor."""
        return any(d is not None for d in self.dtypes)

    @property
    def player_names(self) -> tuple[str, ...]:
        """Names of all players; prefixed by the input's name when several inputs have players."""
        placed = [i for i in self.inputs if not i.constant]
        if len(placed) == 1:
            return placed[0].layout.names
        return tuple(f"{i.name}: {name}" for i in placed for name in i.layout.names)


def arrange(x: Any, players: Any, tokenizer: Tokenizer | None) -> Arguments:
    """Lay players on an input. `players` follows the shape of `x`; None for a part of a dict or tuple that always
    stays.
    """
    if isinstance(x, str) or isinstance(players, Passages):
        return _text(x, players, tokenizer)
    if tokenizer is not None and isinstance(players, PLAYERS_OF_TEXT) and not hasattr(x, "shape"):
        kind = type(x).__name__
        raise InputError(
            f"{type(players).__name__} of a text needs it as one string, got {kind}; Passages takes a list of texts"
        )
    if isinstance(x, Mapping):
        names = tuple(str(k) for k in x)
        return _several(names, tuple(x.values()), _by_name(players, names), "keyword")
    if isinstance(x, tuple):
        names = tuple(f"input {i}" for i in range(len(x)))
        if not isinstance(players, Sequence) or len(players) != len(x):
            raise InputError(
                f"the input is a tuple of {len(x)}: give players as a tuple of {len(x)}, None where all stays"
            )
        return _several(names, x, tuple(players), "position")
    return _several(("input",), (x,), (players,), "single")


def _by_name(players: Any, names: tuple[str, ...]) -> tuple[Players | None, ...]:
    if not isinstance(players, Mapping):
        raise InputError(
            f"the input is a dict: give players as a dict with the keys {', '.join(names)}, None where all stays"
        )
    missing, doubled = [n for n in names if n not in players], [str(k) for k in players if str(k) not in names]
    if missing or doubled:
        raise InputError(
            f"players do not cover the input: no players for {missing or 'none'}, "
            f"players for no input {doubled or 'none'}; say None for an input that always stays"
        )
    return tuple(players[n] for n in names)


def _several(names: tuple[str, ...], parts: tuple[Any, ...], players: tuple[Any, ...], call_by: CallBy) -> Arguments:
    inputs: list[PlacedInput] = []
    dtypes: list[str | None] = []
    first = 0
    for name, part, kind in zip(names, parts, players, strict=True):
        array, dtype = _array(part, name)
        placed = _place(name, array, kind, first)
        first += placed.layout.n_players
        inputs.append(placed)
        dtypes.append(dtype)
    if first == 0:
        raise InputError("the input has no players; every part always stays")
    return Arguments(tuple(inputs), tuple(dtypes), call_by)


def _place(name: str, array: npt.NDArray[Any], players: Players | None, first: int) -> PlacedInput:
    if players is None:
        array = array[0] if array.ndim > 1 and array.shape[0] == 1 else array
        return PlacedInput(name, array, stays(array))
    if not hasattr(players, "lay"):
        raise SpecError(f"players of input {name!r}: expected Patches, Regions, Columns, ... got {players!r}")
    if array.ndim == max(players.rank) + 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in players.rank:
        axes = " or ".join(str(r) for r in players.rank)
        raise InputError(
            f"{type(players).__name__} players need one input of {axes} axes (a leading batch axis of 1 is dropped); "
            f"input {name!r} has shape {array.shape}"
        )
    return PlacedInput(name, array, shifted(players.lay(array), first))


def _text(text: Any, players: Any, tokenizer: Tokenizer | None) -> Arguments:
    if not isinstance(players, PLAYERS_OF_TEXT):
        kinds = ", ".join(f"{kind.__name__}()" for kind in PLAYERS_OF_TEXT)
        raise InputError(f"the players of a text are one of {kinds}; got {players!r}")
    if tokenizer is None:
        raise InputError("the input is a text: give the model's `tokenizer=`")
    if isinstance(players, Passages):
        text, spans = players.text_of(text)
        encoded = encode(tokenizer, text)
        layout = players.lay_spans(encoded, spans)
    else:
        encoded = encode(tokenizer, text)
        layout = players.lay_text(encoded)
    ids = PlacedInput("input_ids", encoded.ids, layout, tokenizer.mask_token_id)
    attention = PlacedInput("attention_mask", encoded.attention, stays(encoded.attention))
    return Arguments((ids, attention), (None, None), "keyword")


def stays(array: npt.NDArray[Any]) -> Layout:
    """The layout of an input without players."""
    return Layout(np.full([1] * array.ndim, -1, dtype=np.int64), (), "constant")


def shifted(layout: Layout, first: int) -> Layout:
    """The same layout with players numbered from `first`."""
    labels = np.where(layout.labels < 0, -1, layout.labels + first)
    return Layout(labels, layout.names, layout.kind, layout.spatial, layout.shown)


def _array(part: Any, name: str) -> tuple[npt.NDArray[Any], str | None]:
    if hasattr(part, "detach"):
        tensor = part.detach().cpu()
        dtype = str(tensor.dtype).removeprefix("torch.")
        array = (tensor.float() if dtype == "bfloat16" else tensor).numpy()
    else:
        array, dtype = np.asarray(part), None
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise InputError(f"input {name!r} is not numeric (type {array.dtype})")
    if array.size == 0:
        raise InputError(f"input {name!r} of shape {array.shape} is empty, so there are no players")
    if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
        raise InputError(f"input {name!r} is not finite at {np.argwhere(~np.isfinite(array))[0].tolist()}")
    return np.array(array), dtype
