"""What is drawn: designs, their draws and units, and the keyed randomness behind them. Pure functions of the seed; no state."""

from xai_ray.coalitions.cubes import Cubes
from xai_ray.coalitions.describe import from_description
from xai_ray.coalitions.design import Design, Draw, Unit
from xai_ray.coalitions.each_input import EachInput
from xai_ray.coalitions.exhaustive import Exhaustive
from xai_ray.coalitions.paired_contexts import PairedContexts
from xai_ray.coalitions.permutations import Permutations
from xai_ray.coalitions.pieces import Pieces
from xai_ray.coalitions.player_contexts import PlayerContexts
from xai_ray.coalitions.row_blocks import RowBlocks
from xai_ray.coalitions.stars import Stars
from xai_ray.coalitions.strata import Strata

__all__ = [
    "Cubes",
    "Design",
    "Draw",
    "EachInput",
    "Exhaustive",
    "PairedContexts",
    "Permutations",
    "Pieces",
    "PlayerContexts",
    "RowBlocks",
    "Stars",
    "Strata",
    "Unit",
    "from_description",
]
