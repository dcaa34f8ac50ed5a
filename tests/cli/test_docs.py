"""The documents tell the truth: code blocks run, commands run, tables equal the code, names and paths exist.

`python tests/cli/test_docs.py` writes the tables of the code into README.md.
"""

import contextlib
import io
import re
import shlex
import shutil
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import typer

from xai_ray import cli
from xai_ray.estimators.table import ESTIMATORS
from xai_ray.games import BEHAVIOURS, KNOWN_GAMES, REMOVALS
from xai_ray.indices import INDICES
from xai_ray.indices.example import example
from xai_ray.valuation.methods import described_methods

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [
    "README.md",
    "docs/guide.md",
    "docs/extending.md",
    "docs/datasets.md",
    "docs/global.md",
    "docs/performance.md",
    "docs/text.md",
]

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DECIMAL = re.compile(r"[-+]?\d+\.\d*")


def blocks(name):
    """(words after the fence, content) of every fenced block of a document."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [(head.split(), body) for head, body in _FENCE.findall(text)]


def index_table():
    """The table of indices as README shows it."""
    lines = ["| index | what | order | parameters | sampled estimators | source |", "|---|---|---|---|---|---|"]
    for tag, row in INDICES.items():
        order = {"none": "2", "group": "the set's size"}.get(row.sets, "any" if row.order is None else str(row.order))
        if row.sets in ("of_order", "up_to_order"):
            order += " (default), any"
        sampled = [name for name, e in ESTIMATORS.items() if tag in e.indices and name != "exact"]
        needs = [f"**{p}**" for p in row.needs] + list(row.takes)
        lines.append(f"| `{tag}` | {row.name} | {order} | {', '.join(needs)} | {', '.join(sampled)} | {row.citation} |")
    return "\n".join(lines)


def estimator_table():
    """The table of estimators as README shows it."""
    lines = ["| estimator | answers | how | least evaluations, n = 16 | source |", "|---|---|---|---|---|"]
    for name, row in ESTIMATORS.items():
        answers = "every index" if set(row.indices) == set(INDICES) else ", ".join(row.indices)
        orders = "" if row.orders in (None, (1,)) else f" (order {', '.join(map(str, row.orders))})"
        least = row.minimum(example(row.indices[0], 16), 16)
        lines.append(f"| `{name}` | {answers}{orders} | {row.summary} | {least:,} | {row.source} |")
    return "\n".join(lines)


def method_table():
    """The table of the methods of data valuation as README shows it."""
    lines = ["| method | what | estimator | a budget counts | settings | also takes |", "|---|---|---|---|---|---|"]
    for row in described_methods():
        settings = f"`{row['settings']}`" if row["settings"] else ""
        cells = [f"`{row['method']}`", row["what"], row["estimator"], row["budget counts"], settings, row["also takes"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


TABLES = {"indices": index_table, "estimators": estimator_table, "methods": method_table}


def between(text, name):
    """The part of a text between the marks of a generated table."""
    return re.search(rf"(<!-- {name}: generated -->\n\n)(.*?)(\n\n<!-- {name}: end -->)", text, re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_tables_equal_the_code(name):
    assert between(README.read_text(encoding="utf-8"), name)[2] == TABLES[name](), "python tests/cli/test_docs.py"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_blocks_run_in_order(name, tmp_path, monkeypatch):
    """One namespace a document. A ```text block that follows is what was printed; numbers may differ by a hundredth of the largest."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    printed = None
    ran = 0
    for head, body in blocks(name):
        if head[:1] == ["python"]:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(body, f"{name}, block {ran}", "exec"), names)
            ran += 1
        elif head[:1] == ["text"] and printed is not None:
            same_but_for_rounding(printed.getvalue(), body)
            printed = None
    assert ran, f"{name} has no ```python block"


