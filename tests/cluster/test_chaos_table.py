"""The table of faults names tests that exist, and every test of a fault is in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "faults.md"
NAMED = re.compile(r"`((?:tests|xai_ray)/[\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of each row of the table."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def names_in(file: str) -> set[str]:
    """Names of the test functions of a file."""
    path = ROOT / file
    return (
        set(re.findall(r"^\s*def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        if path.exists()
        else set()
    )


def test_every_named_test_exists() -> None:
    named = [found for row in rows() for found in NAMED.findall(row[2])]
    assert len(named) >= 30
    assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []


def test_every_row_has_a_fault_an_outcome_and_a_test() -> None:
    assert len(rows()) >= 18
    assert [row for row in rows() if len(row) != 3 or not all(row) or not NAMED.search(row[2])] == []


def test_every_test_of_chaos_is_in_the_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    files = [p for p in (ROOT / "tests" / "cluster").glob("test_chaos_*.py") if p.name != Path(__file__).name]
    tests = {name for p in files for name in names_in(f"tests/cluster/{p.name}")} - {"test_schedules_have_every_fault"}
    assert len(tests) >= 8
    assert [name for name in sorted(tests) if f"::{name}`" not in text] == []


def test_settings_and_options_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    code = "\n".join(
        p.read_text(encoding="utf-8") for folder in ("xai_ray", "tests") for p in (ROOT / folder).rglob("*.py")
    )
    words = {*re.findall(r"XAI_RAY_\w+", text), *re.findall(r"`(--[\w-]+)`", text)}
    assert len(words) >= 3
    assert [word for word in sorted(words) if word not in code] == []
