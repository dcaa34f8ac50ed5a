"""The deployment is taken by the APIs it is for and agrees with the code; broken in a hundred ways, each is noticed."""

from __future__ import annotations

import copy
import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.deploy_agreement import agreement_complaints
from tests.cluster.deploy_breaks import DOCUMENTS, GONE, TEXTS
from tests.cluster.deploy_commands import command_complaints, command_lines
from tests.cluster.deploy_files import ROOT, Deployment, parsed, version
from tests.cluster.deploy_ports import port_complaints
from tests.cluster.deploy_safety import safety_complaints
from tests.cluster.deploy_schemas import ray_up_complaints, schema_complaints

HERE = Deployment(ROOT)


def text_complaints(deployment: Deployment) -> list[str]:
    """What is wrong with the files that are no manifests."""
    found = []
    image = deployment.text("deploy/Dockerfile")
    if f"xai-ray:{version()}" not in image:
        found.append("Dockerfile: the tag told of is of another version")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = re.search(r"^ARG PYTHON=3\.(\d+)$", image, re.M)
    if python is None or int(python[1]) < int(project["requires-python"].removeprefix(">=3.")):
        found.append("Dockerfile: a Python that the project does not take")
    try:
        json.loads(deployment.text("deploy/grafana-dashboard.json"))
    except ValueError as error:
        found.append(f"grafana-dashboard.json: {error}")
    return found


CHECKS: list[Callable[[Deployment], list[str]]] = [
    schema_complaints,
    ray_up_complaints,
    agreement_complaints,
    port_complaints,
    safety_complaints,
    command_complaints,
    text_complaints,
]


def complaints(deployment: Deployment) -> list[str]:
    found: list[str] = []
    for check in CHECKS:
        try:
            found += check(deployment)
        except (KeyError, IndexError, StopIteration, TypeError, ValueError, AttributeError) as error:
            # A manifest so broken that a later check does not find what it reads: noticed as well.
            found.append(f"{check.__name__}: {type(error).__name__} {error}")
        if found:
            return found
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_no_check_complains(check: Callable[[Deployment], list[str]]) -> None:
    assert check(HERE) == []


def test_the_documents_have_command_lines_to_check() -> None:
    assert len([line for line in command_lines(HERE) if line.startswith("xai-ray ")]) >= 3


@pytest.fixture
def broken(tmp_path: Path) -> Deployment:
    """A copy to break."""
    for folder in ("deploy", "cluster"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return Deployment(tmp_path)


def dumped(documents: list[Any]) -> str:
    return yaml.dump_all(documents, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def changed(documents: list[Any], place: str, value: Any) -> list[Any]:
    """The documents with `value` put at `place`: keys and numbers with slashes, ~1 for a slash in a key."""
    documents = copy.deepcopy(documents)
    *way, last = [int(k) if k.isdigit() else k.replace("~1", "/") for k in place.split("/")]
    at: Any = documents
    for key in way:
        at = at[key]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return documents


@pytest.mark.parametrize("file", DOCUMENTS)
def test_every_break_of_a_document_is_noticed(broken: Deployment, file: str) -> None:
    path = broken.root / file
    whole = path.read_text(encoding="utf-8")
    documents = list(parsed(whole))
    path.write_text(dumped(documents), encoding="utf-8")
    assert complaints(broken) == []
    missed = []
    for place, value, what in DOCUMENTS[file]:
        path.write_text(dumped(changed(documents, place, value)), encoding="utf-8")
        if not complaints(broken):
            missed.append(f"{place}: {what}")
    assert missed == []


@pytest.mark.parametrize(("file", "before", "after"), TEXTS)
def test_every_break_of_a_text_is_noticed(broken: Deployment, file: str, before: str, after: str) -> None:
    path = broken.root / file
    whole = path.read_text(encoding="utf-8")
    assert before in whole
    path.write_text(whole.replace(before, after), encoding="utf-8")
    assert complaints(broken)


def test_each_manifest_is_broken_in_several_ways() -> None:
    there = {
        str(path.relative_to(ROOT)) for folder in ("deploy", "cluster") for path in (ROOT / folder).rglob("*.yaml")
    }
    assert there == DOCUMENTS.keys()
    assert all(len(rows) >= 10 for name, rows in DOCUMENTS.items() if name != "deploy/namespace.yaml")
