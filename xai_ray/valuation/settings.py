"""What can be chosen of each method without coalitions: one frozen class a method, its defaults the usual choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, slots=True)
class Nothing:
    """A method without settings."""


@dataclass(frozen=True, slots=True)
class NeighbourSettings:
    """KNN-Shapley; the number of neighbours is that of the KNeighborsClassifier."""

    utility: Literal["hard", "soft"] = "hard"
    """Votes by K, or by the number of neighbours there are."""


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """Data-OOB."""

    draws: int | None = None
    """Points that a bootstrap draws; as many as there are if left out."""


@dataclass(frozen=True, slots=True)
class InRunSettings:
    """In-Run Data Shapley."""

    order: Literal[1, 2] = 1
    """Of the expansion of the loss in the learning rate."""


@dataclass(frozen=True, slots=True)
class TracinSettings:
    """TracInCP."""

    checkpoints: Annotated[int, Field(ge=1)] = 5
    """Evenly spaced ends of epochs, at most the epochs there are."""


@dataclass(frozen=True, slots=True)
class InfluenceSettings:
    """Influence functions."""

    newton: bool = True
    """Of LogisticRegression: take the point out of the curvature too."""
    damping: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """Of a network: added to the Hessian of the mean loss."""


@dataclass(frozen=True, slots=True)
class LavaSettings:
    """LAVA."""

    label_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Weight of the distance of the labels beside that of the features."""
    regularisation: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.05
    """Entropic, as a share of the mean cost."""


@dataclass(frozen=True, slots=True)
class TruncationSettings:
    """Truncated Monte Carlo Data Shapley."""

    tolerance: float = 0.01
    """How close to the score of all points a prefix is to be truncated, in units of the score."""
    patience: int = 5
    """For so many prefixes in a row."""
    go_on: float = 0.0
    """Probability of going on all the same, with later contributions divided by it: unbiased if above 0."""
