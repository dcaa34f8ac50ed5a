"""The closed form of a model: its parts, checked against the model itself on real rows before anything is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.closed_forms.affine import Affine, affine_of
from xai_ray.closed_forms.behind import behind
from xai_ray.closed_forms.forest import Forest
from xai_ray.closed_forms.forests import forest_of
from xai_ray.errors import SpecError
from xai_ray.games.passes.backends import is_module, outputs_of
from xai_ray.types import Floats

CHECKED = 64
"""Rows on which a closed form must give what the model gives."""
_TOLERANCE = 1e-5
"""Of the largest output: libraries that add in single precision differ by rounding."""


@dataclass(frozen=True)
class Form:
    """outputs = affine(row), or the sum of the forest's leaves, plus `constant` (m,)."""

    what: str
    affine: Affine | None
    forest: Forest | None
    constant: Floats
    log_odds: bool
    """Whether the outputs are decision functions of a model that gives probabilities."""

    def predict(self, rows: Floats) -> Floats:
        """Outputs (r, m) of rows (r, d)."""
        part = self.affine if self.affine is not None else self.forest
        assert part is not None
        return part.predict(rows) + self.constant


def form_of(model: Callable[..., Any], rows: Floats) -> Form:
    """The closed form of a model, checked on rows (r, d). Raises SpecError where there is none, and says what has one."""
    found = behind(model)
    affine = affine_of(found) if found is not None else None
    forest = forest_of(found) if found is not None and affine is None else None
    if found is None or (affine is None and forest is None):
        said = f"{found.words} is neither" if found is not None else "a function of its own cannot be looked into"
        raise SpecError(
            f"closed_form: {said}; it is for linear models (decision_function, predict, torch Linear layers) and tree ensembles "
            "(predict of regressors, predict_proba of forests, decision_function of boosted classifiers, predict with raw_score or "
            "output_margin), given as bound methods"
        )
    log_odds = affine is not None and found.method == "predict_proba"
    rows = rows[:CHECKED]
    outputs = _log_odds(_outputs(model, rows), found.words) if log_odds else _outputs(model, rows)
    form = Form(found.words, affine, forest, np.zeros(outputs.shape[1]), log_odds)
    ours = form.predict(rows) if (affine or forest) and _columns(form) == outputs.shape[1] else None
    if ours is None:
        raise SpecError(f"closed_form: {found.words} gives {outputs.shape[1]} outputs, its parts {_columns(form)}")
    gap = outputs - ours
    constant = gap.mean(axis=0) if forest is not None else np.zeros(outputs.shape[1])
    worst = float(np.abs(gap - constant).max())
    if worst > _TOLERANCE * max(1.0, float(np.abs(outputs).max())):
        raise SpecError(
            f"closed_form: what was read from {found.words} differs from what it returns by {worst:.2g}; explain it by evaluations "
            "(estimator 'auto')"
        )
    return Form(found.words, affine, forest, constant, log_odds)


def _columns(form: Form) -> int:
    return form.affine.slopes.shape[1] if form.affine is not None else len(form.forest.intercept) if form.forest else 0


def _outputs(model: Callable[..., Any], rows: Floats) -> Floats:
    if not is_module(model):
        return outputs_of(model(rows), len(rows))
    import torch

    parameter = next(iter(model.parameters()), None)  # pyright: ignore[reportFunctionMemberAccess]
    dtype, device = (torch.float32, "cpu") if parameter is None else (parameter.dtype, parameter.device)
    with torch.inference_mode():
        return outputs_of(model(torch.from_numpy(rows).to(device, dtype)), len(rows))


def _log_odds(probabilities: Floats, words: str) -> Floats:
    if probabilities.shape[1] != 2:
        raise SpecError(
            f"closed_form: the probabilities of {words} are of {probabilities.shape[1]} classes and not linear; explain decision_function"
        )
    p = np.clip(probabilities[:, 1:], 1e-300, 1 - 1e-16)
    return np.log(p) - np.log1p(-p)
