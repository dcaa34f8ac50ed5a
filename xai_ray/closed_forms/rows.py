"""Closed forms of many rows at once: of linear models, and of tree ensembles (`forest_rows`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from xai_ray.closed_forms.forest_rows import forest_values
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
        values = forest_values(form.forest, rows, fillings, labels, n, law, size)
    grand = form.predict(rows)
    gained = values.sum(axis=1) if index == "SV" else _sums(form, rows, fillings, labels, n)
    return ClosedForm(values, sets, np.stack([grand - gained, grand], axis=1), layout.names, form.what)


def _sums(form: Form, rows: Floats, fillings: Floats, labels: Ints, n: int) -> Floats:
    """v(grand) - v(empty), shape (R, m)."""
    if form.affine is not None:
        return _affine(form, rows, fillings, labels, n).sum(axis=1)
    assert form.forest is not None
    return forest_values(form.forest, rows, fillings, labels, n, KeepRate(), 1).sum(axis=1)


def _affine(form: Form, rows: Floats, fillings: Floats, labels: Ints, n: int) -> Floats:
    assert form.affine is not None
    gains = (rows - fillings.mean(axis=0))[:, :, None] * form.affine.slopes
    out = np.zeros((len(rows), n, gains.shape[2]))
    for player in range(n):
        out[:, player] = gains[:, labels == player].sum(axis=1)
    return out


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
