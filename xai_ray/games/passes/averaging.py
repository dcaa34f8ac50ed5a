"""From a model's outputs over K fillings to one value a coalition and target: the two orders of averaging.

Covert, Lundberg, Lee (2021): a removal is F(x_S) = E[f(x_S, X)], and the behaviour is read from F: mean, then
behaviour. Averaging the behaviour of single outputs instead answers a different question, but is unbiased when the
fillings are sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import log_softmax, logsumexp

from xai_ray.errors import SpecError
from xai_ray.games.behaviours import SHIFT_FREE, Averaged, Behaviour, Outputs, Raw, classes
from xai_ray.games.probabilities import check_not_probabilities, check_probabilities
from xai_ray.types import Floats, Ints

Order = Literal["mean_then_behaviour", "behaviour_then_mean"]


@dataclass(frozen=True)
class Averaging:
    """Reads a behaviour from outputs."""

    behaviour: Behaviour
    convention: Outputs
    order: Order

    def check(self, sampled: bool) -> None:
        """SpecError for an unknown order, and for the mean of a few sampled fillings before a non-linear behaviour
        (biased).
        """
        if self.order not in ("mean_then_behaviour", "behaviour_then_mean"):
            raise SpecError(f"order is 'mean_then_behaviour' or 'behaviour_then_mean', got {self.order!r}")
        if sampled and self.order == "mean_then_behaviour" and not self.behaviour.linear(self.convention):
            raise SpecError(
                f"{type(self.behaviour).__name__} of a mean over sampled fillings is biased: use every background row "
                "(samples=None), or order='behaviour_then_mean'"
            )

    @property
    def reading(self) -> tuple[Outputs, Averaged]:
        """What `reducing.mean_over_fillings` takes."""
        return "raw" if isinstance(self.behaviour, Raw) else self.convention, self.behaviour.averaged

    def check_outputs(self, outputs: Floats, said: bool) -> None:
        """SpecError and ModelOutputError for outputs (r, m), one column a class, that cannot be what the convention says; `said` tells
        whether somebody said it.
        """
        if isinstance(self.behaviour, Raw):
            return
        if self.convention == "probabilities":
            check_probabilities(outputs, add_up=False)
        elif self.convention == "logits" and not said and self.behaviour.averaged == "probabilities":
            check_not_probabilities(outputs)

    def columns(self, outputs: Floats) -> Floats:
        """Outputs (r, m) with one column a class."""
        return outputs if isinstance(self.behaviour, Raw) else classes(outputs, self.convention)

    def values(self, outputs: Floats, targets: Ints) -> Floats:
        """Outputs (c, K, m) -> values (c, len(targets)). A row's bits do not depend on c."""
        c, size, m = outputs.shape
        if self.order == "mean_then_behaviour" or size == 1:
            return self.scores(self.means(outputs), targets)
        return _mean(self.scores(self.columns(outputs.reshape(c * size, m)), targets), c, size)

    def means(self, outputs: Floats) -> Floats:
        """Outputs (c, K, m) -> their means over fillings (c, m'), one column a class."""
        c, size, m = outputs.shape
        columns = self.columns(outputs.reshape(c * size, m))
        # Overflow and invalid operations show up as non-finite values, which the caller reports with their coalition.
        with np.errstate(all="ignore"):
            return columns if size == 1 else self._mean_outputs(columns, c, size)

    def scores(self, means: Floats, targets: Ints) -> Floats:
        """Means over fillings (c, m), of `means` or `mean_over_fillings`, -> values (c, len(targets))."""
        with np.errstate(all="ignore"):
            if self._own_probabilities:
                # One filling leaves logits as they are, several make them logarithms of mean probabilities: an own behaviour sees these.
                means = log_softmax(means, axis=1)
            return self.behaviour.score(means, self.convention, targets)

    @property
    def _own_probabilities(self) -> bool:
        """Whether a behaviour of the user's reads probabilities from logits; those here do not see a constant added to all logits."""
        read = self.convention == "logits" and self.behaviour.averaged == "probabilities"
        return read and type(self.behaviour) not in SHIFT_FREE

    def _mean_outputs(self, columns: Floats, c: int, size: int) -> Floats:
        if self.behaviour.averaged == "outputs" or self.convention != "logits":
            return _mean(columns, c, size)
        # The log of the mean probability is a logit again, and is formed without leaving log space.
        logs = _last(log_softmax(columns, axis=1), c, size)
        return logsumexp(logs, axis=2) - np.log(size)


def _last(rows: Floats, c: int, size: int) -> Floats:
    return np.ascontiguousarray(rows.reshape(c, size, -1).transpose(0, 2, 1))


def _mean(rows: Floats, c: int, size: int) -> Floats:
    return _last(rows, c, size).sum(axis=2) / size
