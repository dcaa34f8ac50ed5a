"""From what was asked to the game of a job, for each method without coalitions of an index: checks first, work in the workers."""

from __future__ import annotations

from typing import Any

from xai_ray.coalitions import Pieces
from xai_ray.errors import SpecError
from xai_ray.indices import Question
from xai_ray.valuation import settings as s
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.banzhaf_pieces import BanzhafPieces
from xai_ray.valuation.bootstrap_pieces import BootstrapPieces, bootstrap_pieces
from xai_ray.valuation.choose import choose_engine, classifies
from xai_ray.valuation.data import LabelledData, NumericData, labelled, numeric
from xai_ray.valuation.data_oob import OutOfBag
from xai_ray.valuation.distributional_pieces import DistributionalPieces
from xai_ray.valuation.knn import NeighbourValues, ThresholdValues
from xai_ray.valuation.left_out_pieces import LeftOutPieces, left_out_design
from xai_ray.valuation.neighbour_pieces import NeighbourPieces, test_point_pieces
from xai_ray.valuation.one_run import OneRun, transported
from xai_ray.valuation.permutation_pieces import CLASS_BLOCK, ClassWisePieces, TruncatedPieces
from xai_ray.valuation.pieces import Source, ValuationGame
from xai_ray.valuation.training_game import TrainingGame


def neighbour_votes(asked: Asked, chosen: s.NeighbourSettings) -> ValuationGame:
    """KNN-Shapley, hard or soft."""
    k = _plain_neighbours(asked, "KNeighborsClassifier", "n_neighbors")
    data = asked.labelled()
    soft = chosen.utility == "soft"
    source = NeighbourPieces(
        NeighbourValues(data, k, chosen.utility), asked.seed, 1 / len(data.classes) if soft else 0.0
    )
    return game_of(asked, "SV", ("right votes",), data, (chosen, k), test_point_pieces(data), source)


def near_votes(asked: Asked, chosen: s.Nothing) -> ValuationGame:
    """Threshold KNN-Shapley."""
    radius = _plain_neighbours(asked, "RadiusNeighborsClassifier", "radius")
    data = asked.labelled()
    source = NeighbourPieces(ThresholdValues(data, float(radius)), asked.seed, 1 / len(data.classes))
    return game_of(asked, "SV", ("right votes",), data, (radius,), test_point_pieces(data), source)


def bootstraps(asked: Asked, chosen: s.BootstrapSettings) -> ValuationGame:
    """Data-OOB."""
    own = (asked.X, asked.y)
    data = labelled(*own, *own) if classifies(asked.estimator) else numeric(*own, *own)
    bags = OutOfBag(asked.estimator, data, draws=chosen.draws, seed=asked.seed, refit=asked.refit)
    output = "accuracy out of bag" if isinstance(data, LabelledData) else "minus squared error out of bag"
    design = bootstrap_pieces(bags)
    return game_of(asked, "Data-OOB", (output,), data, (bags.draws, bags.engine), design, BootstrapPieces(bags))


def class_permutations(asked: Asked, chosen: s.Nothing) -> ValuationGame:
    """Class-wise Shapley values."""
    data = asked.labelled()
    engine = choose_engine(asked.estimator, data, probabilities=False, refit=asked.refit)
    design = Pieces(len(data.rows), 1, "mean", CLASS_BLOCK)
    source = ClassWisePieces(engine, data, asked.seed)
    return game_of(asked, "CS-Shapley", ("in class x exp(out of class)",), data, (engine.name,), design, source)


def truncated(asked: Asked, chosen: s.TruncationSettings) -> ValuationGame:
    """Truncated Monte Carlo Data Shapley."""
    game = asked.game()
    source = TruncatedPieces(game, chosen, asked.seed)
    design = Pieces(game.n_players, game.n_outputs, "mean", source.block)
    return _scored(asked, "SV", game, (chosen, game.digest), design, source)


def distributional(asked: Asked, chosen: s.DistributionalSettings) -> ValuationGame:
    """Distributional Shapley values."""
    game = asked.game()
    source = DistributionalPieces(game, chosen.cardinality, asked.seed)
    return _scored(asked, "D-Shapley", game, (source.cardinality, game.digest), source.design, source)


def one_pass_banzhaf(asked: Asked, chosen: s.BanzhafSettings) -> ValuationGame:
    """Data Banzhaf, or weighted, without keeping scores."""
    game = asked.game()
    source = BanzhafPieces(game, chosen.p, asked.seed)
    tag = "BV" if chosen.p == 0.5 else "WBV"
    return _scored(asked, tag, game, (chosen, game.digest), source.design, source, None if tag == "BV" else chosen.p)


def leave_one_out(asked: Asked, chosen: s.Nothing) -> ValuationGame:
    """Leave-one-out by retraining."""
    game = asked.game()
    return _scored(asked, "LOO", game, (game.digest,), left_out_design(game), LeftOutPieces(game))


def transport(asked: Asked, chosen: s.LavaSettings) -> ValuationGame:
    """LAVA."""
    if asked.estimator is not None:
        raise SpecError(f"lava trains nothing: leave the estimator out (None), got {type(asked.estimator).__name__}")
    return once(asked, "LAVA", "fall of the transport distance", asked.labelled(), chosen, transported)


def once(asked: Asked, tag: str, output: str, data: Any, chosen: Any, compute: Any, more: Any = ()) -> ValuationGame:
    """A computation of one piece."""
    design = Pieces(len(data.rows), 1, "answer", 1, 1)
    return game_of(asked, tag, (output,), data, (chosen,), design, OneRun(compute, asked, chosen), more=more)


def _plain_neighbours(asked: Asked, wanted: str, parameter: str) -> Any:
    """The parameter of a classifier by votes that count alike, at Euclidean distance. Raises SpecError."""
    name, module = type(asked.estimator).__name__, type(asked.estimator).__module__
    if name != wanted or not module.startswith("sklearn."):
        raise SpecError(
            f"{asked.method} values points for a {wanted}, got {name}; give {wanted}({5 if parameter == 'n_neighbors' else 1.0}), on "
            "features of the model if there are better ones than X"
        )
    p = asked.estimator.get_params()
    if p["weights"] != "uniform" or not (p["metric"] == "euclidean" or (p["metric"] == "minkowski" and p["p"] == 2)):
        raise SpecError(
            f"{asked.method} has a closed form for votes that count alike, at Euclidean distance: leave weights, metric and p out, or "
            'take method "shapley"'
        )
    return p[parameter]


def game_of(
    asked: Asked,
    tag: str,
    outputs: tuple[str, ...],
    data: LabelledData | NumericData | None,
    chosen: tuple[Any, ...],
    design: Pieces,
    source: Source,
    players: tuple[str, ...] | None = None,
    more: Any = (),
    p: float | None = None,
) -> ValuationGame:
    """Of points, or of `players`; `chosen` and `more` go into the digest beside what was asked."""
    names = asked.point_names(design.n_players) if players is None else players
    digest = asked.digest(data, chosen, more)
    question = Question(tag, order=1, p=p)
    return ValuationGame(asked.method, question, names, outputs, digest, design, source, asked.threads)


def _scored(
    asked: Asked,
    tag: str,
    game: TrainingGame,
    chosen: tuple[Any, ...],
    design: Pieces,
    source: Source,
    p: float | None = None,
) -> ValuationGame:
    """Of players and scores of a game, whose digest is among what was chosen."""
    return game_of(asked, tag, game.output_names, None, chosen, design, source, game.player_names, p=p)
