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
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)
from typing_extensions import TypeAliasType

from xai_ray.errors import InputError, SpecError
from xai_ray.game_spec import (
    Background,
    Behaviour,
    Frozen,
    KnownGameSpec,
    LabelledRows,
    LossGameSpec,
    ModelGameSpec,
    TableGameSpec,
)
from xai_ray.spec_mistakes import Places, mistakes
from xai_ray.training_spec import TrainingGameSpec, ValueSpec

GameSpec = Annotated[
    ModelGameSpec | LossGameSpec | TrainingGameSpec | TableGameSpec | KnownGameSpec, Field(discriminator="kind")
]

Grouping = TypeAliasType("Grouping", "tuple[NonNegativeInt | Grouping, ...]")  # pyright: ignore[reportInvalidTypeForm]
"""Players, and groups of them."""


class AskSpec(Frozen):
    """One question."""

    index: str
    order: PositiveInt | None = None
    estimator: str = "auto"
    orders: tuple[int | float, ...] | None = None
    """Context sizes: whole numbers, or fractions of the largest one."""
    pairs: Literal["all", "local"] | tuple[tuple[NonNegativeInt, NonNegativeInt], ...] = "all"
    players: tuple[NonNegativeInt | str, ...] | None = None
    """Only these players, by number or by name; all if left out."""
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


def _small(given: Any) -> Any:
    return {True: 0.0, False: None}[given] if isinstance(given, bool) else given


class Budget(Frozen):
    """How much to spend; not part of the job's identity, so it can be extended."""

    evaluations: PositiveInt | Literal["exact"] = "exact"
    """Needed with `[[ask]]`; a method of `[value]` takes all it is made of, where that is finite."""
    std_error: PositiveFloat | None = None
    """Stop at an earlier boundary when every standard error is at most this, in units of v."""
    relative_error: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The same as a share of the spread (largest minus smallest value) of each question and output."""
    top: PositiveInt | None = None
    """Stop when the so many largest values are told from the rest with 95 % confidence."""
    bottom: PositiveInt | None = None
    """The same of the so many smallest values."""
    ranking: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None, BeforeValidator(_share, json_schema_input_type=bool | float | None)
    ] = None
    """Stop when the whole ranking (true), or this share of its neighbours, is settled with 95 % confidence."""
    signs: Annotated[
        Annotated[float, Field(ge=0, lt=1)] | None, BeforeValidator(_small, json_schema_input_type=bool | float | None)
    ] = None
    """Stop when every value is told from 0 with 95 % confidence (true), or is that, or has a standard error of at most this share of their
    range."""
    seconds: PositiveFloat | None = None
    """Stop at the last boundary before a run has taken this long, whatever the precision."""


class Compute(Frozen):
    """What may move the last bits of a value: pinned here, part of the job's identity."""

    batch: Annotated[int, Field(ge=1, le=1 << 20)] | Literal["auto"] | None = None
    """Model rows per forward pass; None takes a power of two from the size of the input, "auto" what is quickest where the job begins."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of one forward pass, the same on every worker."""
    unit_rows: PositiveInt | None = None
    """Rows of a dataset in a unit of work, which are answered together; None takes about a second of work, at most 256."""
    fold: bool | None = None
    """Of models that begin with a linear layer: fold it. None: jobs on one input do not."""
    precision: Literal["bf16", "fp16"] | None = None
    """Half precision for the passes of a model."""
    channels_last: bool = False
    """Memory layout of a convolutional net."""
    compile: bool = False
    """Whether workers compile the model."""
    memory: int | str | None = None
    """Bytes that one worker of a training game may take, as `"8 GB"` or a number: batches of models are cut to fit."""


class Spec(Frozen):
    """A job."""

    name: str = Field(default="job", pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    game: GameSpec
    ask: tuple[AskSpec, ...] = ()
    """Questions about a game, at least one unless there is `value`."""
    value: ValueSpec | None = None
    """A method of data valuation, of a game of kind `training`."""
    budget: Budget = Budget()
    """Needed for `ask`, but for answers in closed form. What `value` is without one: all there are of its pieces, test points say."""
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
    spec, lines = None, []
    try:
        spec = Spec.model_validate(document)
    except ValidationError as error:
        lines = mistakes([dict(e) for e in error.errors()], document, _places())
    lines += _together(document)
    if spec is None or lines:
        raise SpecError(
            "\n".join([f"{where}: {len(lines)} mistake{'s' * (len(lines) > 1)}", *(f"  {line}" for line in lines)])
        )
    return spec


def _together(document: dict[str, Any]) -> list[str]:
    """What is wrong with keys that go together, or do not."""
    given = document.get("game")
    game: dict[str, Any] = given if isinstance(given, dict) else {}
    training = game.get("kind") == "training"
    if "value" not in document:
        needed = [
            name for name in ("ask", "budget") if name not in document and not (name == "budget" and _free(document))
        ]
        if "ask" in document and document["ask"] in ([], ()):
            needed.append("ask")
        if training and not game.get("estimator"):
            needed.append("game.estimator")
        if isinstance(budget := document.get("budget"), dict) and "evaluations" not in budget:
            needed.append("budget.evaluations")
        return [f"{name}: this key is needed" for name in needed]
    if "ask" in document:
        return ["value: a method of its own; leave out ask, or value"]
    if game and not training:
        return [f'value: values training points, so the game is of kind "training", got {game.get("kind")!r}']
    return []


def _free(document: dict[str, Any]) -> bool:
    """Whether every question is answered in closed form, which needs no budget."""
    asks = document.get("ask")
    return bool(asks) and all(isinstance(ask, dict) and ask.get("estimator") == "closed_form" for ask in asks)


def canonical(spec: Spec) -> dict[str, Any]:
    """The wire form: a JSON object with defaults left out."""
    out: dict[str, Any] = json.loads(spec.model_dump_json(exclude_defaults=True, exclude_none=True))
    budget = json.loads(spec.budget.model_dump_json(exclude_defaults=True, exclude_none=True))
    return out | {"budget": {"evaluations": spec.budget.evaluations} | budget}


def _places() -> Places:
    nested: dict[str, type[BaseModel]] = {
        "budget": Budget,
        "compute": Compute,
        "value": ValueSpec,
        "ask": AskSpec,
        "behaviour": Behaviour,
        "background": Background,
        "dataset": LabelledRows,
    }
    return Places(Spec, {m.__name__: m for m in Frozen.__subclasses__()} | _tags(), nested)


def _tags() -> dict[str, type[Frozen]]:
    """Models of the tagged unions, by the value of their `kind`."""
    out: dict[str, type[Frozen]] = {}
    for model in Frozen.__subclasses__():
        kind = model.model_fields.get("kind")
        if kind is not None and get_origin(kind.annotation) is Literal and len(get_args(kind.annotation)) == 1:
            out[get_args(kind.annotation)[0]] = model
    return out
