"""The `game` part of a spec whose players are training points: estimator, data, test rows and scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, NonNegativeInt, Tag

from xai_ray.game_spec import IMPORT_PATH, Frozen


class Arrays(Frozen):
    """An .npz file with the arrays `X`, `y`, and `X_test`, `y_test` unless rows are held out; `names`, `texts`, `images` and `flagged`
    of the training rows if there are, and `X_holdout`, `y_holdout` for the curves of reports.
    """

    arrays: str


class LabelledTable(Frozen):
    """A table file (.csv, .parquet, .arrow): the target is a column, features are the others."""

    table: str
    target: str
    drop: tuple[str, ...] = ()
    """Columns that are neither features nor target."""
    text: str | None = None
    """The column of texts that a report shows beside the values; no feature."""
    flagged: str | None = None
    """The column that says, by true or false, which rows are known to be bad; no feature."""


class LabelledBundle(Frozen):
    """A data set that scikit-learn bundles (`breast_cancer`, `diabetes`, `digits`, `iris`, `wine`)."""

    sklearn: str


class DataFactory(Frozen):
    """A function `package.module:function` that returns (X, y, X_test, y_test), (X, y) where rows are held out, or these by name.

    By name it may return `groups` and `names` of the training rows too, and what reports show of them: `texts` (n,), `images`
    (n, height, width) or (n, height, width, 3), and `flagged` (n,), True for rows that are known to be bad; and for their
    curves `X_holdout` (h, d) and `y_holdout` (h,), rows that take no part in the valuation.
    """

    factory: str = Field(pattern=IMPORT_PATH)
    arguments: dict[str, Any] = Field(default={})


class TableOfTests(Frozen):
    """Test rows in a table file with the columns of the training table."""

    table: str


class HeldOut(Frozen):
    """A share of the rows, drawn by a seed, is for testing; the others are for training, in their order."""

    share: float = Field(gt=0, lt=1)
    seed: NonNegativeInt = 0


def _one_of(named: dict[str, type[Frozen]]) -> Discriminator:
    """Members of a union told apart by the key that only they have."""

    def kind(given: Any) -> str | None:
        if isinstance(given, tuple(named.values())):
            return type(given).__name__
        keys = given if isinstance(given, dict) else {}
        return next((model.__name__ for key, model in named.items() if key in keys), None)

    return Discriminator(kind)


TrainingData = Annotated[
    Annotated[Arrays, Tag("Arrays")]
    | Annotated[LabelledTable, Tag("LabelledTable")]
    | Annotated[LabelledBundle, Tag("LabelledBundle")]
    | Annotated[DataFactory, Tag("DataFactory")],
    _one_of({"arrays": Arrays, "table": LabelledTable, "sklearn": LabelledBundle, "factory": DataFactory}),
]

TestData = Annotated[
    Annotated[TableOfTests, Tag("TableOfTests")] | Annotated[HeldOut, Tag("HeldOut")],
    _one_of({"table": TableOfTests, "share": HeldOut}),
]


class TrainingGameSpec(Frozen):
    """Training points or groups of them; v(S) is the score of the model trained on S."""

    kind: Literal["training"]
    estimator: Annotated[str, Field(pattern=IMPORT_PATH)] | None = None
    """A scikit-learn estimator's class, or a function that returns one or a `Network`; left out where nothing is trained."""
    parameters: dict[str, Any] = Field(default={})
    data: TrainingData
    test: TestData | None = None
    holdout: TestData | None = None
    """Rows that take no part in the valuation: reports score the models of their curves on these. A share is taken after that of `test`."""
    scores: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Left out, accuracy, or r2 of a regression."""
    groups: str | None = None
    """The column, or the array, that names the group of each training row; groups are then the players."""
    empty: tuple[float, ...] | None = None
    """Scores of the empty coalition, one a score."""
    refit: bool = False
    """Whether the estimator itself is fitted once a coalition, whatever the estimator."""
    self_check: bool | Annotated[float, Field(ge=0)] = True
    """Whether a run refits 1 % of its coalitions (8 to 200) by the estimator itself; a number is the difference that it warns of."""


class ValueSpec(Frozen):
    """A method of data valuation that asks no index of a game, instead of `[[ask]]`: `xai-ray methods` lists them."""

    method: str
    settings: dict[str, Any] = Field(default={})
