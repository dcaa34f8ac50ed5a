"""What can be chosen of each method without coalitions: one frozen class a method, its defaults the usual choice."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    # What follows is left out of the repr, which is part of job ids: those of jobs without it stay as they were.
    inverse: Literal["cg", "lissa", "arnoldi"] = field(default="cg", repr=False)
    """Of a network: how the Hessian is inverted: conjugate gradients, LiSSA or the leading eigenvectors by Arnoldi iteration."""
    rank: Annotated[int, Field(ge=1)] | None = field(default=None, repr=False)
    """Eigenvectors of Arnoldi; 50, or all but one of fewer, if left out."""
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = field(default=None, repr=False)
    """Of LiSSA, which needs it: at least the largest eigenvalue of the damped Hessian of any 32 points."""
    depth: Annotated[int, Field(ge=1)] | None = field(default=None, repr=False)
    """Steps of a run of LiSSA; 1,000 if left out."""
    repeats: Annotated[int, Field(ge=2)] | None = field(default=None, repr=False)
    """Runs of LiSSA; 4 if left out."""

    def digest_parts(self) -> list[str]:
        """What the repr leaves out; nothing for conjugate gradients."""
        if self.inverse == "cg":
            return []
        return [f"{name} = {getattr(self, name)!r}" for name in ("inverse", "rank", "scale", "depth", "repeats")]


@dataclass(frozen=True, slots=True)
class TrakSettings:
    """TRAK."""

    dimensions: Annotated[int, Field(ge=1)] | None = 512
    """To which gradients are projected; None for not at all."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of the points, drawn at random, that the network of a checkpoint is trained on."""
    ridge: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3
    """Of the kernel, as a share of the mean of its diagonal."""


@dataclass(frozen=True, slots=True)
class DistributionalSettings:
    """Distributional Shapley values."""

    cardinality: Annotated[int, Field(ge=1)] | None = None
    """Points, or groups, of the random data set; half of those there are if left out."""


@dataclass(frozen=True, slots=True)
class BanzhafSettings:
    """Data Banzhaf in one pass."""

    p: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Chance of a player to join a coalition."""


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
