"""Losses of a model's outputs, row by row: what a dataset game averages over labelled rows.

Outputs follow a convention as in `behaviours`: "logits", "probabilities" or "raw". Truths are class numbers (r,), numbers (r, m), or the
model's own outputs on the full rows where a game explains the model and not the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, logsumexp

from xai_ray.errors import ModelOutputError, NonFiniteValue, SpecError, UnknownName, XaiRayError
from xai_ray.games.behaviours import Outputs
from xai_ray.games.digest import printed
from xai_ray.games.probabilities import check_probabilities
from xai_ray.types import Floats

LossName: TypeAlias = Literal["cross_entropy", "squared_error", "zero_one"]
Truth: TypeAlias = npt.NDArray[Any]
LossFunction: TypeAlias = Callable[[Floats, Truth], Any]
"""`(outputs (r, m), truth (r, ...)) -> (r,)`: a finite number a row, smaller being better. Of a model that gives logits the outputs are
logarithms of probabilities, over however many fillings they are means; with outputs="raw" they are means of what the model gives."""

LOSSES: dict[str, str] = {
    "cross_entropy": "minus the log of the probability of the label; against the model's output, of its probabilities",
    "squared_error": "squared difference, summed over outputs; of classes, the Brier score of the probabilities",
    "zero_one": "1 where the largest output is not the label's",
}
"""Name -> what it is."""


@dataclass(frozen=True)
class RowLoss:
    """One loss under a convention; `soft` truths are the model's own outputs (r, m), in the same convention."""

    loss: LossName | LossFunction
    convention: Outputs
    soft: bool
    clip: float | None = None
    """Smallest probability that `cross_entropy` takes the log of."""

    def __post_init__(self) -> None:
        if isinstance(self.loss, str) and self.loss not in LOSSES:
            raise UnknownName("loss", self.loss, LOSSES)
        if not isinstance(self.loss, str) and not callable(self.loss):
            raise SpecError(f"loss is one of {', '.join(LOSSES)} or a function of outputs and truth, got {self.loss!r}")
        if self.loss in ("cross_entropy", "zero_one") and self.convention == "raw":
            raise SpecError(
                f"loss {self.loss!r} needs class scores: say outputs='logits' or 'probabilities', or take 'squared_error'"
            )
        if self.clip is not None and not 0 < self.clip < 1:
            raise SpecError(f"clip is a probability strictly between 0 and 1, got {self.clip}")

    @property
    def title(self) -> str:
        """What it is called in tables."""
        if isinstance(self.loss, str):
            return self.loss.replace("_", " ")
        return getattr(self.loss, "__name__", type(self.loss).__name__)

    @property
    def sampled(self) -> bool:
        """Whether the loss of a mean over two or more sampled fillings can be had without bias."""
        return self.loss == "squared_error"

    def identity(self) -> list[str]:
        """What decides its numbers, for a digest; a function by its name and code."""
        parts = [self.convention, str(self.soft), repr(self.clip)]
        if isinstance(self.loss, str):
            return [self.loss, *parts]
        owner = self.loss if hasattr(self.loss, "__qualname__") else type(self.loss)
        code = getattr(self.loss, "__code__", None)
        body = [printed(self.loss)] if code is None else _code(code)
        seen = ["log probabilities"] if self.convention == "logits" else []
        return [f"{owner.__module__}.{owner.__qualname__}", *body, *parts, *seen]

    def rows(self, outputs: Floats, truth: Truth) -> Floats:
        """Losses (r,) of outputs (r, m). Raises ModelOutputError for an own function that returns something else."""
        with np.errstate(all="ignore"):
            match self.loss:
                case "cross_entropy":
                    return self._cross_entropy(outputs, truth)
                case "squared_error":
                    return ((self._scores(outputs) - self._target(truth, outputs.shape[1])) ** 2).sum(axis=1)
                case "zero_one":
                    right = truth.argmax(axis=1) if self.soft else truth
                    return (outputs.argmax(axis=1) != right).astype(np.float64)
                case _:
                    return self._own(outputs, truth)

    def excess(self, outputs: Floats) -> Floats:
        """What the loss of the mean over b fillings, outputs (r, b, m), is too large by on average: the variance of that mean. (r,)."""
        r, b, m = outputs.shape
        scores = self._scores(outputs.reshape(r * b, m)).reshape(r, b, m)
        return scores.var(axis=1, ddof=1).sum(axis=1) / b

    def check(self, outputs: Floats, truth: Truth, weights: Floats | None = None) -> None:
        """Tries the loss on the full rows and says what is wrong with it; the loss of a row of weight 0 may be anything."""
        if self.convention == "probabilities" and isinstance(self.loss, str):
            check_probabilities(outputs)
        losses = self.rows(outputs, truth)
        bad = np.flatnonzero(~np.isfinite(losses) & (True if weights is None else weights > 0))
        if len(bad):
            raise NonFiniteValue(self.not_finite(int(bad[0]), float(losses[bad[0]]), truth[bad[0]]))
        alone = losses if isinstance(self.loss, str) else self.rows(outputs[:1], truth[:1])
        if not np.isclose(alone[0], losses[0], rtol=1e-4, atol=1e-6, equal_nan=True):
            raise ModelOutputError(
                f"loss {self.title!r} of row 0 is {alone[0]:.6g} by itself and {losses[0]:.6g} among {len(losses)} rows; it must look "
                "at each row by itself"
            )

    def not_finite(self, row: int, loss: float, truth: Any) -> str:
        """A message for a loss that is not finite."""
        what = "the model's output" if self.soft else f"truth {truth}"
        hint = "look at the function on this row"
        if self.loss == "cross_entropy":
            hint = "a probability of exactly 0 has no finite logarithm: give logits, or say clip = 1e-6"
        elif self.loss == "squared_error":
            hint = "look at the model's output for this row"
        return f"loss {self.title!r} of row {row} ({what}) is {loss}; {hint}"

    def _cross_entropy(self, outputs: Floats, truth: Truth) -> Floats:
        if self.convention == "logits":
            logs = _log_shares(outputs)
            if self.clip is not None:
                logs = np.maximum(logs, np.log(self.clip))
        else:
            logs = np.log(outputs if self.clip is None else np.maximum(outputs, self.clip))
        if not self.soft:
            return -np.take_along_axis(logs, truth[:, None], axis=1)[:, 0]
        shares = self._scores(truth)
        return -np.where(shares > 0, shares * logs, 0.0).sum(axis=1)

    def _scores(self, outputs: Floats) -> Floats:
        """What errors are squared of: probabilities of classes, raw outputs."""
        return np.exp(_log_shares(outputs)) if self.convention == "logits" else outputs

    def _target(self, truth: Truth, m: int) -> Floats:
        if self.soft:
            return self._scores(truth)
        return truth if self.convention == "raw" else np.eye(m)[truth]

    def _own(self, outputs: Floats, truth: Truth) -> Floats:
        assert callable(self.loss)
        if self.convention == "logits":
            # Means over fillings are means of probabilities. Logits of one filling have a constant of their own, which a function of
            # the user's may see.
            outputs, truth = _log_shares(outputs), _log_shares(truth) if self.soft else truth
        try:
            found = np.asarray(self.loss(outputs, truth))
        except XaiRayError:
            raise
        except Exception as error:
            raise ModelOutputError(
                f"loss {self.title!r} failed on outputs {outputs.shape} and truths {truth.shape}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if found.shape != (len(outputs),) or found.dtype.kind not in "fiub":
            raise ModelOutputError(
                f"loss {self.title!r} returned {found.dtype} of shape {found.shape} for {len(outputs)} rows; it must return one "
                f"number a row, shape ({len(outputs)},)"
            )
        return found.astype(np.float64)


def _log_shares(logits: Floats) -> Floats:
    """Logits (r, m) -> logarithms of probabilities (r, m)."""
    # Classes first: a maximum and a sum over two or three neighbours are slow.
    columns = np.ascontiguousarray(logits.T)
    columns = columns - columns.max(axis=0)
    return (columns - np.log(np.exp(columns).sum(axis=0))).T


def mean_outputs(outputs: Floats, convention: Outputs) -> Floats:
    """Outputs (r, K, m) averaged over K fillings, shape (r, m); of logits the logits of the mean probabilities."""
    if convention != "logits":
        return np.ascontiguousarray(outputs.transpose(0, 2, 1)).mean(axis=2)
    # Classes first: sums over two or three neighbours are slow.
    r, K, m = outputs.shape
    flat = np.ascontiguousarray(outputs.reshape(r * K, m).T)
    shares = np.exp(flat - flat.max(axis=0))
    shares /= shares.sum(axis=0)
    mean = shares.reshape(m, r, K).mean(axis=2)
    with np.errstate(divide="ignore"):
        logs = np.ascontiguousarray(np.log(mean).T)
    lost = np.isinf(logs).any(axis=1)
    if lost.any():
        logs[lost] = logsumexp(log_softmax(outputs[lost], axis=2), axis=1) - np.log(K)
    return logs


def _code(code: CodeType) -> list[str]:
    constants = [part for c in code.co_consts for part in (_code(c) if isinstance(c, CodeType) else [printed(c)])]
    return [code.co_code.hex(), " ".join(code.co_names), *constants]
