"""From what was asked to the game of a job, for methods of gradients; torch is imported once one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xai_ray.coalitions import Pieces
from xai_ray.errors import SpecError, UnknownName
from xai_ray.valuation import settings as s
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.choose import choose_engine
from xai_ray.valuation.data import LabelledData, one_of_each
from xai_ray.valuation.making import game_of, once
from xai_ray.valuation.network import Network
from xai_ray.valuation.one_run import logistic_influences
from xai_ray.valuation.pieces import ValuationGame


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
    return game_of(asked, "G-Shapley", (score,), data, (score,), design, source, more=more)


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
        return once(asked, "influence", "rise of the test log-loss", data, chosen, logistic_influences)
    if hasattr(asked.estimator, "get_params"):
        raise SpecError(
            f"influence needs derivatives: give LogisticRegression or a Network, got {type(asked.estimator).__name__}; or take "
            'method "loo"'
        )
    from xai_ray.valuation.network_runs import bent, directions

    _check_inverse(chosen)
    run = _network_run(asked, "influence", "rise of the test loss", chosen, bent, chosen.digest_parts())
    if chosen.rank is not None and chosen.rank >= (size := directions(asked)):
        raise SpecError(
            f"settings of method 'influence': rank = {chosen.rank} is not below the {size} parameters of the network; give a lower "
            "rank, or take inverse = 'cg', which solves with all directions"
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
    return game_of(asked, "TRAK", ("rise of the mean test margin",), data, (chosen,), design, source, more=more)


def _network_run(
    asked: Asked, tag: str, output: str, chosen: Any, compute: Any, more: Sequence[Any] = ()
) -> ValuationGame:
    network, data = asked.network(), asked.data()
    _check_batch(network, len(data.rows), "training points")
    from xai_ray.valuation.network_runs import model_parts

    return once(asked, tag, output, data, chosen, compute, [*model_parts(asked, data), *more])


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
