"""Designs from their descriptions: the inverse of `Design.describe`."""

from __future__ import annotations

from typing import Any

from xai_ray.coalitions.cubes import Cubes
from xai_ray.coalitions.design import Design
from xai_ray.coalitions.each_input import EachInput
from xai_ray.coalitions.exhaustive import Exhaustive
from xai_ray.coalitions.owen_orders import OwenOrders
from xai_ray.coalitions.paired_contexts import PairedContexts
from xai_ray.coalitions.permutations import Permutations
from xai_ray.coalitions.pieces import Pieces
from xai_ray.coalitions.player_contexts import PlayerContexts
from xai_ray.coalitions.row_blocks import RowBlocks
from xai_ray.coalitions.run_contexts import RunContexts
from xai_ray.coalitions.stars import Stars
from xai_ray.coalitions.strata import Strata
from xai_ray.errors import UnknownName


def from_description(description: dict[str, Any]) -> Design:
    """Rebuild a design from its JSON object."""
    arguments: dict[str, Any] = {key: value for key, value in description.items() if key != "kind"}
    match description.get("kind"):
        case "each":
            return EachInput(**arguments)
        case "exhaustive":
            return Exhaustive(**arguments)
        case "permutations":
            return Permutations(**arguments)
        case "owen_orders":
            arguments["levels"] = tuple(tuple(level) for level in arguments["levels"])
            return OwenOrders(**arguments)
        case "pieces":
            return Pieces(**arguments)
        case "player_contexts":
            given = arguments["players"]
            arguments["law"], arguments["players"] = tuple(arguments["law"]), None if given is None else tuple(given)
            return PlayerContexts(**arguments)
        case "run_contexts":
            arguments["members"] = tuple(arguments["members"])
            return RunContexts(**arguments)
        case "rows":
            arguments["each"] = from_description(arguments["each"])
            return RowBlocks(**arguments)
        case "strata":
            arguments["law"] = tuple(arguments["law"])
            return Strata(**arguments)
        case "paired":
            return PairedContexts(**_in_rounds(arguments))
        case "stars":
            return Stars(**_in_rounds(arguments))
        case "cubes":
            return Cubes(**_in_rounds(arguments))
        case kind:
            raise UnknownName("design", str(kind), KINDS)


KINDS = (
    "cubes",
    "each",
    "exhaustive",
    "owen_orders",
    "paired",
    "permutations",
    "pieces",
    "player_contexts",
    "rows",
    "run_contexts",
    "stars",
    "strata",
)
"""Kinds of design."""


def _in_rounds(arguments: dict[str, Any]) -> dict[str, Any]:
    pairs = arguments["pairs"]
    return arguments | {
        "contexts": tuple(arguments["contexts"]),
        "law": tuple(arguments["law"]),
        "pairs": None if pairs is None else tuple((int(i), int(j)) for i, j in pairs),
    }
