"""The spec of a job: one TOML (or JSON) file, frozen, unknown keys rejected with their path and the nearest valid name.

What decides the answer is in the spec. Where the work runs (store, address, actors) is not, and comes from the command line.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
)
from typing_extensions import TypeAliasType

from xai_ray.errors import InputError, SpecError
from xai_ray.spec_mistakes import Places, mistakes

Grouping = TypeAliasType("Grouping", "tuple[NonNegativeInt | Grouping, ...]")  # pyright: ignore[reportInvalidTypeForm]
"""Players, and groups of them."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Factory(_Frozen):
    """A model made by a function of an importable module, `package.module:function`; weights without code, if any."""

    factory: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    arguments: dict[str, Any] = {}
    weights: str | None = None
    """A state dict: .safetensors, or .pt read with weights_only."""


class ModelFile(_Frozen):
    """A pickled or scripted model. Reading one runs code from the file, so it takes an explicit `trust = true`."""

    file: str
    trust: bool = False
    outputs: Literal["logits", "probabilities", "raw"] | None = None


class TableRow(_Frozen):
    """One row of a table file (.csv, .parquet, .arrow, .npy, .npz)."""

    table: str
    row: NonNegativeInt
    drop: tuple[str, ...] = ()
    """Columns that are not inputs of the model (the label, say)."""


class BundledRow(_Frozen):
    """One row of a data set that scikit-learn bundles (`breast_cancer`, `diabetes`, `digits`, `iris`, `wine`)."""

    sklearn: str
    row: NonNegativeInt


class Text(_Frozen):
    """A text given here."""

    text: str = Field(min_length=1)


class TextRow(_Frozen):
    """One line of a tab-separated file of texts, by row and column name."""

    texts: str
    row: NonNegativeInt
    column: str = "text"


def _input_kind(given: Any) -> str | None:
    if isinstance(given, (str, TableRow, BundledRow, Text, TextRow)):
        return type(given).__name__
    keys = given if isinstance(given, dict) else {}
    named = {"table": "TableRow", "sklearn": "BundledRow", "texts": "TextRow", "text": "Text"}
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
    | Annotated[TextRow, Tag("TextRow")],
    Discriminator(_input_kind),
]


class Patches(_Frozen):
    """A grid of patches of an image."""

    kind: Literal["patches"]
    grid: tuple[PositiveInt, PositiveInt]


class Regions(_Frozen):
    """Superpixels: a label mask from a file (.npy or image), or `slic` with about this many segments."""

    kind: Literal["regions"]
    path: str | None = None
    slic: PositiveInt | None = None


class Columns(_Frozen):
    """Each column of a row."""

    kind: Literal["columns"]


class Groups(_Frozen):
    """Groups of columns, by name; every column exactly once."""

    kind: Literal["groups"]
    groups: dict[str, tuple[str | int, ...]]


class Words(_Frozen):
    """The words of a text."""

    kind: Literal["words"]


class Tokens(_Frozen):
    """The tokens of a text, special ones left out."""

    kind: Literal["tokens"]


Players = Annotated[Patches | Regions | Columns | Groups | Words | Tokens, Field(discriminator="kind")]


class Zeros(_Frozen):
    """Removed parts become zero (in the model's own input scale)."""

    kind: Literal["zeros"]


class Constant(_Frozen):
    """Removed parts become a constant."""

    kind: Literal["constant"]
    value: float


class Mean(_Frozen):
    """Removed parts become the mean of the image's channel, or of the background's column."""

    kind: Literal["mean"]
    background: Background | None = None


class Blur(_Frozen):
    """Removed parts show the blurred image."""

    kind: Literal["blur"]
    sigma: PositiveFloat = 10.0


class MaskToken(_Frozen):
    """Removed tokens become the tokenizer's mask token."""

    kind: Literal["mask_token"]


class Background(_Frozen):
    """Rows of a table file or a bundled data set; `rows` is a slice like "0:100"."""

    table: str | None = None
    sklearn: str | None = None
    rows: str | None = Field(default=None, pattern=r"^\d*:\d*(:\d+)?$")
    drop: tuple[str, ...] = ()


class Marginal(_Frozen):
    """Removed columns come from background rows: all of them, or `samples` at a time (then their noise is in the standard errors)."""

    kind: Literal["marginal"]
    background: Background
    samples: PositiveInt | None = None


class Uniform(_Frozen):
    """Removed columns are uniform over their range in the background, `samples` draws at a time."""

    kind: Literal["uniform"]
    background: Background
    samples: PositiveInt = 32


Removal = Annotated[Zeros | Constant | Mean | Blur | MaskToken | Marginal | Uniform, Field(discriminator="kind")]


class Behaviour(_Frozen):
    """Which number of the model's output is explained."""

    kind: Literal["logit", "probability", "log_probability", "log_odds", "margin", "loss", "raw"]
    target: Literal["predicted", "all"] | NonNegativeInt | tuple[NonNegativeInt, ...] = "predicted"
    order: Literal["mean_then_behaviour", "behaviour_then_mean"] | None = None
    names: dict[str, str] = {}
    """Names of classes by number, for people; for models that come without."""


