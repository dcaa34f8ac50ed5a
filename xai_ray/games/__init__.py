"""What is evaluated: games, and the players, removals and behaviours that turn a model and an input into one.

Importing this room imports no torch; a torch module brings it along.
"""

from xai_ray.games.answers import AnswerLogProbability
from xai_ray.games.behaviours import BEHAVIOURS, Logit, LogOdds, LogProbability, Loss, Margin, Probability, Raw
from xai_ray.games.known import KNOWN_GAMES, AirportGame, GloveGame, known_game
from xai_ray.games.loss_game import LossGame
from xai_ray.games.losses import LOSSES
from xai_ray.games.model import ModelGame
from xai_ray.games.numerics import Numerics
from xai_ray.games.players import ColumnGroups, Columns, Patches, Regions
from xai_ray.games.protocol import Game
from xai_ray.games.removals import (
    REMOVALS,
    Attention,
    Blur,
    Constant,
    Drop,
    Marginal,
    MaskToken,
    Mean,
    Uniform,
    Zeros,
)
from xai_ray.games.rows import RowsGame
from xai_ray.games.segments import Passages, Segments, Sentences
from xai_ray.games.table import TableGame
from xai_ray.games.unanimity import SumOfUnanimityGames, UnanimityGame
from xai_ray.games.variance_game import VarianceGame
from xai_ray.games.view import View
from xai_ray.games.voting import MajorityGame, WeightedVotingGame
from xai_ray.games.words import PLAYERS, Tokens, Words

__all__ = [
    "BEHAVIOURS",
    "KNOWN_GAMES",
    "LOSSES",
    "PLAYERS",
    "REMOVALS",
    "AirportGame",
    "AnswerLogProbability",
    "Attention",
    "Blur",
    "ColumnGroups",
    "Columns",
    "Constant",
    "Drop",
    "Game",
    "GloveGame",
    "LogOdds",
    "LogProbability",
    "Logit",
    "Loss",
    "LossGame",
    "MajorityGame",
    "Margin",
    "Marginal",
    "MaskToken",
    "Mean",
    "ModelGame",
    "Numerics",
    "Passages",
    "Patches",
    "Probability",
    "Raw",
    "Regions",
    "RowsGame",
    "Segments",
    "Sentences",
    "SumOfUnanimityGames",
    "TableGame",
    "Tokens",
    "UnanimityGame",
    "Uniform",
    "VarianceGame",
    "View",
    "WeightedVotingGame",
    "Words",
    "Zeros",
    "known_game",
]
