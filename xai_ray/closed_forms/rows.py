"""Closed forms of many rows at once.

A leaf of a forest sees of a row only which of its players' conditions the row meets: a few bits. Rows and background rows are counted by
these bits, so the work of a leaf is (rows + background) comparisons and a small table over pairs of bit patterns, not one step a pair of
rows. Exact as `Lundberg et al. (Nature Machine Intelligence 2, 2020)`, algorithm 3, whose cost is rows x background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import betaln

from xai_ray.closed_forms.forest import Forest, Mask, by_player
from xai_ray.closed_forms.form import Form, form_of
from xai_ray.errors import InputError, SpecError
from xai_ray.games import Columns
from xai_ray.games.labelled.labels import data_rows
from xai_ray.games.named_columns import check_column_order
from xai_ray.games.players.arrays import Players
from xai_ray.indices import Question, readouts, resolve
from xai_ray.indices.readouts import KeepRate
from xai_ray.types import Floats, Ints


@dataclass(frozen=True)
class ClosedForm:
    """Values of R rows for c sets of players and m outputs of the model; evaluations and standard errors are 0."""

    values: Floats
    """Shape (R, c, m)."""
    coalitions: tuple[tuple[int, ...], ...]
    """The c sets: players, or pairs of them."""
    ends: Floats
    """Shape (R, 2, m): v(empty) and v(grand) of each row."""
    player_names: tuple[str, ...]
    what: str
    """The method that was read, for people."""

    @property
    def std_errors(self) -> Floats:
        """Zeros, shape (R, c, m)."""
        return np.zeros_like(self.values)


def closed_form_values(
    model: Callable[..., Any],
    X: Any,
    background: Any,
    *,
    index: str = "SV",
    order: int | None = None,
    players: Players | None = None,
) -> ClosedForm:
    """Values of every row of X (R, d) in the game of marginal removal by the rows of `background` (K, d), of each output of the model.

    `model` is a bound method as `closed_form` takes it: of a linear model or a tree ensemble. A baseline is a background of one row.
    `index` is one whose contexts have a keep-rate: SV, BV, and of pairs SII, BII, STII, FSII, CHII (order 2). Raises SpecError and
    InputError.
    """
    check_column_order(model, X, players, background)
    rows, fillings = _table(X, "X"), _table(background, "background")
    if rows.shape[1] != fillings.shape[1]:
        raise InputError(f"X has {rows.shape[1]} columns, the background {fillings.shape[1]}")
    layout = (players or Columns()).lay(rows[0])
    labels, n = np.broadcast_to(layout.labels, rows[0].shape), layout.n_players
    law, size = _law(resolve(Question(index, order), n), n)
    sets = tuple(combinations(range(n), size))
    form = form_of(model, np.concatenate([rows[:32], fillings[:32]]))
    if form.log_odds:
        raise SpecError(
            f"closed_form_values: the probabilities of {form.what} have no closed form; give decision_function (log-odds)"
        )
    if form.affine is not None:
        values = (
            _affine(form, rows, fillings, labels, n)
            if size == 1
            else np.zeros((len(rows), len(sets), form.constant.size))
        )
    else:
        assert form.forest is not None
        values = _forest(form.forest, rows, fillings, labels, n, law, size)
    grand = form.predict(rows)
    gained = values.sum(axis=1) if index == "SV" else _sums(form, rows, fillings, labels, n)
    return ClosedForm(values, sets, np.stack([grand - gained, grand], axis=1), layout.names, form.what)


def _sums(form: Form, rows: Floats, fillings: Floats, labels: Ints, n: int) -> Floats:
    """v(grand) - v(empty), shape (R, m)."""
    if form.affine is not None:
        return _affine(form, rows, fillings, labels, n).sum(axis=1)
    assert form.forest is not None
    return _forest(form.forest, rows, fillings, labels, n, KeepRate(), 1).sum(axis=1)


def _affine(form: Form, rows: Floats, fillings: Floats, labels: Ints, n: int) -> Floats:
    assert form.affine is not None
    gains = (rows - fillings.mean(axis=0))[:, :, None] * form.affine.slopes
    out = np.zeros((len(rows), n, gains.shape[2]))
    for player in range(n):
        out[:, player] = gains[:, labels == player].sum(axis=1)
    return out


def _forest(forest: Forest, rows: Floats, fillings: Floats, labels: Ints, n: int, law: KeepRate, size: int) -> Floats:
    rows, fillings = forest.cast(rows), forest.cast(fillings)
    place = {one: at for at, one in enumerate(combinations(range(n), size))}
    out = np.zeros((len(place), len(rows), forest.value.shape[1]))
    for leaf in range(len(forest.value)):
        owner = labels[forest.feature[leaf][forest.feature[leaf] >= 0]]
        mine, theirs = forest.inside(rows, leaf), forest.inside(fillings, leaf)
        kept = mine[:, owner < 0].all(axis=1)
        players = np.unique(owner[owner >= 0])
        if len(players) < size or not kept.any():
            continue
        mine, theirs = (by_player(part, owner, players) for part in (mine, theirs))
        patterns, at = _patterns(mine)
        codes, where = _patterns(theirs)
        counts = np.bincount(where, minlength=len(codes)) / len(fillings)
        reached = _reached(patterns, codes)
        for chosen in combinations(range(len(players)), size):
            shares = _shares(reached, counts, law, chosen, len(patterns))
            if shares.any():
                column = place[tuple(int(players[c]) for c in chosen)]
                out[column] += (shares[at] * kept)[:, None] * forest.value[leaf]
    return out.transpose(1, 0, 2)


@dataclass(frozen=True)
class _Reached:
    """The pairs of a pattern and a code from which a leaf can be reached at all, usually few."""

    pattern: Ints
    """Shape (a,)."""
    code: Ints
    must_in: Mask
    """Shape (a, q): players that must be in."""
    must_out: Mask


def _reached(patterns: Mask, codes: Mask) -> _Reached:
    pattern, code = np.nonzero((patterns[:, None, :] | codes[None]).all(axis=2))
    mine, theirs = patterns[pattern], codes[code]
    return _Reached(pattern, code, mine & ~theirs, theirs & ~mine)


def _shares(reached: _Reached, counts: Floats, law: KeepRate, chosen: tuple[int, ...], patterns: int) -> Floats:
    """What a leaf of value 1 gives the chosen of its players, for each pattern (p,), averaged over the background's codes."""
    columns = list(chosen)
    touched = np.flatnonzero((reached.must_in | reached.must_out)[:, columns].all(axis=1))
    must_in, must_out = reached.must_in[touched], reached.must_out[touched]
    sign = 1.0 - 2.0 * (must_out[:, columns].sum(axis=1) % 2)
    inside = must_in.sum(axis=1) - must_in[:, columns].sum(axis=1)
    outside = must_out.sum(axis=1) - must_out[:, columns].sum(axis=1)
    weights = sign * _mean(law, inside, outside) * counts[reached.code[touched]]
    return np.bincount(reached.pattern[touched], weights=weights, minlength=patterns).astype(np.float64)


