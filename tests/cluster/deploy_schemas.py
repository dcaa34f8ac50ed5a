"""Whether each manifest is one that its API would take, misspelt keys included."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import ray.autoscaler
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.cluster.deploy_files import Deployment, closed, crd, parsed, walk

KUBERNETES = "1.31"
_SCHEMAS = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_LABELS = {"type": "object", "additionalProperties": _TEXT}
METADATA = closed(
    {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
            "namespace": {"const": "xai-ray"},
            "labels": _LABELS,
            "annotations": _LABELS,
        },
    }
)
POD_MONITOR = closed(
    {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": "monitoring.coreos.com/v1"},
            "kind": {"const": "PodMonitor"},
            "metadata": METADATA,
            "spec": {
                "type": "object",
                "required": ["selector", "podMetricsEndpoints"],
                "properties": {
                    "jobLabel": _TEXT,
                    "namespaceSelector": {"type": "object", "properties": {"matchNames": _TEXTS}},
                    "selector": {
                        "type": "object",
                        "minProperties": 1,
                        "properties": {
                            "matchLabels": _LABELS,
                            "matchExpressions": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["key", "operator", "values"],
                                    "properties": {
                                        "key": _TEXT,
                                        "operator": {"enum": ["In", "NotIn"]},
                                        "values": _TEXTS,
                                    },
                                },
                            },
                        },
                    },
                    "podMetricsEndpoints": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["port"],
                            "properties": {"port": _TEXT, "path": _TEXT, "interval": {"pattern": "^[0-9]+(s|m)$"}},
                        },
                    },
                },
            },
        },
    }
)
KUSTOMIZATION = closed(
    {
        "type": "object",
        "required": ["apiVersion", "kind", "resources"],
        "properties": {
            "apiVersion": {"const": "kustomize.config.k8s.io/v1beta1"},
            "kind": {"const": "Kustomization"},
            "namespace": {"const": "xai-ray"},
            "resources": _TEXTS,
            "images": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "newTag"],
                    "properties": {"name": _TEXT, "newTag": _TEXT},
                },
            },
            "configMapGenerator": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "files"],
                    "properties": {
                        "name": _TEXT,
                        "files": _TEXTS,
                        "options": {
                            "type": "object",
                            "properties": {"labels": _LABELS, "disableNameSuffixHash": {"type": "boolean"}},
                        },
                    },
                },
            },
        },
    }
)
CORE = {
    "ConfigMap": "v1",
    "Namespace": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Secret": "v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
}
OWN = {"RayCluster": "rayclusters", "RayJob": "rayjobs"}


def schema_complaints(deployment: Deployment) -> list[str]:
    """What the APIs would refuse or quietly drop, one line each."""
    return [c for path in deployment.files for c in _file_complaints(path.name, path.read_text(encoding="utf-8"))]


@cache
def _file_complaints(name: str, text: str) -> tuple[str, ...]:
    found = []
    for document in parsed(text):
        where = f"{name} {document.get('kind')} {document.get('metadata', {}).get('name', '')}"
        found += [f"{where}: {complaint}" for complaint in _complaints(document)]
    return tuple(found)


def _complaints(document: dict[str, Any]) -> list[str]:
    kind = document.get("kind", "")
    if kind in CORE:
        return _core(document, CORE[kind]) + _against(METADATA, document.get("metadata"))
    if kind in OWN:
        found = _against(crd(OWN[kind]), document)
        found += [] if document.get("apiVersion") == "ray.io/v1" else [f"apiVersion {document.get('apiVersion')}"]
        found += _against(METADATA, document.get("metadata"))
        return found + [c for pod in walk(document["spec"]) if "template" in pod for c in _pod(pod["template"])]
    if kind == "PodMonitor":
        return _against(POD_MONITOR, document)
    return _against(KUSTOMIZATION, document)


def _core(document: dict[str, Any], version: str) -> list[str]:
    if document.get("apiVersion") != version:
        return [f"apiVersion {document.get('apiVersion')}, not {version}"]
    return _told(_core_validator(document["kind"], version), document)


@cache
def _core_validator(kind: str, version: str) -> jsonschema.Draft202012Validator:
    """A strict one, from the schemas that kubernetes-validate ships; its own function reads them anew for every document."""
    group = version.replace(".k8s.io", "").replace("/", "-")
    schema = json.loads((_SCHEMAS / f"{kind.lower()}-{group}.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema, registry=_registry())


@cache
def _registry() -> Registry[Any]:
    definitions = json.loads((_SCHEMAS / "_definitions.json").read_text(encoding="utf-8"))
    return Registry().with_resource("_definitions.json", DRAFT202012.create_resource(definitions))


def _pod(template: dict[str, Any]) -> list[str]:
    """A pod template as the core API knows it: custom resource definitions leave its metadata open."""
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    return _core(pod, "v1")


def _against(schema: dict[str, Any], document: Any) -> list[str]:
    # KubeRay's definitions are OpenAPI 3.0; what they use of it means the same in the fourth draft of JSON schema.
    return _told(jsonschema.Draft202012Validator(schema), document)


def _told(validator: jsonschema.Draft202012Validator, document: Any) -> list[str]:
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(document)]


def ray_up_complaints(deployment: Deployment) -> list[str]:
    """What `ray up` would refuse of the files in `cluster`, misspelt keys included."""
    found = []
    for name, document in deployment.ray_up():
        complaints = _against(_ray_schema(), document)
        types = document.get("available_node_types", {})
        if types and document.get("head_node_type") not in types:
            complaints.append(f"head_node_type {document.get('head_node_type')} is none of {', '.join(types)}")
        for kind, settings in types.items():
            if settings.get("max_workers", 0) > document.get("max_workers", 0):
                complaints.append(f"{kind}: more workers than max_workers of all")
        found += [f"{name}: {complaint}" for complaint in complaints]
    return found


@cache
def _ray_schema() -> dict[str, Any]:
    return closed(json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8")))