def same_but_for_rounding(got, shown):
    """Words and whole numbers are the same; numbers with a point differ by at most a hundredth of the largest one."""
    assert _DECIMAL.sub("#", got).split() == _DECIMAL.sub("#", shown).split()
    ours, theirs = (np.array([float(x) for x in _DECIMAL.findall(text)]) for text in (got, shown))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.01 * np.abs(theirs).max(initial=0.0))


def run(command, capsys):
    """Runs one `xai-ray ...` line in this process; stdout and the exit code."""
    words = shlex.split(command)
    assert words[0] == "xai-ray", command
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    return capsys.readouterr().out, code


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a copy of jobs/, and everything in this process."""
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_RAY_ENGINE", "inline")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("XAI_RAY_STORE", raising=False)
    return tmp_path


@pytest.mark.parametrize("name", DOCUMENTS[:2])
def test_commands_run_and_print_what_is_shown(name, workplace, capsys):
    """Blocks ```console run: every command ends with 0. Blocks ```console same: and prints what is shown.

    A job id in a command stands for the job of that name that is there.
    """
    ran = 0
    for head, body in blocks(name):
        if head[:1] != ["console"] or head[1:2] not in (["run"], ["same"]):
            continue
        for command, shown in commands(body):
            out, code = run(known_jobs(command, workplace / "runs"), capsys)
            assert code == 0, f"{command}: exit code {code}"
            if head[1] == "same":
                assert stripped(out) == stripped(shown), command
            ran += 1
    assert ran, f"{name} has no runnable command"


def commands(body):
    """(command, shown output) of a console block."""
    out = []
    for line in body.splitlines():
        if line.startswith("$ "):
            out.append([line[2:], []])
        elif out:
            out[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in out]


def known_jobs(command, runs):
    def there(match):
        found = sorted(runs.glob(f"{match[1]}-*")) if runs.is_dir() else []
        return found[0].name if found else match[0]

    return re.sub(r"\b([a-z][a-z0-9-]*)-[0-9a-f]{10}\b", there, command)


def stripped(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def documented():
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS[:2])


def test_every_command_and_option_is_named():
    text = documented()
    group = typer.main.get_command(cli.app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    missing = []
    for name, command in group.commands.items():
        missing += [] if f"xai-ray {name}" in text else [name]
        missing += [
            f"{name} {flag}"
            for parameter in command.params
            for flag in parameter.opts
            if flag.startswith("--") and flag not in text
        ]
    assert not missing


def test_every_key_of_a_spec_is_named():
    from xai_ray.spec import Spec

    text = README.read_text(encoding="utf-8")
    schema = Spec.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    keys = {key for model in models for key in model.get("properties", {})}
    kinds = {
        model["properties"]["kind"]["const"]
        for model in models
        if "const" in model.get("properties", {}).get("kind", {})
    }
    names = keys | kinds | {*BEHAVIOURS, *REMOVALS, *KNOWN_GAMES}
    assert not [name for name in sorted(names) if not re.search(rf"[`.\[]{name}[`.\]]|\b{name} *=", text)]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "DECISIONS.md",
        "docs/clusters.md",
        "docs/faults.md",
        "docs/scale.md",
        "docs/throughput.md",
        "docs/valuation.md",
        *DOCUMENTS[1:],
    ],
)
def test_paths_exist(name):
    """Links, and names in back quotes that start with a folder of the project or name a file of its root."""
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (ROOT / name).parent.joinpath(link).exists()]
    quoted = re.findall(r"`([\w.-]+(?:/[\w.*-]+)*/?)`", text)
    folders = {"jobs", "docs", "xai_ray", "tests", "benchmarks", "cluster", "deploy", ".ci"}
    files = [q for q in quoted if q.split("/")[0] in folders and "/" in q]
    files += [q for q in quoted if "/" not in q and re.fullmatch(r"\w+\.(md|toml)|Makefile|constraints\.txt", q)]
    missing += [f for f in files if not list(ROOT.glob(f))]
    assert not missing


def write_tables():
    text = README.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        found = between(text, name)
        text = text[: found.start(2)] + table() + text[found.end(2) :]
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_tables()