class ModelGameSpec(_Frozen):
    """Players x removal x behaviour of a model on one input."""

    kind: Literal["model"]
    model: Model
    input: Input
    players: Players
    removal: Removal
    behaviour: Behaviour


class TableGameSpec(_Frozen):
    """A stored value table: .npz with the key `values`, 2^n or (2^n, k) numbers, player i is bit i."""

    kind: Literal["table"]
    path: str


class KnownGameSpec(_Frozen):
    """A game with a closed-form answer; `xai-ray games` lists them."""

    kind: Literal["known"]
    name: str
    arguments: dict[str, Any] = {}


GameSpec = Annotated[ModelGameSpec | TableGameSpec | KnownGameSpec, Field(discriminator="kind")]


class AskSpec(_Frozen):
    """One question."""

    index: str
    order: PositiveInt | None = None
    estimator: str = "auto"
    orders: tuple[int | float, ...] | None = None
    """Context sizes: whole numbers, or fractions of the largest one."""
    pairs: Literal["all", "local"] | tuple[tuple[NonNegativeInt, NonNegativeInt], ...] = "all"
    p: float | None = None
    alpha: float | None = None
    beta: float | None = None
    weights: tuple[float, ...] | None = None
    groups: tuple[Grouping, ...] | None = None
    """Groups of players, which may hold groups in turn."""
    split: Literal["even", "sparse"] | None = None
    """Of AND and OR interactions; even if left out."""


def _share(given: Any) -> Any:
    return {True: 1.0, False: None}[given] if isinstance(given, bool) else given


class Budget(_Frozen):
    """How much to spend; not part of the job's identity, so it can be extended."""

    evaluations: PositiveInt | Literal["exact"]
    std_error: PositiveFloat | None = None
    """Stop at an earlier boundary when every standard error is at most this, in units of v."""
    relative_error: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The same as a share of the spread (largest minus smallest value) of each question and output."""
    top: PositiveInt | None = None
    """Stop when the so many largest values are told from the rest with 95 % confidence."""
    ranking: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None, BeforeValidator(_share, json_schema_input_type=bool | float | None)
    ] = None
    """Stop when the whole ranking (true), or this share of its neighbours, is settled with 95 % confidence."""
    seconds: PositiveFloat | None = None
    """Stop at the last boundary before a run has taken this long, whatever the precision."""


class Compute(_Frozen):
    """What may move the last bits of a value: pinned here, part of the job's identity."""

    batch: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    """Model rows per forward pass; None takes a power of two from the size of the input."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of one forward pass, the same on every worker."""


class Spec(_Frozen):
    """A job."""

    name: str = Field(default="job", pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    game: GameSpec
    ask: tuple[AskSpec, ...] = Field(min_length=1)
    budget: Budget
    compute: Compute = Compute()


def load(path: Path) -> Spec:
    """Read a spec from .toml or .json. Raises SpecError with every mistake, or InputError for a file that cannot be read."""
    try:
        raw = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"no spec at {path}; jobs/ holds examples") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read spec {path}: {error}") from None
    try:
        document = json.loads(raw) if path.suffix == ".json" else tomllib.loads(raw)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise SpecError(f"{path} is not valid {path.suffix[1:].upper() or 'TOML'}: {error}") from None
    except RecursionError:
        raise SpecError(f"{path} is nested too deeply to be a spec") from None
    return parse(document, str(path))


def parse(document: Any, where: str = "spec") -> Spec:
    """Validate a document. Raises SpecError that lists every mistake with its path."""
    if not isinstance(document, dict):
        raise SpecError(f"{where}: a spec is a table of keys, got {type(document).__name__}")
    try:
        return Spec.model_validate(document)
    except ValidationError as error:
        lines = mistakes([dict(e) for e in error.errors()], document, _places())
        raise SpecError(
            "\n".join([f"{where}: {len(lines)} mistake{'s' * (len(lines) > 1)}", *(f"  {line}" for line in lines)])
        ) from None


def canonical(spec: Spec) -> dict[str, Any]:
    """The wire form: a JSON object with defaults left out."""
    return json.loads(spec.model_dump_json(exclude_defaults=True, exclude_none=True))


def _places() -> Places:
    nested: dict[str, type[BaseModel]] = {
        "budget": Budget,
        "compute": Compute,
        "ask": AskSpec,
        "behaviour": Behaviour,
        "background": Background,
    }
    return Places(Spec, {m.__name__: m for m in _Frozen.__subclasses__()} | _tags(), nested)


def _tags() -> dict[str, type[_Frozen]]:
    """Models of the tagged unions, by the value of their `kind`."""
    out: dict[str, type[_Frozen]] = {}
    for model in _Frozen.__subclasses__():
        kind = model.model_fields.get("kind")
        if kind is not None and get_origin(kind.annotation) is Literal and len(get_args(kind.annotation)) == 1:
            out[get_args(kind.annotation)[0]] = model
    return out
