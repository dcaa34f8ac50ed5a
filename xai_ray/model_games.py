"""The model games of a spec: a factory or a trusted file, an input, players, removal and behaviour become one `ModelGame`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xai_ray import game_spec as s
from xai_ray import games
from xai_ray.dataset_rows import read_dataset
from xai_ray.errors import InputError, SpecError
from xai_ray.factories import imported, made
from xai_ray.games.named_columns import column_order, feature_names
from xai_ray.games.removals.filling import Removal
from xai_ray.inputs import ReadInput, read_background, read_input
from xai_ray.spec import Compute
from xai_ray.zoo.model import ZooModel


def model_game(
    game: s.ModelGameSpec,
    compute: Compute,
    seed: int,
    base: Path,
    made: ZooModel | None = None,
    digest: str | None = None,
) -> games.ModelGame | games.RowsGame:
    """Build the game, with a model that was made already if there is one, and its `digest` where that is known.

    Raises InputError and SpecError that name the key.
    """
    if compute.memory is not None:
        raise SpecError("compute.memory is for training games; a model has compute.batch")
    zoo = made_model(game.model, base) if made is None else made
    if isinstance(game.input, s.Dataset):
        return _rows_game(game, game.input, zoo, compute, seed, base)
    found = _in_order(read_input(game.input, base), zoo)
    x, picture = _model_input(found, zoo)
    behaviour = _behaviour(game.behaviour)
    built = games.ModelGame(
        zoo.model,
        x,
        players=_players(game.players, found, zoo, picture, base),
        removal=removal_of(game.removal, zoo, seed, base, found.columns or ()),
        behaviour=behaviour,
        outputs="raw" if game.behaviour.kind == "raw" else zoo.outputs,
        order=game.behaviour.order or "mean_then_behaviour",
        tokenizer=zoo.tokenizer if found.text is not None or found.passages is not None else None,
        batch=compute.batch,
        threads=compute.threads,
        device="auto",
        numerics=numerics_of(compute),
        output_names=zoo.class_names or None,
        picture=picture,
        digest=digest,
    )
    if game.behaviour.names:
        usual = zip(built.targets.tolist(), built.output_names, strict=True)
        built.output_names = tuple(game.behaviour.names.get(str(target), name) for target, name in usual)
    return built


def _rows_game(
    game: s.ModelGameSpec, source: s.Dataset, made: ZooModel, compute: Compute, seed: int, base: Path
) -> games.RowsGame:
    """All rows of a dataset."""
    if isinstance(game.players, s.Regions) and game.players.slic is not None:
        raise SpecError(
            "game.players: slic cuts each picture into other regions; a dataset takes patches, or a mask (path)"
        )
    texts = isinstance(game.players, (s.Words, s.Tokens, s.Sentences, s.Segments, s.Passages))
    if texts or source.column is not None:
        key = f"input.column = {source.column!r}" if source.column is not None else f"players: {game.players.kind}"
        raise SpecError(
            f"game.{key}: texts are a column of a table, and each has its own words: "
            'game.input = { dataset = "FILE", column = "NAME" } with players words, tokens, sentences or segments'
        )
    found = read_dataset(source, base, columns_of(made), made.preprocess)
    if made.columns and found.rows.ndim == 2 and len(made.columns) != found.rows.shape[1]:
        raise InputError(
            f"game.input has {found.rows.shape[1]} columns, the model takes {len(made.columns)} ({', '.join(made.columns[:4])}, ...)"
        )
    columns = ReadInput(columns=found.columns)
    return games.RowsGame(
        made.model,
        found.rows,
        players=_players(game.players, columns, made, None, base),
        removal=removal_of(game.removal, made, seed, base, found.columns or ()),
        behaviour=_behaviour(game.behaviour),
        outputs="raw" if game.behaviour.kind == "raw" else made.outputs,
        order=game.behaviour.order or "mean_then_behaviour",
        batch=compute.batch,
        threads=compute.threads,
        device="auto",
        numerics=numerics_of(compute),
        output_names=_class_names(made, game.behaviour),
        row_ids=found.ids,
        background_parts=source.background_parts,
    )


class Parts(NamedTuple):
    """What a game of a text is made of beside the model."""

    players: Any
    removal: Any
    behaviour: Any


def parts_of(game: s.ModelGameSpec, zoo: ZooModel) -> Parts:
    """Players, removal and behaviour of texts. Raises SpecError."""
    players = _players(game.players, ReadInput(text=""), zoo, None, Path())
    return Parts(players, removal_of(game.removal, zoo, 0, Path()), _behaviour(game.behaviour))


def numerics_of(compute: Compute) -> games.Numerics:
    """How passes are computed."""
    return games.Numerics(bool(compute.fold), compute.precision, compute.channels_last, compute.compile)


def _class_names(made: ZooModel, behaviour: s.Behaviour) -> tuple[str, ...] | None:
    names = dict(enumerate(made.class_names)) | {int(i): n for i, n in behaviour.names.items()}
    return tuple(names.get(i, f"class {i}") for i in range(max(names) + 1)) if names else None


def made_model(model: s.Factory | s.ModelFile, base: Path) -> ZooModel:
    """The model of a spec, from its factory or its trusted file. Raises InputError and SpecError."""
    return _trusted_file(model, base) if isinstance(model, s.ModelFile) else _factory(model, base)


def _factory(model: s.Factory, base: Path) -> ZooModel:
    where = f"game.model.factory = {model.factory!r}"
    found = made(imported(model.factory, base, where), model.arguments, where)
    zoo = found if isinstance(found, ZooModel) else ZooModel(found, "logits")
    if not callable(zoo.model):
        raise InputError(
            f"{where} returned {type(zoo.model).__name__}, which cannot be called; return a torch module, a callable or a ZooModel"
        )
    if model.weights is not None:
        _load_weights(zoo.model, base / model.weights)
    return zoo


def _load_weights(model: Any, path: Path) -> None:
    """A state dict without code: safetensors, or .pt through weights_only."""
    import torch

    if not isinstance(model, torch.nn.Module):
        raise SpecError("game.model.weights: weights can only be loaded into a torch module")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except FileNotFoundError:
        raise InputError(f"game.model.weights: no file at {path}") from None
    except ImportError:
        raise InputError(
            'game.model.weights: .safetensors needs the package safetensors: pip install "xai-ray[text]"'
        ) from None
    except Exception as error:
        raise InputError(f"game.model.weights: cannot load {path}: {str(error).splitlines()[0]}") from error


def _trusted_file(model: s.ModelFile, base: Path) -> ZooModel:
    path = base / model.file
    if not path.is_file():
        raise InputError(f"game.model.file: no file at {path}")
    if not model.trust:
        raise InputError(
            f"game.model.file = {model.file!r}: reading this file runs code from it; if you trust it, say trust = true. "
            "Safer: { factory = 'package.module:function', weights = 'state.safetensors' }"
        )
    try:
        if path.suffix in (".joblib", ".pkl", ".pickle"):
            import joblib

            loaded = joblib.load(path)
            call = getattr(loaded, "predict_proba", None)
            outputs = model.outputs or ("probabilities" if call else "raw")
            return ZooModel(call or loaded.predict, outputs)
        import torch

        try:
            loaded = torch.jit.load(path, map_location="cpu")
        except RuntimeError:
            loaded = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise InputError(
            f"game.model.file: cannot read the model {path}: {str(error).splitlines()[0]}; is the file whole?"
        ) from error
    if not callable(loaded):
        raise InputError(
            f"game.model.file: {path} holds {type(loaded).__name__}, not a model; state dicts go to `weights` beside a factory"
        )
    return ZooModel(loaded, model.outputs or "logits")


def columns_of(made: ZooModel) -> tuple[str, ...]:
    """Names of the columns that a model takes, in its order; none where it does not know them."""
    return tuple(made.columns or feature_names(made.model))


def _in_order(found: ReadInput, zoo: ZooModel) -> ReadInput:
    """A row of a table with its columns in the order of the model."""
    if found.row is None or found.columns is None:
        return found
    order = column_order(found.columns, columns_of(zoo), "game.input")
    if order is None:
        return found
    return replace(found, row=found.row[order], columns=tuple(found.columns[i] for i in order))


def _model_input(found: ReadInput, zoo: ZooModel) -> tuple[Any, Any]:
    """The model's input, and for images the picture that people see."""
    if found.picture is not None:
        if zoo.preprocess is not None:
            shown = zoo.picture(found.picture) if zoo.picture is not None else None
            return zoo.preprocess(found.picture), shown
        return np.ascontiguousarray(found.picture.transpose(2, 0, 1)).astype(np.float32) / 255.0, found.picture
    if found.text is not None or found.passages is not None:
        if zoo.tokenizer is None:
            raise SpecError(
                "game.input is a text, but the model came without a tokenizer; its factory must return a ZooModel with one"
            )
        return (found.text if found.passages is None else list(found.passages)), None
    if found.row is not None:
        columns = found.columns or ()
        bad = np.flatnonzero(~np.isfinite(np.asarray(found.row, dtype=np.float64)))
        if len(bad):
            name = columns[bad[0]] if columns else f"column {bad[0]}"
            raise InputError(f"game.input: {name!r} is missing or not finite; fill it in before explaining")
        return np.asarray(found.row, dtype=np.float64), None
    return found.array, None


