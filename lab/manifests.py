"""The cluster's objects, read from the manifests: they are the lab's topology."""

import re
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Pod:
    namespace: str
    name: str
    ip: str
    labels: dict
    command: tuple
    ports: tuple  # (name, number, protocol)
    ready_port: int | None

    @property
    def app(self) -> str:
        return self.labels.get("app", "")

    def __hash__(self) -> int:
        return hash((self.namespace, self.name))


class Cluster:
    def __init__(self, path: str) -> None:
        with open(path, encoding="utf-8") as file:
            self.objects = [item for item in yaml.safe_load_all(file) if item]
        self.namespaces = {o["metadata"]["name"]: o["metadata"].get("labels", {}) for o in self.of("Namespace")}
        self.pods = [_pod(o) for o in self.of("Pod")]
        self.node_ip = next(
            a["address"] for a in self.of("Node")[0]["status"]["addresses"] if a["type"] == "InternalIP"
        )

    def of(self, kind: str) -> list:
        return [o for o in self.objects if o["kind"] == kind]

    def pod(self, app: str) -> Pod:
        return next(p for p in self.pods if p.app == app)

    def backends(self, service: dict) -> list:
        """Pods behind a Service."""
        meta, selector = service["metadata"], service["spec"].get("selector", {})
        return [p for p in self.pods if p.namespace == meta["namespace"] and selector.items() <= p.labels.items()]


def port_number(pod: Pod, port: int | str, protocol: str) -> int | None:
    """A port as policies and services name it: a number, or the name of a container port."""
    if isinstance(port, int):
        return port
    return next((number for name, number, proto in pod.ports if name == port and proto == protocol), None)


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
        tuple(container.get("command", [])),
        ports,
        probe,
    )


def expand(text: str, variables: dict) -> str:
    """Kubernetes' $(NAME) in commands."""
    return re.sub(r"\$\((\w+)\)", lambda m: variables.get(m[1], m[0]), text)
