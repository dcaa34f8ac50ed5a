"""The deployment as tests read it: documents by file and kind, and small ways around in them."""

from __future__ import annotations

import gzip
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT.parent / "shared" / "data" / "kuberay-crds"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ELSEWHERE = "XAI_RAY_KUBERAY_CRDS"
"""A folder of KubeRay's custom resource definitions, where they do not lie beside the repository."""


@dataclass(frozen=True)
class Deployment:
    """The folders `deploy` and `cluster` below `root`, and what they must agree with."""

    root: Path

    @property
    def files(self) -> list[Path]:
        """Every manifest, by name."""
        return sorted((self.root / "deploy").rglob("*.yaml"))

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """File name and document of every manifest."""
        for path in self.files:
            for document in parsed(path.read_text(encoding="utf-8")):
                yield path.name, document

    def kind(self, kind: str) -> list[dict[str, Any]]:
        """The documents of one kind."""
        return [document for _, document in self.documents() if document["kind"] == kind]

    def ray_up(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """File name and document of every cluster that `ray up` starts."""
        for path in sorted((self.root / "cluster").glob("*.yaml")):
            yield path.name, parsed(path.read_text(encoding="utf-8"))[0]

    def text(self, path: str) -> str:
        """A file as it is."""
        return (self.root / path).read_text(encoding="utf-8")

    @property
    def cluster(self) -> dict[str, Any]:
        """The spec of the RayCluster."""
        return self.kind("RayCluster")[0]["spec"]

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and template of every kind of pod."""
        for name, spec in (("RayCluster", self.cluster), ("RayJob", self.kind("RayJob")[0]["spec"]["rayClusterSpec"])):
            yield f"{name} head", spec["headGroupSpec"]["template"]
            for group in spec["workerGroupSpecs"]:
                yield f"{name} {group['groupName']}", group["template"]
        yield "RayJob submitter", self.kind("RayJob")[0]["spec"]["submitterPodTemplate"]
        for stateful in self.kind("StatefulSet"):
            yield stateful["metadata"]["name"], stateful["spec"]["template"]


@cache
def parsed(text: str) -> tuple[Any, ...]:
    """The documents of a file, to be read only."""
    return tuple(yaml.load_all(text, Loader=_LOADER))


def walk(tree: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document."""
    if isinstance(tree, dict):
        yield tree
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from walk(value)


def pins() -> dict[str, str]:
    """Package -> version, of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def version() -> str:
    """The version of the project."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@cache
def crd(plural: str) -> dict[str, Any]:
    """The schema of a kind of KubeRay's; without it the test is skipped, on continuous integration it fails."""
    folder = Path(os.environ.get(_ELSEWHERE, CRDS))
    path = folder / f"ray.io_{plural}.yaml.gz"
    if not path.exists():
        reason = f"no {path.name} in {folder}; set {_ELSEWHERE} to a folder that has it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    document = yaml.load(gzip.decompress(path.read_bytes()), Loader=_LOADER)
    newest = next(v for v in document["spec"]["versions"] if v["storage"])
    return closed(newest["schema"]["openAPIV3Schema"])


def closed(schema: Any) -> Any:
    """The same schema with no room for keys that it does not name, so that a misspelt one is found."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tight = {key: closed(value) for key, value in schema.items()}
    if "properties" in tight and isinstance(schema["properties"], dict) and "additionalProperties" not in tight:
        tight["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields", False))
    return tight