def _players(players: Any, found: ReadInput, zoo: ZooModel, picture: Any, base: Path) -> Any:
    columns = found.columns or zoo.columns or None
    if (found.passages is not None) != isinstance(players, s.Passages):
        raise SpecError(
            'game.players: kind = "passages" and game.input = { passages = [..] } go together; a text has words, tokens, sentences or '
            "segments"
        )
    match players:
        case s.Patches():
            return games.Patches(*players.grid)
        case s.Regions():
            return games.Regions(_labels(players, picture, base))
        case s.Columns():
            return games.Columns(columns)
        case s.Groups():
            return games.ColumnGroups(players.groups, columns)
        case s.Words():
            return games.Words()
        case s.Sentences():
            return games.Sentences()
        case s.Segments():
            return games.Segments(players.separator, players.spans, players.labels, players.rest)
        case s.Passages():
            return games.Passages(players.template, players.each, players.labels)
        case _:
            return games.Tokens()


def _labels(players: s.Regions, picture: Any, base: Path) -> Any:
    if (players.path is None) == (players.slic is None):
        raise SpecError("game.players: regions need exactly one of `path` and `slic`")
    if players.path is not None:
        path = base / players.path
        try:
            if path.suffix == ".npy":
                return np.load(path, allow_pickle=False)
            from PIL import Image

            with Image.open(path) as image:
                return np.asarray(image).astype(np.int64)
        except FileNotFoundError:
            raise InputError(f"game.players.path: no label mask at {path}") from None
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"game.players.path: cannot read the label mask {path}: {error}") from None
    if picture is None:
        raise SpecError("game.players.slic needs a picture as input")
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise InputError('game.players.slic needs scikit-image: pip install "xai-ray[images]"') from None
    return np.asarray(slic(picture, n_segments=players.slic, start_label=0), dtype=np.int64)