def _mean(law: KeepRate, inside: Ints, outside: Ints) -> Floats:
    """E p^a (1 - p)^r of the keep-rate p."""
    if law.point is not None:
        return law.point**inside * (1.0 - law.point) ** outside
    return np.exp(betaln(law.alpha + inside, law.beta + outside) - betaln(law.alpha, law.beta))


def _patterns(met: Mask) -> tuple[Mask, Ints]:
    """The patterns that occur (p, q), and which one each row has (r,)."""
    q = met.shape[1]
    if q > 62:
        unique, inverse = np.unique(met, axis=0, return_inverse=True)
        return unique, inverse.reshape(-1)
    codes = met @ (np.int64(1) << np.arange(q, dtype=np.int64))
    unique, inverse = np.unique(codes, return_inverse=True)
    return (unique[:, None] >> np.arange(q) & 1).astype(np.bool_), inverse


def _law(question: Question, n: int) -> tuple[KeepRate, int]:
    found = readouts(question, n)[-1]
    if found.keep_rate is None or found.block or found.size not in (1, 2) or question.contexts is not None:
        raise SpecError(
            f"closed_form_values answers SV, BV, WBV, BETA and, of pairs, SII, BII, STII, FSII, CHII; for {question.index} of order "
            f"{question.order} explain one row with estimator='closed_form'"
        )
    return found.keep_rate, found.size


def _table(given: Any, what: str) -> Floats:
    try:
        rows = data_rows(given)
    except InputError as error:
        raise InputError(str(error).replace("X", what, 1)) from None
    rows = rows if isinstance(rows, np.ndarray) else rows.detach().cpu().numpy()
    if rows.ndim != 2:
        raise InputError(f"{what} needs shape (rows, columns), got {rows.shape}")
    return rows.astype(np.float64)
