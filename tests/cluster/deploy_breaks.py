"""Ways to break the deployment, one a row: file, where, what is put there. Each must be noticed by a check."""

from __future__ import annotations

from typing import Any, Final

GONE: Final = object()
"""Remove the key."""
HEAD = "0/spec/headGroupSpec/template/spec"
GPU = "0/spec/workerGroupSpecs/1"
JOB = "0/spec/rayClusterSpec"

Row = tuple[str, Any, str]
CLUSTER: list[Row] = [
    ("0/spec/rayversion", "2.60.0", "a misspelt key"),
    ("0/spec/rayVersion", "2.59.0", "another Ray than the image"),
    ("0/spec/authOptions/mode", "disabled", "no token"),
    ("0/spec/authOptions/secretName", "token", "a Secret that nobody makes"),
    ("0/spec/gcsFaultToleranceOptions/redisAddress", "redis:6379", "a Service that is not there"),
    ("0/spec/gcsFaultToleranceOptions/redisPassword", {"value": 5}, "a number for a text"),
    ("0/spec/headGroupSpec/rayStartParams/num-cpus", "4", "work on the head"),
    ("0/spec/headGroupSpec/rayStartParams/object-manager-port", "7000", "a port that the policy does not know"),
    ("0/spec/headGroupSpec/rayStartParams/max-worker-port", "11999", "more worker ports than the policy knows"),
    ("0/spec/headGroupSpec/rayStartParams/dashboardhost", "0.0.0.0", "an option that `ray start` does not have"),
    ("0/spec/headGroupSpec/serviceType", "LoadBalancer", "a head that the world reaches"),
    (f"{HEAD}/containers/0/image", "xai-ray:latest", "an image of another version"),
    (f"{HEAD}/containers/0/env/3/name", "XAI_RAY_FACTORY", "a setting that nobody reads"),
    (f"{HEAD}/containers/0/ports/1/containerPort", 8266, "a port that Ray does not open"),
    (f"{HEAD}/containers/0/livenessProbe", GONE, "no liveness probe"),
    (f"{HEAD}/containers/0/readinessProbe/periodSecond", 5, "a misspelt key deep down"),
    (f"{HEAD}/securityContext/runAsUser", 0, "root"),
    (f"{HEAD}/volumes/0/secret/secretName", "redis", "a Secret that nobody makes, as a volume"),
    (f"{HEAD}/containers/0/volumemounts", [], "a misspelt key in a container"),
    (f"{GPU}/minReplicas", 1, "a GPU that is paid for without work"),
    (f"{GPU}/minReplicas", "none", "a text for a number"),
    (f"{GPU}/template/spec/containers/0/resources/limits", {"cpu": "8"}, "no limit of memory"),
    (f"{GPU}/rayStartParams/num-gpus", "2", "more GPUs than the pod has"),
    (f"{GPU}/template/spec/containers/0/securityContext/capabilities", {"add": ["SYS_ADMIN"]}, "a capability"),
    (f"{GPU}/template/metadata/label", {}, "a misspelt key in the metadata of a pod"),
    ("0/spec/autoscalerOptions/version", "v3", "an autoscaler that is not there"),
    ("0/apiVersion", "ray.io/v2", "an API that is not there"),
]
RAYJOB: list[Row] = [
    ("0/spec/entrypoint", "python -m xai_ray.remote --job JOB --store redis://xai-ray-redis:6379/0", "no such module"),
    ("0/spec/entrypoint", "python -m xai_ray.remote_job JOB --store redis://xai-ray-redis:6379/0", "no such arguments"),
    ("0/spec/entrypoint", "python -m xai_ray.remote_job --job JOB --store redis://redis:6379/0", "another store"),
    ("0/spec/backoffLimit", 0, "no second try"),
    ("0/spec/backofflimit", 5, "a misspelt key"),
    ("0/spec/shutdownAfterJobFinishes", False, "a cluster that stays"),
    ("0/spec/ttlSecondsAfterFinished", GONE, "a job that stays"),
    ("0/spec/submitterPodTemplate/spec/restartPolicy", "Sometimes", "no such policy"),
    ("0/spec/submitterPodTemplate/spec/containers/0/securityContext", GONE, "a submitter with rights"),
    (
        "0/spec/submitterPodTemplate/metadata/labels/app.kubernetes.io~1component",
        "submit",
        "a pod that no policy knows",
    ),
    (f"{JOB}/rayVersion", "2.59.0", "another Ray"),
    (f"{JOB}/workerGroupSpecs/0/maxReplicas", 64, "another cluster than the one that stays"),
    (f"{JOB}/headGroupSpec/template/spec/containers/0/imagee", "x", "a misspelt key deep down"),
]
REDIS: list[Row] = [
    ("0/data/redis.conf", "appendonly no\n", "settings that lose records"),
    ("0/datas", {}, "a misspelt key"),
    ("1/spec/ports/0/port", 6380, "another port than the URLs say"),
    ("1/spec/selector", {"app": "redis"}, "a Service without pods"),
    ("1/spec/clusterIp", "None", "a misspelt key of a Service"),
    ("2/spec/replicas", "one", "a text for a number"),
    ("2/spec/template/spec/containers/0/image", "valkey/valkey:8.0.0", "a server that the tests do not start"),
    ("2/spec/template/spec/containers/0/command/3", "16gb", "no room for rewriting the log"),
    ("2/spec/template/spec/volumes/1/secret/secretName", "users", "a Secret that nobody makes"),
    ("2/spec/template/spec/containers/0/livenessprobe", {}, "a misspelt key in a container"),
    ("2/spec/template/spec/containers/0/readinessProbe", GONE, "no readiness probe"),
    ("2/spec/volumeClaimTemplates/0/spec/accessmodes", [], "a misspelt key in a claim"),
    ("4/spec/template/spec/securityContext/runAsNonRoot", False, "root"),
    ("4/apiVersion", "apps/v1beta1", "an API that is gone"),
]
POLICY: list[Row] = [
    ("0", GONE, "nothing is denied"),
    ("0/spec/policyTypes", ["Ingress"], "everything may go out"),
    ("2/spec/ingress/0/ports/0/port", 6378, "the GCS is not reachable"),
    ("2/spec/ingress/0/ports/2/endPort", 6390, "more ports than Ray opens"),
    ("2/spec/ingress/1/from/1/podSelector/matchLabels/app.kubernetes.io~1component", "clients", "no such pods"),
    ("2/spec/ingress/1/ports/0/port", 10001, "Ray Client instead of the dashboard"),
    ("2/spec/ingress/2/from/0", {"podSelector": {}}, "every pod reads the metrics"),
    ("2/spec/egress/2/to", [], "the head reaches any address on the port of Redis"),
    ("3/spec/egress/2", {"ports": [{"protocol": "TCP", "port": 443}]}, "workers reach the world"),
    ("3/spec/egress/2", GONE, "workers do not reach the store"),
    ("3/spec/ingress/0/port", [], "a misspelt key"),
    ("3/spec/ingress/0/ports/0/protocol", "TPC", "a misspelt protocol"),
    (
        "6/spec/ingress/0/from/2/podSelector/matchLabels/app.kubernetes.io~1component",
        "submitter",
        "the wrong pods at the store",
    ),
    ("7/spec/podSelector/matchLabels/app.kubernetes.io~1component", "store", "the head's server is open to workers"),
]
SECRETS: list[Row] = [
    ("0/stringData/auth_token", "abc", "a secret in the repository"),
    ("0/stringData", {"token": ""}, "another key than the operator reads"),
    ("0/metadata/name", "token", "another name than the cluster reads"),
    ("0/stringdata", {}, "a misspelt key"),
    ("1/stringData", {"pass": ""}, "another key"),
    ("1/data", {"password": "c2VjcmV0"}, "a secret in disguise"),
    ("2/metadata/name", "users", "another name than the server reads"),
    ("3/stringData/key", "x", "a value under another key"),
    ("4/apiVersion", "v2", "an API that is not there"),
    ("4", GONE, "a Secret is not told of"),
]
MONITOR: list[Row] = [
    ("0/spec/podMetricsEndpoints/0/port", "metric", "a port that no container names"),
    ("0/spec/podMetricsEndpoints", [], "nothing is read"),
    ("0/spec/podMetricsEndpoint", [], "a misspelt key"),
    ("0/spec/podMetricsEndpoints/0/intervall", "15s", "a misspelt key deep down"),
    ("0/spec/podMetricsEndpoints/0/interval", "fast", "no interval"),
    ("0/spec/selector/matchExpressions/0/values", ["heads"], "pods that are not there"),
    ("0/spec/selector/matchExpressions/0/operator", "in", "no operator"),
    ("0/spec/selector", GONE, "no selector"),
    ("0/apiVersion", "monitoring.coreos.com/v2", "an API that is not there"),
    ("0/metadata/namespace", "default", "another namespace"),
]
KUSTOMIZATION: list[Row] = [
    ("0/resources/0", "namespaces.yaml", "a file that is not there"),
    ("0/resources/4", GONE, "a file that is forgotten"),
    ("0/resources", [], "nothing at all"),
    ("0/resource", [], "a misspelt key"),
    ("0/images/0/newTag", "0.0.9", "another version"),
    ("0/images/0/newtag", "0.1.0", "a misspelt key deep down"),
    ("0/images/1/newTag", "8.1", "another server"),
    ("0/configMapGenerator/0/files/0", "dashboard.json", "no such dashboard"),
    ("0/namespace", "default", "another namespace"),
    ("0/apiVersion", "kustomize.config.k8s.io/v2", "an API that is not there"),
]
NAMESPACE: list[Row] = [
    ("0/metadata/name", "xai_ray", "a name that is none"),
    ("0/metadata/label", {}, "a misspelt key"),
    ("0/kind", "NameSpace", "a misspelt kind"),
    ("0/apiVersion", "v2", "an API that is not there"),
    ("0/metadata/labels/pod-security.kubernetes.io~1enforce", "privileged", "pods may do anything"),
]
RAY_UP: list[Row] = [
    ("0/max_worker", 2, "a misspelt key"),
    ("0/max_workers", -1, "a number below zero"),
    ("0/provider", {}, "no provider"),
    ("0/docker/image", "xai-ray:9.9.9", "another version"),
    ("0/file_mounts", {}, "no token on the nodes"),
    ("0/auth/ssh_key", "~/.ssh/id", "a misspelt key of the login"),
    ("0/head_start_ray_commands/1", "ray start --head --port=6379", "no token authentication"),
    (
        "0/head_start_ray_commands/1",
        "export RAY_AUTH_MODE=token; ray start --hed --dashboard-host=127.0.0.1",
        "a misspelt option",
    ),
    (
        "0/worker_start_ray_commands/1",
        "export RAY_AUTH_MODE=token; ray start --adress=$RAY_HEAD_IP:6379",
        "a misspelt address",
    ),
    ("0/idle_timeout_minutes", "ten", "a text for a number"),
]
CLOUD: list[Row] = [
    *RAY_UP,
    ("0/head_node_type", "boss", "a type of node that is not there"),
    ("0/available_node_types/gpu_worker/min_worker", 0, "a misspelt key of a type"),
    ("0/available_node_types/gpu_worker/max_workers", 100, "more of a type than of all"),
]
AWS: list[Row] = [
    *CLOUD,
    ("0/provider/security_group/IpPermissions/0/ToPort", 65535, "every port is open"),
    ("0/provider/security_group/IpPermissions/0/IpRanges/0/CidrIp", "0.0.0.0/0", "ssh for everybody"),
]
DOCUMENTS: dict[str, list[Row]] = {
    "deploy/kuberay/raycluster.yaml": CLUSTER,
    "deploy/kuberay/rayjob.yaml": RAYJOB,
    "deploy/redis.yaml": REDIS,
    "deploy/networkpolicy.yaml": POLICY,
    "deploy/secrets.example.yaml": SECRETS,
    "deploy/podmonitor.yaml": MONITOR,
    "deploy/kustomization.yaml": KUSTOMIZATION,
    "deploy/namespace.yaml": NAMESPACE,
    "cluster/onprem.yaml": RAY_UP,
    "cluster/aws.yaml": AWS,
    "cluster/gcp.yaml": CLOUD,
}
TEXTS: list[tuple[str, str, str]] = [
    ("deploy/Dockerfile", "USER 1000:1000", "USER 0:0"),
    ("deploy/Dockerfile", "--constraint constraints.txt ", ""),
    ("deploy/Dockerfile", "RAY_AUTH_MODE=token", "RAY_AUTH_MOD=token"),
    ("deploy/Dockerfile", "HEALTHCHECK", "#"),
    ("deploy/Dockerfile", "PYTHONUNBUFFERED=1", "REDIS_PASSWORD=1"),
    ("deploy/Dockerfile", "ARG PYTHON=3.11", "ARG PYTHON=3.9"),
    ("deploy/Dockerfile", "xai-ray:0.1.0", "xai-ray:0.0.1"),
    ("deploy/grafana-dashboard.json", "ray_xai_ray_units", "xai_ray_units"),
    ("deploy/grafana-dashboard.json", "ray_xai_ray_duplicates_total", "ray_xai_ray_duplicate_total"),
    ("deploy/grafana-dashboard.json", "_bucket[5m]", "[5m]"),
    ("deploy/grafana-dashboard.json", '"h": 8', '"h": eight'),
    ("cluster/redis.conf", "noeviction", "allkeys-lru"),
    ("cluster/redis.conf", "appendonly yes", "appendonly no"),
    ("cluster/redis.conf", "protected-mode yes", "protected-mode no"),
    ("cluster/users.acl", "~xr:*", "~*"),
    ("cluster/users.acl", "user default off", "user default on nopass"),
    ("cluster/users.acl", "-@all +auth +hello +ping +select", "+@all"),
    ("cluster/gcs.acl", "#@GCS_REDIS_PASSWORD_SHA256@", "nopass"),
    ("cluster/users.acl", "+auth +hello +ping\n", "+auth +hello +ping +flushall\n"),
]
