"""The games of a dataset of texts: one model, and a game for each text that is made where it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xai_ray import game_spec as s
from xai_ray import games
from xai_ray.asks import Asked, ask_of
from xai_ray.dataset_texts import is_texts, read_texts
from xai_ray.errors import InputError, SpecError, XaiRayError
from xai_ray.estimators import Ask
from xai_ray.games.arguments import arrange
from xai_ray.games.digest import fingerprint
from xai_ray.games.passes.resting import settled
from xai_ray.games.picture import show
from xai_ray.games.rows.game import PREDICTED
from xai_ray.games.tailoring import tailored
from xai_ray.games.view import View
from xai_ray.model_games import made_model, model_game, parts_of
from xai_ray.spec import AskSpec, Compute, Spec
from xai_ray.types import Coalitions, Ints, Values
from xai_ray.zoo.model import ZooModel


def holds_texts(spec: Spec) -> bool:
    """Whether a spec explains a dataset of texts."""
    return isinstance(spec.game, s.ModelGameSpec) and is_texts(spec.game.input)


@dataclass(frozen=True)
class Sized:
    """A text that is laid out."""

    n_players: int
    view: View


@dataclass
class TextGames:
    """R texts. What is said of all of them is of the first."""

    spec: s.ModelGameSpec
    ask: tuple[AskSpec, ...]
    zoo: ZooModel
    compute: Compute
    seed: int
    texts: tuple[str, ...]
    start: int
    """Number of the first in its file."""
    ids: tuple[str, ...] | None
    halvings: int = 0
    first: games.ModelGame = field(init=False, repr=False)
    """Of the first text, to whose batch all keep."""
    sizes: dict[str, list[tuple[int, int]]] = field(
        default_factory=dict[str, list[tuple[int, int]]], init=False, repr=False, compare=False
    )
    """Players and evaluations of each text by budget and seed, once they are known."""
    _there: Any = field(default=None, init=False, repr=False)

    @classmethod
    def read(
        cls, spec: s.ModelGameSpec, ask: tuple[AskSpec, ...], compute: Compute, seed: int, base: Path
    ) -> TextGames:
        """Reads texts and model. Raises InputError and SpecError that name the key, or the row."""
        assert isinstance(spec.input, s.Dataset)
        found = read_texts(spec.input, base)
        # Texts need neither, and workers would have to find what they are made of.
        zoo = replace(made_model(spec.model, base), preprocess=None, picture=None)
        self = cls(spec, ask, zoo, compute, seed, found.texts, found.first, found.ids)
        try:
            self.first = self._made(0, zoo, None)
        except XaiRayError as error:
            # Of the errors of a spec only those of an input are the text's own; the others every text would raise.
            if isinstance(error, SpecError) and not isinstance(error, InputError):
                raise
            raise type(error)(f"{self.name(0)}: {error}") from error
        self.compute = compute.model_copy(update={"batch": self.first.batch})
        return self

    @property
    def n_inputs(self) -> int:
        """R."""
        return len(self.texts)

    @property
    def n_players(self) -> int:
        """None that texts share."""
        return 0

    @property
    def player_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def n_outputs(self) -> int:
        """k."""
        return self.first.n_outputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """k names."""
        own = getattr(parts_of(self.spec, self.zoo).behaviour, "target", None) == "predicted"
        return (PREDICTED,) if own else tuple(self.first.output_names)

    @property
    def texts_digest(self) -> str:
        """Hexadecimal digest of the texts alone."""
        return fingerprint([str(len(self.texts)), *self.texts])

    @property
    def digest(self) -> str:
        """Of texts and their names, model, players, removal and behaviour, and of what is asked of each text."""
        # The first text's digest holds its own layout alone, and players of another kind may lay it out alike.
        players = self.spec.players.model_dump_json()
        asked = [ask.model_dump_json(exclude_defaults=True) for ask in self.ask]
        named = ["named", *self.ids] if self.ids is not None else ["numbered"]
        return fingerprint([self.first.digest, self.texts_digest, players, str(self.start), *asked, *named])

    @property
    def stochastic(self) -> bool:
        """Whether values depend on contexts."""
        return self.first.stochastic

    @property
    def block(self) -> int:
        """Coalitions per batch."""
        return self.first.block

    @property
    def batch(self) -> int:
        """Model rows of a forward pass."""
        return self.first.batch

    @property
    def threads(self) -> int:
        """Threads of a forward pass."""
        return self.first.threads

    @property
    def numerics(self) -> games.Numerics:
        """How a forward pass is computed."""
        return self.first.numerics

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Raises SpecError: there is a game for each text."""
        raise SpecError("a dataset of texts has a game for each text: `xai-ray run` or `submit` explains them all")

    def name(self, at: int) -> str:
        """How messages call a text."""
        return f"row {self.start + at}" + ("" if self.ids is None else f" ({self.ids[at]})")

    @property
    def asks(self) -> tuple[Ask, ...]:
        """What is asked, without what each text has of its own: sizes and pairs of players."""
        own = [self.asked(self.first, i) for i in range(len(self.ask))]
        return tuple(
            Ask(replace(one.question, contexts=None, pairs=None, groups=None, players=None), one.estimator)
            for one in own
        )

    def asks_of(self, game: Asked) -> tuple[Ask, ...]:
        """What is asked of a text."""
        return tuple(self.asked(game, i) for i in range(len(self.ask)))

    def asked(self, game: Asked, number: int) -> Ask:
        """One of the questions. Raises SpecError for players by name."""
        if any(isinstance(player, str) for player in self.ask[number].players or ()):
            raise SpecError(
                f"ask[{number}].players: each text has players of its own; give numbers, as [0, 1] for the first two of each"
            )
        return ask_of(self.ask[number], number, game)

    def sized(self, at: int) -> Sized:
        """The players of a text, without the model. Raises InputError for one that is longer than the model takes."""
        made = parts_of(self.spec, self.zoo)
        arguments = arrange(self.texts[at], made.players, self.zoo.tokenizer)
        if not getattr(made.removal, "prefix_cache", False):
            tailored(self.zoo.model, arguments, made.removal, made.behaviour, self.zoo.tokenizer)
        names = arguments.player_names
        return Sized(len(names), show(arguments, names, None))

    def game(self, at: int) -> games.ModelGame:
        """The game of a text; its digest is not that of the model, which is read once for all."""
        if self._there is None:
            self._there = replace(self.zoo, model=settled(self.zoo.model, "auto"))
        game = self._made(at, self._there, "")
        for _ in range(self.halvings):
            game = game.halved() or game
        if game.n_outputs != self.first.n_outputs:
            raise SpecError(
                f"it has {game.n_outputs} outputs, the first text has {self.first.n_outputs}; give [game.behaviour] a target"
            )
        return game

    def halved(self) -> TextGames | None:
        """With half the batch."""
        if self.batch >> self.halvings < 2:
            return None
        other = replace(self, halvings=self.halvings + 1)
        other.first, other._there = self.first, self._there
        return other

    def _made(self, at: int, zoo: ZooModel, digest: str | None) -> games.ModelGame:
        own = self.spec.model_copy(update={"input": s.Text(text=self.texts[at])})
        made = model_game(own, self.compute, self.seed, Path(), zoo, digest)
        assert isinstance(made, games.ModelGame)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_there": None, "sizes": {}}
