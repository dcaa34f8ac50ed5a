"""What is evaluated: games, and the players, removals and behaviours that turn a model and an input into one.

Importing this room imports no torch; a torch module brings it along.
"""

from xai_ray.games.behaviours import BEHAVIOURS, Logit, LogOdds, LogProbability, Loss, Margin, Probability, Raw
from xai_ray.games.known.named import KNOWN_GAMES, AirportGame, GloveGame, known_game
from xai_ray.games.known.unanimity import SumOfUnanimityGames, UnanimityGame
from xai_ray.games.known.voting import MajorityGame, WeightedVotingGame
from xai_ray.games.labelled.loss_game import LossGame
from xai_ray.games.labelled.losses import LOSSES
from xai_ray.games.labelled.variance_game import VarianceGame
from xai_ray.games.model import ModelGame
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.players.arrays import ColumnGroups, Columns, Patches, Regions
from xai_ray.games.players.segments import Passages, Segments, Sentences
from xai_ray.games.players.words import PLAYERS, Tokens, Words
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
from xai_ray.games.rows.game import RowsGame
from xai_ray.games.sequences.answers import AnswerLogProbability
from xai_ray.games.table import TableGame
from xai_ray.games.view import View

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
