"""What can be asked and of what: the commands that list indices, estimators, games, removals and the schema of a spec.

Imports wait inside the commands, so that `xai-ray --help` is quick.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xai_ray.talk import print_json, print_rows

AsJson = Annotated[bool, typer.Option("--json")]


def indices(as_json: AsJson = False) -> None:
    """The indices that can be asked, with their estimators and sources."""
    from xai_ray.estimators.table import ESTIMATORS
    from xai_ray.indices import INDICES

    rows = [
        {
            "index": tag,
            "name": row.name,
            "order": row.order,
            "estimators": [name for name, e in ESTIMATORS.items() if tag in e.indices],
            "source": row.citation,
        }
        for tag, row in INDICES.items()
    ]
    print_rows(rows, as_json)


def estimators(as_json: AsJson = False) -> None:
    """The estimators, what each answers and from how many evaluations on (for 16 players)."""
    from xai_ray.closed_forms import TREES
    from xai_ray.estimators.closed_sets import CLOSED_FORM
    from xai_ray.estimators.table import ESTIMATORS
    from xai_ray.indices import READ_OUT
    from xai_ray.indices.example import example

    rows = [
        {
            "estimator": name,
            "indices": "every index" if name == "exact" else ", ".join(row.indices),
            "design": row.designs[0],
            "minimum (n = 16)": row.minimum(example(row.indices[0], 16), 16),
            "summary": row.summary,
            "source": row.source,
        }
        for name, row in ESTIMATORS.items()
    ]
    closed = {"estimator": CLOSED_FORM, "indices": ", ".join(READ_OUT), "design": "none", "minimum (n = 16)": 0}
    rows.append(
        closed | {"summary": "linear models and tree ensembles without an evaluation, exactly", "source": TREES}
    )
    print_rows(rows, as_json)


def games(as_json: AsJson = False) -> None:
    """Kinds of games, the known games with closed-form answers, players and behaviours."""
    print_rows(describe_games(), as_json)


def describe_games() -> list[dict[str, Any]]:
    """What `games` prints."""
    from xai_ray.games import BEHAVIOURS, KNOWN_GAMES, LOSSES, PLAYERS
    from xai_ray.games.sequences.answers import ANSWER_BEHAVIOURS
    from xai_ray.valuation import SCORES

    rows: list[dict[str, Any]] = [
        {
            "game": "model",
            "players": list(PLAYERS),
            "behaviours": [*BEHAVIOURS, *ANSWER_BEHAVIOURS],
            "what": "a model on one input, with players removed",
        },
        {
            "game": "loss",
            "losses": list(LOSSES),
            "what": "minus the mean loss of a model over a dataset, with players removed from every row",
        },
        {
            "game": "training",
            "scores": list(SCORES),
            "what": "the score of an estimator trained on some of the training points, or groups of them",
        },
        {"game": "table", "what": "a stored table of 2^n values (.npz, key `values`; player i is bit i)"},
    ]
    return rows + [{"game": f"known: {name}", "source": row.citation} for name, row in KNOWN_GAMES.items()]


def methods(as_json: AsJson = False) -> None:
    """The methods of data valuation that a spec names as `[value] method`, with their settings."""
    from xai_ray.valuation.methods import described_methods

    print_rows(described_methods(), as_json)


def removals(as_json: AsJson = False) -> None:
    """The removals: what stands where a player is absent."""
    from xai_ray.games import REMOVALS

    rows = [
        {"removal": tag, "players": ", ".join(row.players), "source": row.citation} for tag, row in REMOVALS.items()
    ]
    print_rows(rows, as_json)


def schema() -> None:
    """The JSON schema of a spec."""
    from xai_ray.spec import Spec

    print_json(Spec.model_json_schema())
