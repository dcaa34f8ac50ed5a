"""The `game` part of a spec: model, input, players, removal and behaviour; a stored table; or a known game."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, NonNegativeInt, PositiveFloat, PositiveInt, Tag

IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""`package.module:name`."""


class Frozen(BaseModel):
    """Immutable; unknown keys are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Factory(Frozen):
    """A model made by a function of an importable module, `package.module:function`; weights without code, if any."""

    factory: str = Field(pattern=IMPORT_PATH)
    arguments: dict[str, Any] = {}
    weights: str | None = None
    """A state dict: .safetensors, or .pt read with weights_only."""


class ModelFile(Frozen):
    """A pickled or scripted model. Reading one runs code from the file, so it takes an explicit `trust = true`."""

    file: str
    trust: bool = False
    outputs: Literal["logits", "probabilities", "raw"] | None = None


class TableRow(Frozen):
    """One row of a table file (.csv, .parquet, .arrow, .npy, .npz)."""

    table: str
    row: NonNegativeInt
    drop: tuple[str, ...] = ()
    """Columns that are not inputs of the model (the label, say)."""


class BundledRow(Frozen):
    """One row of a data set that scikit-learn bundles (`breast_cancer`, `diabetes`, `digits`, `iris`, `wine`)."""

    sklearn: str
    row: NonNegativeInt


class Text(Frozen):
    """A text given here."""

    text: str = Field(min_length=1)


class TextRow(Frozen):
    """One line of a tab-separated file of texts, by row and column name."""

    texts: str
    row: NonNegativeInt
    column: str = "text"


class Dataset(Frozen):
    """Every row of a table (.parquet, .csv, .arrow, .feather, .npy, .npz), of `sklearn:NAME`, or every picture of a folder."""

    dataset: str = Field(min_length=1)
    rows: str | None = Field(default=None, pattern=r"^\d*:\d*$")
    """A slice as "0:10000"; left out, all."""
    drop: tuple[str, ...] = ()
    """Columns that are not inputs of the model (the label, say)."""
    id: str | None = None
    """The column that names the rows; no input of the model."""
    column: str | None = None
    background_parts: PositiveInt = 1
    """Parts of a marginal background that a row's coalitions meet one by one: more coalitions for the same model rows."""


class PassageList(Frozen):
    """Retrieved passages: texts given here, or a file of them: .txt, one a line, or .json, a list."""

    passages: tuple[str, ...] | str


def _input_kind(given: Any) -> str | None:
    if isinstance(given, (str, TableRow, BundledRow, Text, TextRow, PassageList, Dataset)):
        return type(given).__name__
    keys = given if isinstance(given, dict) else {}
    named = {
        "table": "TableRow",
        "sklearn": "BundledRow",
        "texts": "TextRow",
        "text": "Text",
        "passages": "PassageList",
        "dataset": "Dataset",
    }
    return next((name for key, name in named.items() if key in keys), None)


def _model_kind(given: Any) -> str | None:
    if isinstance(given, (Factory, ModelFile)):
        return type(given).__name__
    if not isinstance(given, dict):
        return None
    return "ModelFile" if "file" in given else "Factory"


Model = Annotated[
    Annotated[Factory, Tag("Factory")] | Annotated[ModelFile, Tag("ModelFile")],
    Discriminator(_model_kind),
]

Input = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[TableRow, Tag("TableRow")]
    | Annotated[BundledRow, Tag("BundledRow")]
    | Annotated[Text, Tag("Text")]
    | Annotated[TextRow, Tag("TextRow")]
    | Annotated[PassageList, Tag("PassageList")]
    | Annotated[Dataset, Tag("Dataset")],
    Discriminator(_input_kind),
]


class Patches(Frozen):
    """A grid of patches of an image."""

    kind: Literal["patches"]
    grid: tuple[PositiveInt, PositiveInt]


class Regions(Frozen):
    """Superpixels: a label mask from a file (.npy or image), or `slic` with about this many segments."""

    kind: Literal["regions"]
    path: str | None = None
    slic: PositiveInt | None = None


class Columns(Frozen):
    """Each column of a row."""

    kind: Literal["columns"]


class Groups(Frozen):
    """Groups of columns, by name; every column exactly once."""

    kind: Literal["groups"]
    groups: dict[str, tuple[str | int, ...]]


class Words(Frozen):
    """The words of a text."""

    kind: Literal["words"]


class Tokens(Frozen):
    """The tokens of a text, special ones left out."""

    kind: Literal["tokens"]


class Sentences(Frozen):
    """The sentences of a text."""

    kind: Literal["sentences"]


class Segments(Frozen):
    """Segments of a text: between `separator`s, or `spans` of characters [start, end)."""

    kind: Literal["segments"]
    separator: str | None = None
    spans: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] | None = None
    labels: tuple[str, ...] | None = None
    """Names of the segments."""
    rest: Literal["refuse", "stays"] = "refuse"
    """What becomes of text that no span covers."""


class Passages(Frozen):
    """The passages of the input, written by `each` ({passage}, {number}) and put into `template` ({passages})."""

    kind: Literal["passages"]
    template: str = "{passages}"
    each: str = "{passage}\n"
    labels: tuple[str, ...] | None = None
    """Names of the passages."""


