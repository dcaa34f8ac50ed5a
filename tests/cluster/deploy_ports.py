"""Whether the ports that Ray and Redis open, those that containers name and those that policies let through are the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.cluster.deploy_files import Deployment

OUTSIDE = ("monitoring", "kuberay-operator")
"""Who comes from another namespace."""
Flows = dict[tuple[str, str], set[int]]
OPENED_UNTOLD = {44217: "metrics of the autoscaler", 44227: "metrics of the dashboard"}
"""Ports that Ray opens on a head without being told."""


def listened(start: dict[str, str]) -> set[int]:
    """Ports that a Ray node opens for other nodes, from its start parameters; those of metrics are not among them."""
    ports = {
        int(start[key]) for key in start if key.endswith("port") and "worker-port" not in key and "metrics" not in key
    }
    return ports | set(range(int(start["min-worker-port"]), int(start["max-worker-port"]) + 1))


def port_complaints(deployment: Deployment) -> list[str]:
    """Where they differ, one line each."""
    return [f"ports: {c}" for check in (_declared, _flows, _denied) for c in check(deployment)]


def _declared(deployment: Deployment) -> Iterable[str]:
    groups = {"head": deployment.cluster["headGroupSpec"]}
    groups |= {g["groupName"]: g for g in deployment.cluster["workerGroupSpecs"]}
    workers = {frozenset(listened(g["rayStartParams"])) for name, g in groups.items() if name != "head"}
    if len(workers) != 1:
        yield "worker groups differ in their ports"
    for name, group in groups.items():
        named = {p["containerPort"] for c in group["template"]["spec"]["containers"] for p in c["ports"]}
        start = group["rayStartParams"]
        told = {int(v) for k, v in start.items() if k.endswith("port") and "worker-port" not in k}
        opened = told | set(OPENED_UNTOLD) if name == "head" else told
        if named != opened:
            yield f"{name}: {sorted(named ^ opened)} are in only one of ports and rayStartParams"


def _wanted(deployment: Deployment) -> Flows:
    """Who must reach whom."""
    start = deployment.cluster["headGroupSpec"]["rayStartParams"]
    head = listened(start)
    worker = listened(deployment.cluster["workerGroupSpecs"][0]["rayStartParams"])
    metrics, dashboard = {int(start["metrics-export-port"])}, {int(start["dashboard-port"])}
    redis = {p["port"] for s in deployment.kind("Service") for p in s["spec"]["ports"]}
    return {
        ("worker", "head"): head,
        ("head", "head"): head,
        ("head", "worker"): worker,
        ("worker", "worker"): worker,
        ("monitoring", "head"): metrics | set(OPENED_UNTOLD),
        ("monitoring", "worker"): metrics,
        **{(who, "head"): dashboard for who in ("submitter", "client", "kuberay-operator")},
        **{(who, "store"): redis for who in ("head", "worker", "client")},
        ("head", "gcs-store"): redis,
    }


def _flows(deployment: Deployment) -> Iterable[str]:
    wanted = _wanted(deployment)
    inside = {pair: ports for pair, ports in wanted.items() if pair[0] not in OUTSIDE}
    for which, needed, given in zip(("ingress", "egress"), (wanted, inside), allowed(deployment), strict=True):
        for pair in sorted(needed.keys() | given.keys()):
            differ = needed.get(pair, set()) ^ given.get(pair, set())
            if differ:
                yield f"{which} {pair[0]} -> {pair[1]}: {sorted(differ)[:5]} are needed and closed, or open and not needed"


def _denied(deployment: Deployment) -> Iterable[str]:
    specs = [policy["spec"] for policy in deployment.kind("NetworkPolicy")]
    if {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} not in specs:
        yield "no policy denies everything to every pod"
    for spec in specs:
        for rule in spec.get("egress", ()):
            if not rule.get("to") and (_component(spec["podSelector"]), _numbers(rule)) != ("head", {443, 6443}):
                yield f"{_component(spec['podSelector'])} may go anywhere on {sorted(_numbers(rule))}"


def allowed(deployment: Deployment) -> tuple[Flows, Flows]:
    """(from, to) -> TCP ports that ingress rules let in, and that egress rules let out to pods of ours."""
    inward: Flows = {}
    outward: Flows = {}
    for policy in deployment.kind("NetworkPolicy"):
        spec = policy["spec"]
        me = _component(spec["podSelector"])
        for rule in spec.get("ingress", ()):
            for peer in rule["from"]:
                inward.setdefault((_peer(peer), me), set()).update(_numbers(rule))
        for rule in spec.get("egress", ()):
            for peer in rule.get("to", ()):
                if _peer(peer) != "kube-system":
                    outward.setdefault((me, _peer(peer)), set()).update(_numbers(rule))
    return inward, outward


def _numbers(rule: dict[str, Any]) -> set[int]:
    return {
        n for p in rule["ports"] if p["protocol"] == "TCP" for n in range(p["port"], p.get("endPort", p["port"]) + 1)
    }


def _component(selector: dict[str, Any]) -> str:
    labels = selector.get("matchLabels", {})
    return labels.get("app.kubernetes.io/component", labels.get("app.kubernetes.io/name", ""))


def _peer(peer: dict[str, Any]) -> str:
    if "podSelector" in peer:
        return _component(peer["podSelector"])
    return peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
