"""From what was asked to the game of a job, for each method without coalitions of an index: checks first, work in the workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xai_ray.coalitions import Pieces
from xai_ray.errors import SpecError, UnknownName
from xai_ray.indices import Question
from xai_ray.valuation import settings as s
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.banzhaf_pieces import BanzhafPieces
from xai_ray.valuation.bootstrap_pieces import BootstrapPieces, bootstrap_pieces
from xai_ray.valuation.choose import choose_engine, classifies
from xai_ray.valuation.data import LabelledData, NumericData, labelled, numeric, one_of_each
from xai_ray.valuation.data_oob import OutOfBag
from xai_ray.valuation.distributional_pieces import DistributionalPieces
from xai_ray.valuation.knn import NeighbourValues, ThresholdValues
from xai_ray.valuation.left_out_pieces import LeftOutPieces, left_out_design
from xai_ray.valuation.neighbour_pieces import NeighbourPieces, test_point_pieces
from xai_ray.valuation.network import Network
from xai_ray.valuation.one_run import OneRun, logistic_influences, transported
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
    return _game(asked, "SV", ("right votes",), data, (chosen, k), test_point_pieces(data), source)


def near_votes(asked: Asked, chosen: s.Nothing) -> ValuationGame:
    """Threshold KNN-Shapley."""
    radius = _plain_neighbours(asked, "RadiusNeighborsClassifier", "radius")
    data = asked.labelled()
    source = NeighbourPieces(ThresholdValues(data, float(radius)), asked.seed, 1 / len(data.classes))
    return _game(asked, "SV", ("right votes",), data, (radius,), test_point_pieces(data), source)


def bootstraps(asked: Asked, chosen: s.BootstrapSettings) -> ValuationGame:
    """Data-OOB."""
    own = (asked.X, asked.y)
    data = labelled(*own, *own) if classifies(asked.estimator) else numeric(*own, *own)
    bags = OutOfBag(asked.estimator, data, draws=chosen.draws, seed=asked.seed, refit=asked.refit)
    output = "accuracy out of bag" if isinstance(data, LabelledData) else "minus squared error out of bag"
    design = bootstrap_pieces(bags)
    return _game(asked, "Data-OOB", (output,), data, (bags.draws, bags.engine), design, BootstrapPieces(bags))


def class_permutations(asked: Asked, chosen: s.Nothing) -> ValuationGame:
    """Class-wise Shapley values."""
    data = asked.labelled()
    engine = choose_engine(asked.estimator, data, probabilities=False, refit=asked.refit)
    design = Pieces(len(data.rows), 1, "mean", CLASS_BLOCK)
    source = ClassWisePieces(engine, data, asked.seed)
    return _game(asked, "CS-Shapley", ("in class x exp(out of class)",), data, (engine.name,), design, source)


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


def gradient_passes(asked: Asked, chosen: s.Nothing) -> ValuationGame:
    """G-Shapley."""
    from xai_ray.valuation.network_runs import LANES, SCORES, GradientPieces, model_parts

    network, data = asked.network(), asked.data()
    usual = "accuracy" if isinstance(data, LabelledData) else "neg_mean_squared_error"
    able = [name for name in SCORES if (name == "neg_mean_squared_error") != isinstance(data, LabelledData)]
    scores = asked.scores or (usual,)
    if len(scores) != 1 or scores[0] not in able:
        if len(scores) == 1 and isinstance(scores[0], str):
            raise UnknownName("score", scores[0], able, f"gradient_shapley of a {network.kind}")
        raise SpecError(f"gradient_shapley takes one score by its name, of {', '.join(able)}")
    score = str(scores[0])
    design = Pieces(len(data.rows), 1, "mean", LANES)
    more = model_parts(asked, data)
    source = GradientPieces(asked, score)
    return _game(asked, "G-Shapley", (score,), data, (score,), design, source, more=more)


def leave_one_out(asked: Asked, chosen: s.Nothing) -> ValuationGame:
    """Leave-one-out by retraining."""
    game = asked.game()
    return _scored(asked, "LOO", game, (game.digest,), left_out_design(game), LeftOutPieces(game))


def influence(asked: Asked, chosen: s.InfluenceSettings) -> ValuationGame:
    """Influence functions of a logistic regression or a network."""
    from sklearn.linear_model import LogisticRegression

    if type(asked.estimator) is LogisticRegression:
        if chosen.inverse != "cg":
            raise SpecError(
                f"settings of method 'influence': inverse = {chosen.inverse!r} is for a Network; influence on a LogisticRegression is a "
                "closed form: leave inverse out"
            )
        _check_inverse(chosen)
        data = asked.labelled()
        choose_engine(asked.estimator, one_of_each(data), probabilities=False, refit=False)
        if asked.estimator.get_params()["class_weight"] is not None:
            raise SpecError('influence takes no class_weight; leave it out, or take method "loo"')
        return _once(asked, "influence", "rise of the test log-loss", data, chosen, logistic_influences)
    if hasattr(asked.estimator, "get_params"):
        raise SpecError(
            f"influence needs derivatives: give LogisticRegression or a Network, got {type(asked.estimator).__name__}; or take "
            'method "loo"'
        )
    from xai_ray.valuation.network_runs import bent

    _check_inverse(chosen)
    run = _network_run(asked, "influence", "rise of the test loss", chosen, bent, chosen.digest_parts())
    if chosen.rank is not None:
        from xai_ray.valuation.network_runs import directions

        if chosen.rank >= (size := directions(asked)):
            raise SpecError(
                f"settings of method 'influence': rank = {chosen.rank} is not below the {size} parameters of the network; give a lower rank, "
                "or take inverse = 'cg', which solves with all directions"
            )
    return run


def in_run(asked: Asked, chosen: s.InRunSettings) -> ValuationGame:
    """In-Run Data Shapley."""
    asked.network()
    from xai_ray.valuation.network_runs import in_run as run

    return _network_run(asked, "In-Run", "fall of the test loss", chosen, run)


def tracin(asked: Asked, chosen: s.TracinSettings) -> ValuationGame:
    """TracInCP."""
    asked.network()
    from xai_ray.valuation.network_runs import traced

    return _network_run(asked, "TracIn", "fall of the test loss", chosen, traced)


def trak(asked: Asked, chosen: s.TrakSettings) -> ValuationGame:
    """TRAK over checkpoints that are trained on random parts of the points."""
    network = asked.network()
    if network.kind != "classifier":
        raise SpecError(
            "trak follows margins of classes: give a Network of kind 'classifier', or take method \"tracin\""
        )
    data = asked.data()
    from xai_ray.valuation.network_runs import model_parts
    from xai_ray.valuation.trak_pieces import TrakPieces, part_size

    _check_batch(
        network, part_size(len(data.rows), chosen.fraction), f"points of a checkpoint (fraction = {chosen.fraction:g})"
    )
    design = Pieces(len(data.rows), 1, "product", 1)
    source, more = TrakPieces(asked, chosen), model_parts(asked, data)
    return _game(asked, "TRAK", ("rise of the mean test margin",), data, (chosen,), design, source, more=more)


def transport(asked: Asked, chosen: s.LavaSettings) -> ValuationGame:
    """LAVA."""
    if asked.estimator is not None:
        raise SpecError(f"lava trains nothing: leave the estimator out (None), got {type(asked.estimator).__name__}")
    return _once(asked, "LAVA", "fall of the transport distance", asked.labelled(), chosen, transported)


def _once(asked: Asked, tag: str, output: str, data: Any, chosen: Any, compute: Any, more: Any = ()) -> ValuationGame:
    design = Pieces(len(data.rows), 1, "answer", 1, 1)
    return _game(asked, tag, (output,), data, (chosen,), design, OneRun(compute, asked, chosen), more=more)


def _network_run(
    asked: Asked, tag: str, output: str, chosen: Any, compute: Any, more: Sequence[Any] = ()
) -> ValuationGame:
    network, data = asked.network(), asked.data()
    _check_batch(network, len(data.rows), "training points")
    from xai_ray.valuation.network_runs import model_parts

    return _once(asked, tag, output, data, chosen, compute, [*model_parts(asked, data), *more])


def _check_batch(network: Network, points: int, what: str) -> None:
    if network.batch is not None and network.batch > points:
        raise SpecError(
            f"batch = {network.batch} of the network is larger than the {points} {what}; give at most as many"
        )


def _check_inverse(chosen: s.InfluenceSettings) -> None:
    """Raise SpecError for a setting of another inverse than the chosen one, and for LiSSA without a scale."""
    owners = {"rank": "arnoldi", "scale": "lissa", "depth": "lissa", "repeats": "lissa"}
    for name, owner in owners.items():
        if getattr(chosen, name) is not None and chosen.inverse != owner:
            raise SpecError(
                f"settings of method 'influence': {name} is of inverse = {owner!r}, got inverse = {chosen.inverse!r}; leave {name} out"
            )
    if chosen.inverse == "lissa" and chosen.scale is None:
        raise SpecError(
            "settings of method 'influence': inverse = 'lissa' needs scale, at least the largest eigenvalue of the damped Hessian of any "
            "32 points; too small a scale diverges and says so"
        )


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


def _game(
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
    return _game(asked, tag, game.output_names, None, chosen, design, source, game.player_names, p=p)
