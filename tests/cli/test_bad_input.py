"""Bad input gets a clear error: an exit code, the words a user needs, no traceback, and nothing is lost."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.runs import Cli, refused, written
from xai_ray.errors import SpecError
from xai_ray.estimators.table import ESTIMATORS
from xai_ray.indices import Question, resolve
from xai_ray.spec import parse

Change = Callable[[dict[str, Any]], object]


def model() -> dict[str, Any]:
    """Four columns of a linear model; every part of it can be bent."""
    return {
        "game": {
            "kind": "model",
            "model": {"factory": "tests.cli.bad_models:linear"},
            "input": {"table": "rows.csv", "row": 0},
            "players": {"kind": "columns"},
            "removal": {"kind": "zeros"},
            "behaviour": {"kind": "raw", "target": 0},
        },
        "ask": [{"index": "SV"}],
        "budget": {"evaluations": 16},
    }


def game(**parts: Any) -> Change:
    return lambda spec: spec["game"].update(parts)


def ask(**parts: Any) -> Change:
    return lambda spec: spec["ask"][0].update(parts)


def top(**parts: Any) -> Change:
    return lambda spec: spec.update(parts)


def factory(name: str, **arguments: Any) -> Change:
    return game(model={"factory": f"tests.cli.bad_models:{name}", "arguments": arguments})


def marginal(**background: Any) -> Change:
    return game(removal={"kind": "marginal", "background": background})


def groups(**named: list[str]) -> Change:
    return game(players={"kind": "groups", "groups": named})


def photograph(**parts: Any) -> Change:
    image = {"input": "photo.png", "players": {"kind": "patches", "grid": [2, 2]}, "removal": {"kind": "mean"}}
    return game(**image | parts)


NEED = ESTIMATORS["leverage"].minimum(resolve(Question("SV"), 4), 4)


def exact_by_name(spec: dict[str, Any]) -> None:
    spec["ask"] = [{"index": "SV", "estimator": "exact"}]
    spec["budget"]["evaluations"] = 15


MODEL_MISTAKES: list[tuple[str, Change, int, list[str]]] = [
    # Keys: the path and the nearest name.
    ("top key", top(sead=1), 2, ["sead: unknown key", "did you mean 'seed'"]),
    ("game key", game(playrs=1), 2, ["game.playrs: unknown key", "did you mean 'players'"]),
    ("deep key", game(removal={"kind": "blur", "sgma": 1}), 2, ["game.removal.sgma", "did you mean 'sigma'"]),
    ("budget key", top(budget={"evalutions": 9}), 2, ["budget.evalutions", "did you mean 'evaluations'"]),
    ("ask key", ask(oder=2), 2, ["ask[0].oder", "did you mean 'order'"]),
    ("missing key", lambda s: s["game"].pop("players"), 2, ["game.players: this key is needed"]),
    ("kind", game(removal={"kind": "blurr"}), 2, ["game.removal.kind", "did you mean 'blur'"]),
    ("index", ask(index="SVV"), 2, ["ask[0].index", "did you mean 'SV'"]),
    ("estimator", ask(estimator="levrage"), 2, ["ask[0].estimator", "did you mean 'leverage'"]),
    # Questions.
    ("wrong estimator", ask(index="SII", estimator="leverage"), 2, ["does not answer SII", "'cells'"]),
    (
        "budget below minimum",
        top(budget={"evaluations": 5}),
        2,
        ["budget of 5 evaluations", f"at least {NEED}", "4 players"],
    ),
    ("budget of one", top(budget={"evaluations": 1}), 2, ["budget of 1", "at least 2"]),
    ("exact by name", exact_by_name, 2, ['evaluations = "exact"', "2^4 = 16"]),
    # Images, models, tables.
    ("no picture", photograph(input="none.png"), 2, ["no picture at", "none.png"]),
    ("torn picture", photograph(input="torn.png"), 2, ["cannot read the picture", "torn.png", "whole"]),
    ("text as picture", photograph(input="text.png"), 2, ["cannot read the picture", "text.png"]),
    ("picture name", photograph(input="skimage:chelsee"), 2, ["did you mean 'chelsea'"]),
    ("input ending", game(input="rows.xyz"), 2, ["rows.xyz", "unknown ending"]),
    ("no model file", game(model={"file": "none.pt", "trust": True}), 2, ["game.model.file", "none.pt"]),
    ("untrusted file", game(model={"file": "torn.pt"}), 2, ["trust = true", "torn.pt"]),
    ("torn model file", game(model={"file": "torn.pt", "trust": True}), 2, ["cannot read the model", "torn.pt"]),
    ("no module", game(model={"factory": "no_such_module:make"}), 2, ["cannot import 'no_such_module'"]),
    ("no function", factory("liner"), 2, ["has no 'liner'", "linear"]),
    ("factory argument", factory("linear", depth=3), 2, ["game.model.factory", "depth"]),
    ("factory raises", factory("fails"), 2, ["game.model.factory", "OSError: no licence"]),
    ("factory of nothing", factory("nothing"), 2, ["returned NoneType", "cannot be called"]),
    (
        "no weights",
        game(model={"factory": "tests.cli.bad_models:linear", "weights": "none.pt"}),
        2,
        ["weights", "none.pt"],
    ),
    (
        "torn weights",
        game(model={"factory": "tests.cli.bad_models:linear", "weights": "torn.pt"}),
        2,
        ["weights", "cannot load"],
    ),
    ("no table", game(input={"table": "none.csv", "row": 0}), 2, ["no table at", "none.csv"]),
    ("torn table", game(input={"table": "torn.parquet", "row": 0}), 2, ["cannot read the table", "torn.parquet"]),
    ("row", game(input={"table": "rows.csv", "row": 7}), 2, ["game.input.row = 7", "rows 0..1"]),
    (
        "text column",
        game(input={"table": "named.csv", "row": 0}),
        2,
        ["'name' does not hold numbers", 'drop = ["name"]'.replace('"', "'")],
    ),
    ("missing cell", game(input={"table": "holes.csv", "row": 0}), 2, ["'b' is missing or not finite"]),
    # The model's answers.
    ("nan", factory("bent", how="nan"), 1, ["unit [", "is nan", "players {0, 2} of 4"]),
    ("inf", factory("bent", how="inf"), 1, ["unit [", "is inf", "players {0, 2} of 4"]),
    ("scalar output", factory("bent", how="flat"), 1, ["shape (rows, outputs), got ()"]),
    ("cube output", factory("bent", how="cube"), 1, ["shape (rows, outputs)", "(2, 3, 1)"]),
    ("rows lost", factory("bent", how="rows"), 1, ["1 rows for a batch of 2"]),
    ("text output", factory("bent", how="text"), 1, ["array of real numbers", "<U6"]),
    ("model raises", factory("bent", how="raises"), 1, ["the model failed", "ValueError: the weights are odd"]),
    ("columns of another model", game(input={"table": "wide.csv", "row": 0}), 1, ["the model failed", "(2, 6)"]),
    ("target", game(behaviour={"kind": "raw", "target": 9}), 2, ["target 9 is out of range", "3 outputs"]),
    ("targets", game(behaviour={"kind": "raw", "target": [0, 3]}), 2, ["target 3 is out of range"]),
    ("no targets", game(behaviour={"kind": "raw", "target": []}), 2, ["empty list"]),
    # Players and backgrounds.
    ("group misses", groups(one=["a", "b"]), 2, ["2 columns are in no group", "c, d"]),
    ("group twice", groups(one=["a", "b"], two=["b", "c", "d"]), 2, ["'b' is twice"]),
    ("group unknown", groups(one=["a", "b", "c", "d", "e"]), 2, ["no column 'e'"]),
    ("group empty", groups(one=["a", "b", "c", "d"], two=[]), 2, ["'two' is empty"]),
    ("zero players", groups(), 2, ["no players"]),
    (
        "mask that does not cover",
        photograph(players={"kind": "regions", "path": "mask.npy"}),
        2,
        ["shape (4, 4)", "8 x 8 pixels"],
    ),
    ("patches of a row", game(players={"kind": "patches", "grid": [2, 2]}), 2, ["Patches", "(4,)"]),
    ("more patches than pixels", photograph(players={"kind": "patches", "grid": [99, 1]}), 2, ["99"]),
    ("empty background", marginal(table="rows.csv", rows="5:9"), 2, ["no rows are left", "'5:9'"]),
    ("header only background", marginal(table="header.csv"), 2, ["header.csv"]),
    (
        "background of another shape",
        marginal(table="wide.csv"),
        2,
        ["game.removal.background", "the input has 4 columns, a, b, c, d; column 'e' is none of them", "drop"],
    ),
    ("background with a hole", marginal(table="holes.csv"), 2, ["background", "finite"]),
    ("no background", marginal(), 2, ["exactly one of `table` and `sklearn`"]),
    # Mistakes that nobody named.
    (
        "infinite precision",
        top(budget={"evaluations": 16, "std_error": float("inf")}),
        2,
        ["budget.std_error", "finite"],
    ),
    ("nan parameter", game(removal={"kind": "constant", "value": float("nan")}), 2, ["game.removal.value", "finite"]),
    ("threads", top(compute={"threads": 10**6}), 2, ["compute.threads", "256"]),
    ("batch", top(compute={"batch": 10**12}), 2, ["compute.batch", "1048576"]),
    ("seed", top(seed=2**64), 2, ["seed"]),
    ("name", top(name="../up"), 2, ["name", "../up"]),
    ("no question", top(ask=[]), 2, ["ask"]),
    ("a table where a list is", top(ask={"index": "SV"}), 2, ["ask"]),
    ("budget of text", top(budget={"evaluations": "many"}), 2, ["budget.evaluations", "exact"]),
    ("budget in thousands", top(budget={"evaluations": 16.5}), 2, ["budget.evaluations", "16.5"]),
    ("beta without parameters", ask(index="BETA"), 2, ["alpha and beta"]),
    ("parameter of another index", ask(p=0.5), 2, ["does not take 'p'"]),
    ("weights that do not sum to one", ask(index="SEMI", weights=[0.5, 0.5, 0.5, 0.5]), 2, ["sum to one", "2.0"]),
    ("context out of range", ask(index="MOI", orders=[9]), 2, ["context size 9", "0..2"]),
    ("fraction out of range", ask(index="MOI", orders=[1.5]), 2, ["ask[0].orders", "1.5"]),
    ("pair with itself", ask(index="SII", pairs=[[1, 1]]), 2, ["names the same player twice"]),
    ("pair out of range", ask(index="SII", pairs=[[0, 9]]), 2, ["(0, 9)", "0..3"]),
    ("triple as pair", ask(index="SII", pairs=[[0, 1, 2]]), 2, ["1 mistake\n", "ask[0].pairs[0]"]),
    ("order above n", ask(index="SII", order=9), 2, ["at least 9 players", "has 4"]),
    ("order of a first-order index", ask(order=2), 2, ["order 1", "leave the order out"]),
    ("words of a row", game(players={"kind": "words"}), 2, ["Words needs the text"]),
    ("blur of a row", game(removal={"kind": "blur"}), 2, ["blur", "image players"]),
    ("loss without label", game(behaviour={"kind": "loss"}), 2, ["label"]),
    ("text for a model of rows", game(input={"text": "a fine film"}), 2, ["tokenizer"]),
    ("not a factory", game(model={"factory": "no colon"}), 2, ["game.model.factory", "no colon"]),
    ("folder as table", game(input={"table": "folder.csv", "row": 0}), 2, ["folder.csv"]),
]


def fill(folder: Path) -> None:
    """The files that the mistakes name."""
    (folder / "rows.csv").write_text("a,b,c,d\n1,2,3,4\n5,6,7,8\n")
    (folder / "wide.csv").write_text("a,b,c,d,e,f\n1,2,3,4,5,6\n5,6,7,8,9,0\n")
    (folder / "named.csv").write_text("a,b,c,name\n1,2,3,x\n")
    (folder / "holes.csv").write_text("a,b,c,d\n1,,3,4\n")
    (folder / "header.csv").write_text("a,b,c,d\n")
    (folder / "rows.xyz").write_text("1")
    (folder / "folder.csv").mkdir()
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    photo.save(folder / "photo.png")
    data = io.BytesIO()
    photo.resize((64, 64)).save(data, "png")
    (folder / "torn.png").write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    for name in ("torn.pt", "torn.parquet", "text.png"):
        (folder / name).write_bytes(b"PAR1 or PK, but no more than this")
    np.save(folder / "mask.npy", np.zeros((4, 4), dtype=np.int64))


@pytest.mark.parametrize(("change", "code", "words"), [pytest.param(*m[1:], id=m[0]) for m in MODEL_MISTAKES])
def test_a_mistake_in_the_spec(cli: Cli, tmp_path: Path, change: Change, code: int, words: list[str]) -> None:
    fill(tmp_path)
    spec = model()
    change(spec)
    refused(cli, code, words, "run", written(tmp_path, spec), "--store", tmp_path / "store")
    if code == 2:
        assert not (tmp_path / "store").exists()


def test_the_model_that_is_bent_works_unbent(cli: Cli, tmp_path: Path) -> None:
    fill(tmp_path)
    assert cli("run", written(tmp_path, model())).code == 0


JUNK: list[Any] = [None, True, -1, 3.5, "", "x", [], [1], {}, {"kind": "x"}, [[]], 2**80, float("nan"), {"table": {}}]


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value below a node."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, below in pairs:
        yield (*path, key)
        yield from places(below, (*path, key))


def test_whatever_stands_in_a_spec_is_read_or_refused_in_words() -> None:
    whole = model() | {"seed": 1, "compute": {"batch": 4, "threads": 1}, "name": "x"}
    whole["game"]["removal"] = {"kind": "marginal", "background": {"table": "t", "rows": "0:2", "drop": ["a"]}}
    whole["ask"] = [{"index": "MOI", "orders": [0, 1.0], "pairs": [[0, 1]], "estimator": "auto", "groups": [[0]]}]
    refusals = [(path[0], said) for path in places(whole) for junk in JUNK if (said := refusal(whole, path, junk))]
    assert len(refusals) > 300
    for key, said in refusals:
        assert re.search(rf"mistakes?\n  {key}", said), said


def refusal(whole: dict[str, Any], path: tuple[str | int, ...], junk: Any) -> str | None:
    """What is said of the spec with junk at one place; None where it is allowed."""
    spec = copy.deepcopy(whole)
    node: Any = spec
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = junk
    try:
        parse(spec)
    except SpecError as error:
        return str(error)
    return None


FILES: list[tuple[str, str, bytes, list[str]]] = [
    ("not toml", "spec.toml", b"name = \n", ["spec.toml is not valid TOML", "line 1"]),
    ("not json", "spec.json", b'{"name": }', ["spec.json is not valid JSON", "line 1"]),
    ("a list", "spec.json", b"[]", ["a spec is a table of keys, got list"]),
    ("empty", "spec.toml", b"", ["game: this key is needed", "ask: this key is needed", "budget: this key is needed"]),
    ("binary", "spec.toml", b"\xff\xfe\x00", ["cannot read spec"]),
    ("deep", "spec.json", b"[" * 100_000, ["spec.json is nested too deeply"]),
]


@pytest.mark.parametrize(("name", "data", "words"), [pytest.param(*f[1:], id=f[0]) for f in FILES])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_is_no_spec(
    cli: Cli, tmp_path: Path, command: str, name: str, data: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(data)
    refused(cli, 2, words, command, name)


def test_a_spec_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    refused(cli, 2, ["no spec at none.toml"], "run", "none.toml")
    refused(cli, 2, ["cannot read spec"], "run", tmp_path)


def test_a_module_beside_another_spec_is_not_taken_for_the_own_one(cli: Cli, tmp_path: Path) -> None:
    """Python keeps one module of a name in a process."""
    code = "def make():\n    return lambda rows: rows.sum(axis=1, keepdims=True) * {}\n"
    specs = []
    for number, folder in enumerate(("first", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside.py").write_text(code.format(number + 1))
        document = model()
        (tmp_path / folder / "rows.csv").write_text("a,b,c,d\n1,2,3,4\n")
        document["game"]["model"] = {"factory": "beside:make"}
        specs.append(written(tmp_path / folder, document))
    ended = cli("check", specs[0])
    assert ended.code == 0, ended.err
    refused(cli, 2, ["'beside'", str(tmp_path / "first"), str(tmp_path / "second"), "another name"], "check", specs[1])
    assert cli("check", specs[0]).code == 0
    (tmp_path / "second" / "beside.py").write_text(code.format(1))
    assert cli("check", specs[1]).code == 0