Players = Annotated[
    Patches | Regions | Columns | Groups | Words | Tokens | Sentences | Segments | Passages, Field(discriminator="kind")
]


class Zeros(Frozen):
    """Removed parts become zero (in the model's own input scale)."""

    kind: Literal["zeros"]


class Constant(Frozen):
    """Removed parts become a constant."""

    kind: Literal["constant"]
    value: float


class Mean(Frozen):
    """Removed parts become the mean of the image's channel, or of the background's column."""

    kind: Literal["mean"]
    background: Background | None = None


class Blur(Frozen):
    """Removed parts show the blurred image."""

    kind: Literal["blur"]
    sigma: PositiveFloat = 10.0


class MaskToken(Frozen):
    """Removed tokens become the tokenizer's mask token."""

    kind: Literal["mask_token"]


class Attention(Frozen):
    """Removed tokens get attention 0."""

    kind: Literal["attention"]


class Drop(Frozen):
    """Removed tokens, or patches of a vision transformer, are cut out of the sequence."""

    kind: Literal["drop"]
    replacement: str | None = None
    """A text that stands for each removed player."""
    prefix_cache: bool = False
    """Compute what prompts begin with in common once."""


class Background(Frozen):
    """Rows of a table file or a bundled data set; `rows` is a slice like "0:100"."""

    table: str | None = None
    sklearn: str | None = None
    rows: str | None = Field(default=None, pattern=r"^\d*:\d*(:\d+)?$")
    drop: tuple[str, ...] = ()


class Marginal(Frozen):
    """Removed columns come from background rows: all of them, or `samples` at a time (then their noise is in the standard errors)."""

    kind: Literal["marginal"]
    background: Background
    samples: PositiveInt | None = None


class Uniform(Frozen):
    """Removed columns are uniform over their range in the background, `samples` draws at a time."""

    kind: Literal["uniform"]
    background: Background
    samples: PositiveInt = 32


Removal = Annotated[
    Zeros | Constant | Mean | Blur | MaskToken | Attention | Drop | Marginal | Uniform, Field(discriminator="kind")
]


class Behaviour(Frozen):
    """Which number of the model's output is explained."""

    kind: Literal[
        "logit", "probability", "log_probability", "log_odds", "margin", "loss", "raw", "answer_log_probability"
    ]
    target: Literal["predicted", "all"] | NonNegativeInt | tuple[NonNegativeInt, ...] = "predicted"
    order: Literal["mean_then_behaviour", "behaviour_then_mean"] | None = None
    names: dict[str, str] = {}
    """Names of classes by number, for people; for models that come without."""
    answers: tuple[str, ...] = ()
    """Of `answer_log_probability`: the texts whose probability after the prompt is explained."""
    per_token: bool = False
    """Of `answer_log_probability`: the mean over the answer's tokens instead of the sum."""


class ModelGameSpec(Frozen):
    """Players x removal x behaviour of a model on one input."""

    kind: Literal["model"]
    model: Model
    input: Input
    players: Players
    removal: Removal
    behaviour: Behaviour


class LabelledRows(Frozen):
    """Labelled rows of a table file, or of a data set that scikit-learn bundles; `rows` is a slice like "0:100"."""

    table: str | None = None
    sklearn: str | None = None
    label: str | None = None
    """Column of a table that holds the labels; bundled data sets bring their own."""
    weights: str | None = None
    """Column of a table that holds sample weights of the rows; all alike if left out."""
    rows: str | None = Field(default=None, pattern=r"^\d*:\d*(:\d+)?$")
    drop: tuple[str, ...] = ()


DatasetRemoval = Annotated[Zeros | Constant | Mean | Marginal | Uniform, Field(discriminator="kind")]

LossKind = Literal["cross_entropy", "squared_error", "zero_one"]


class LossGameSpec(Frozen):
    """Minus the mean loss of a model over a dataset, with players removed from every row: SAGE values and their kin."""

    kind: Literal["loss"]
    model: Model
    dataset: LabelledRows
    removal: DatasetRemoval
    loss: LossKind | Annotated[tuple[LossKind, ...], Field(min_length=1)]
    players: Annotated[Columns | Groups, Field(discriminator="kind")] = Columns(kind="columns")
    convention: Literal["mean_then_loss", "loss_then_mean"] = "mean_then_loss"
    against: Literal["label", "output"] = "label"
    """`output`: the model's own output on the full row instead of the labels."""
    sample: PositiveInt | None = None
    """Rows drawn for each draw, whose noise is then in the standard errors; None takes all rows every time."""
    clip: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Smallest probability that `cross_entropy` takes the log of."""


class TableGameSpec(Frozen):
    """A stored value table: .npz with the key `values`, 2^n or (2^n, k) numbers, player i is bit i."""

    kind: Literal["table"]
    path: str


class KnownGameSpec(Frozen):
    """A game with a closed-form answer; `xai-ray games` lists them."""

    kind: Literal["known"]
    name: str
    arguments: dict[str, Any] = {}
