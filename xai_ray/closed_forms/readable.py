"""What a behaviour reads from a model's outputs, where that is linear: a matrix from outputs to explained numbers."""

from __future__ import annotations

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.games.behaviours import Logit, LogOdds, Probability, Raw
from xai_ray.games.passes.averaging import Averaging
from xai_ray.types import Floats, Ints


def reading(averaging: Averaging, targets: Ints, m: int, fillings: int, log_odds: bool) -> tuple[Floats, Floats]:
    """Matrix (m, k) and constants (k,): explained = outputs @ matrix + constants, whatever the fillings are averaged of.

    `log_odds` says that outputs are decision functions, one g for two classes, of a model whose probabilities are explained. Raises
    SpecError where the behaviour is not linear in the outputs.
    """
    behaviour, single = averaging.behaviour, m == 1 and averaging.convention != "raw"
    columns = 2 if single else m
    eye = np.eye(columns)[:, targets]
    constant = np.zeros(len(targets))
    if isinstance(behaviour, (Raw, Logit)) and not log_odds:
        matrix = eye
    elif isinstance(behaviour, Probability) and averaging.convention == "probabilities" and not log_odds:
        matrix, constant = eye, (targets == 0).astype(np.float64) * single
        # A single column p stands for [1 - p, p].
        if single:
            return np.where(targets == 0, -1.0, 1.0)[None], constant
    elif isinstance(behaviour, LogOdds) and columns == 2 and (averaging.convention == "logits" or log_odds):
        if fillings > 1 and averaging.order == "mean_then_behaviour":
            raise SpecError(
                "closed_form: the log-odds of a mean over several fillings are not linear; take order='behaviour_then_mean', a removal "
                "with one filling, or the logit"
            )
        matrix = 2 * eye - 1
    else:
        raise SpecError(
            f"closed_form: {_name(behaviour)} of outputs that are {_said(averaging, log_odds)} is not linear in what the model adds up; "
            "closed forms are there for raw outputs, logits, probabilities of forests, and log-odds of two classes from logits"
        )
    # A single column g stands for the logits [0, g].
    return (matrix[1:] if single else matrix), constant


def _name(behaviour: object) -> str:
    return f"behaviour {type(behaviour).__name__}"


def _said(averaging: Averaging, log_odds: bool) -> str:
    return "probabilities of a linear classifier" if log_odds else averaging.convention
