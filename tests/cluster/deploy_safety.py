"""Whether every pod runs with as little as it needs, and every manifest keeps what the threat model says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.cluster.deploy_files import Deployment


def safety_complaints(deployment: Deployment) -> list[str]:
    """What is more open than deploy/README.md says, one line each."""
    checks = (_pods, _clusters, _redis, _image, _nodes)
    return [f"{check.__name__.strip('_')}: {complaint}" for check in checks for complaint in check(deployment)]


def _pods(deployment: Deployment) -> Iterable[str]:
    if deployment.kind("Namespace")[0]["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace takes any pod"
    for name, template in deployment.pods():
        spec = template["spec"]
        if spec.get("restartPolicy", "Never" if name == "RayJob submitter" else "Always") not in ("Always", "Never"):
            yield f"{name} has no restart policy that there is"
        context = spec.get("securityContext", {})
        if not (context.get("runAsNonRoot") and context.get("runAsUser")):
            yield f"{name} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        # The head keeps its account: the autoscaler beside it asks for pods.
        if spec.get("automountServiceAccountToken") is not False and not name.endswith("head"):
            yield f"{name} gets a token of the API server"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                yield f"{name}: {key}"
        if any("hostPath" in volume for volume in spec.get("volumes", ())):
            yield f"{name} mounts a path of its host"
        for container in spec["containers"]:
            yield from (f"{name}: {complaint}" for complaint in _container(container))
            if name != "RayJob submitter":
                yield from (f"{name}: no {p}" for p in _missing_probes(container))


def _container(container: dict[str, Any]) -> Iterable[str]:
    yield from _context(container.get("securityContext", {}))
    resources = container.get("resources", {})
    for kind in ("requests", "limits"):
        if not {"cpu", "memory"} <= resources.get(kind, {}).keys():
            yield f"no {kind} of cpu and memory"


def _context(context: dict[str, Any]) -> Iterable[str]:
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its image"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if context.get("privileged"):
        yield "is privileged"


def _missing_probes(container: dict[str, Any]) -> list[str]:
    return [p for p in ("startupProbe", "livenessProbe", "readinessProbe") if p not in container]


def _clusters(deployment: Deployment) -> Iterable[str]:
    cluster = deployment.cluster
    if cluster.get("authOptions", {}).get("mode") != "token":
        yield "token authentication is off"
    head = cluster["headGroupSpec"]["rayStartParams"]
    if head.get("num-cpus") != "0" or head.get("num-gpus") != "0":
        yield "the head takes work"
    if not cluster.get("enableInTreeAutoscaling") or cluster["autoscalerOptions"].get("version") != "v2":
        yield "the autoscaler is off"
    yield from (f"autoscaler {c}" for c in _context(cluster["autoscalerOptions"]["securityContext"]))
    if cluster["headGroupSpec"].get("serviceType") != "ClusterIP":
        yield "the head is reachable from outside"
    for group in cluster["workerGroupSpecs"]:
        if group["minReplicas"] != 0:
            yield f"group {group['groupName']} does not begin at zero"
        gpus = group["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu", "0")
        if group["rayStartParams"].get("num-gpus", "0") != gpus:
            yield f"group {group['groupName']}: Ray counts other GPUs than the pod has"
    factories = [
        e["value"]
        for _, t in deployment.pods()
        for c in t["spec"]["containers"]
        for e in c.get("env", ())
        if e["name"] == "XAI_RAY_FACTORIES"
    ]
    if len(factories) != 6 or not all(factories):
        yield "a Ray container has no list of allowed factories"
    job = deployment.kind("RayJob")[0]["spec"]
    if not (
        job.get("backoffLimit", 0) >= 1 and job.get("shutdownAfterJobFinishes") and "ttlSecondsAfterFinished" in job
    ):
        yield "the RayJob does not try again, or leaves its cluster"


def _redis(deployment: Deployment) -> Iterable[str]:
    if "protected-mode yes" not in deployment.text("cluster/redis.conf").splitlines():
        yield "protected mode is off"
    for path, user, keys in (("cluster/users.acl", "xai_ray", "~xr:*"), ("cluster/gcs.acl", "ray", "~RAY*")):
        lines = {line.split()[1]: line.split() for line in deployment.text(path).splitlines()}
        if lines["default"] != ["user", "default", "off"]:
            yield f"{path}: the user without a name is on"
        allowed = lines[user]
        if (
            "-@all" not in allowed
            or keys not in allowed
            or {"~*", "allkeys", "+@all", "allcommands", "nopass"} & set(allowed)
        ):
            yield f"{path}: {user} may do more than it needs"
        if not any(re.fullmatch(r"#@[A-Z0-9_]+@", word) for word in allowed):
            yield f"{path}: {user} has no place for the hash of a password"
        if "probe" in lines and [w for w in lines["probe"] if w.startswith(("+", "~"))] != ["+auth", "+hello", "+ping"]:
            yield f"{path}: the user of the probes may do more than ping"


def _image(deployment: Deployment) -> Iterable[str]:
    text = deployment.text("deploy/Dockerfile")
    users = re.findall(r"^USER (\d+):\d+$", text, re.M)
    pods = {t["spec"]["securityContext"]["runAsUser"] for name, t in deployment.pods() if name.startswith("Ray")}
    if {int(u) for u in users} != pods or 0 in pods:
        yield f"the image runs as {users}, the pods as {pods}"
    if "--constraint constraints.txt" not in text:
        yield "the image does not install the pinned versions"
    if text.count("FROM ") < 2 or "HEALTHCHECK" not in text:
        yield "the image is of one stage, or says nothing of its health"
    if re.search(r"(PASSWORD|TOKEN|SECRET)\w*=", text):
        yield "a secret in the image"


def _nodes(deployment: Deployment) -> Iterable[str]:
    for name, document in deployment.ray_up():
        commands = " ".join(document["head_start_ray_commands"] + document["worker_start_ray_commands"])
        if commands.count("RAY_AUTH_MODE=token") != 2:
            yield f"{name} starts nodes without token authentication"
        if "--dashboard-host=127.0.0.1" not in commands:
            yield f"{name}: the dashboard is open to the network"
        if "/home/ray/.ray/auth_token" not in document["file_mounts"]:
            yield f"{name} brings no token to its nodes"
        for rule in document["provider"].get("security_group", {}).get("IpPermissions", ()):
            if (
                rule["FromPort"] != 22
                or rule["ToPort"] != 22
                or any(r["CidrIp"] == "0.0.0.0/0" for r in rule["IpRanges"])
            ):
                yield f"{name}: more than ssh is open, or to everybody"