def removal_of(removal: Any, zoo: ZooModel, seed: int, base: Path, columns: Sequence[str] = ()) -> Removal:
    """The removal of a spec; `columns` are those of the input, where they have names. Raises InputError for a background that cannot be
    read, or has other columns.
    """
    own = columns_of(zoo)
    wanted = (own, "the model takes") if own else (columns, "the input has")
    match removal:
        case s.Zeros():
            return games.Zeros()
        case s.Constant():
            return games.Constant(removal.value)
        case s.Mean():
            return games.Mean(None if removal.background is None else _rows(removal.background, zoo, base, wanted))
        case s.Blur():
            return games.Blur(removal.sigma)
        case s.MaskToken():
            return games.MaskToken()
        case s.Attention():
            return games.Attention()
        case s.Drop():
            return games.Drop(removal.replacement, removal.prefix_cache)
        case s.Marginal():
            return games.Marginal(_rows(removal.background, zoo, base, wanted), removal.samples, seed)
        case _:
            rows = _rows(removal.background, zoo, base, wanted)
            return games.Uniform(rows.min(axis=0), rows.max(axis=0), removal.samples, seed)


def _rows(background: s.Background, zoo: ZooModel, base: Path, wanted: tuple[Sequence[str], str]) -> Any:
    if background.table is None and background.sklearn is None and zoo.background is not None:
        return zoo.background
    rows, columns = read_background(background, base)
    order = column_order(columns, wanted[0], "game.removal.background", wanted[1])
    return rows if order is None else rows[:, order]


def _behaviour(behaviour: s.Behaviour) -> Any:
    asked = behaviour.kind == "answer_log_probability"
    if asked != bool(behaviour.answers) or (behaviour.per_token and not asked):
        raise SpecError('game.behaviour: kind = "answer_log_probability" and answers = ["..", ..] go together')
    if asked:
        return games.AnswerLogProbability(behaviour.answers, behaviour.per_token)
    kind = games.BEHAVIOURS[behaviour.kind]
    target = behaviour.target
    if behaviour.kind == "loss":
        if not isinstance(target, int):
            raise SpecError("game.behaviour: loss needs the label as target, a class number")
        return kind(target)
    return kind(list(target) if isinstance(target, tuple) else target)
