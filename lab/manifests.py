"""The cluster's objects, read from the manifests: they are the lab's topology."""

import os
import re
from dataclasses import dataclass, field

import yaml

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class Node:
    name: str
    ip: str
    pod_cidr: str


@dataclass(frozen=True)
class Pod:
    namespace: str
    name: str
    ip: str
    labels: dict
    command: tuple
    ports: tuple  # (name, number, protocol)
    ready_port: int | None
    node: str = ""
    uid: str = ""
    env: dict = field(default_factory=dict)

    @property
    def app(self) -> str:
        return self.labels.get("app", "")

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"

    def __hash__(self) -> int:
        return hash((self.namespace, self.name))


class Cluster:
    def __init__(self, source: str | list) -> None:
        """`source`: a file of manifests, or the objects themselves."""
        self.objects = load(source) if isinstance(source, str) else source
        self.namespaces = {o["metadata"]["name"]: o["metadata"].get("labels", {}) for o in self.of("Namespace")}
        self.pods = [_read(_pod, o) for o in self.of("Pod") if is_running(o)]
        self.nodes = [_read(_node, o) for o in self.of("Node")]
        if not self.nodes:
            raise RuntimeError("the manifests have no Node")
        self.node_ip = self.nodes[0].ip

    def of(self, kind: str) -> list:
        return [o for o in self.objects if o["kind"] == kind]

    def pod(self, app: str) -> Pod:
        return next(p for p in self.pods if p.app == app)

    def pod_at(self, ip: str) -> Pod | None:
        return next((p for p in self.pods if p.ip == ip), None)

    def backends(self, service: dict) -> list:
        """Pods behind a Service."""
        meta, selector = service["metadata"], service["spec"].get("selector", {})
        return [p for p in self.pods if p.namespace == meta["namespace"] and selector.items() <= p.labels.items()]

    def service_ip(self, name: str) -> str:
        return next(s["spec"]["clusterIP"] for s in self.of("Service") if s["metadata"]["name"] == name)


def load(path: str) -> list:
    """Raises RuntimeError for what is no YAML or no objects."""
    with open(path, encoding="utf-8") as file:
        try:
            objects = [item for item in yaml.load_all(file, Loader) if item]
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RuntimeError(f"{path}: {' '.join(str(error).split())}") from None
    for number, item in enumerate(objects, 1):
        if not isinstance(item, dict) or not item.get("kind") or not (item.get("metadata") or {}).get("name"):
            raise RuntimeError(f"{path}: document {number} is no object with kind and metadata.name")
    return objects


def write_atomically(path: str, objects: list) -> None:
    """Readers see the old file or the new one, never half of one."""
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:
        yaml.dump_all(objects, file, Dumper, sort_keys=False, default_flow_style=None, width=140)
    os.replace(new, path)


def is_running(pod: dict) -> bool:
    """Whether the pod has a network of its own to build: an address, and nobody has deleted it."""
    return bool(pod.get("status", {}).get("podIP")) and "deletionTimestamp" not in pod["metadata"]


def port_number(pod: Pod, port: int | str, protocol: str) -> int | None:
    """A port as policies and services name it: a number, or the name of a container port."""
    if isinstance(port, int):
        return port
    return next((number for name, number, proto in pod.ports if name == port and proto == protocol), None)


def _read(reader, item: dict):
    try:
        return reader(item)
    except (KeyError, IndexError, TypeError, StopIteration) as error:
        raise RuntimeError(f"{item['kind']} {item['metadata']['name']}: incomplete: {error!r}") from None


def _node(item: dict) -> Node:
    address = next(a["address"] for a in item["status"]["addresses"] if a["type"] == "InternalIP")
    return Node(item["metadata"]["name"], address, item["spec"].get("podCIDR", ""))


def _pod(item: dict) -> Pod:
    container = item["spec"]["containers"][0]
    ports = tuple((p.get("name", ""), p["containerPort"], p.get("protocol", "TCP")) for p in container.get("ports", []))
    probe = container.get("readinessProbe", {}).get("tcpSocket", {}).get("port")
    meta = item["metadata"]
    return Pod(
        meta["namespace"],
        meta["name"],
        item["status"]["podIP"],
        meta.get("labels", {}),
        tuple(container.get("command", [])) + tuple(container.get("args", [])),
        ports,
        probe,
        item["spec"].get("nodeName", ""),
        meta.get("uid", ""),
        {e["name"]: e.get("value", "") for e in container.get("env", [])},
    )


def expand(text: str, variables: dict) -> str:
    """Kubernetes' $(NAME) in commands."""
    return re.sub(r"\$\((\w+)\)", lambda m: variables.get(m[1], m[0]), text)
