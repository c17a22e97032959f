"""Calico's policies for the lab's data plane, as far as the lab enforces them: those of the tier default, that allow or deny
by protocol, port numbers, nets and selectors of labels. What it does not know it refuses, so that nothing is enforced by half.

Written from Calico's documentation, on its own, as dataplane.py is.
"""

import re
from dataclasses import dataclass

KNOWN_SPEC = {"tier", "order", "selector", "types", "ingress", "egress"}
KNOWN_RULE = {"action", "protocol", "source", "destination"}
KNOWN_ENTITY = {"selector", "namespaceSelector", "nets", "notNets", "ports"}
TERM = re.compile(r"""(?P<not>!)?has\((?P<has>[\w./-]+)\)|(?P<all>all\(\))
                      |(?P<key>[\w./-]+)\s*(?P<op>==|!=)\s*['"](?P<value>[^'"]*)['"]
                      |(?P<set>[\w./-]+)\s+(?P<in>not\ in|in)\s*\{(?P<values>[^}]*)\}""", re.VERBOSE)


@dataclass(frozen=True)
class Part:
    """One rule of a policy in plain terms. `nets` None: anybody."""

    index: int
    action: str
    nets: tuple | None
    excepted: tuple
    protocol: str | None
    ports: tuple | None


def matches(selector: str, labels: dict) -> bool:
    """A selector whose terms are joined by `&&`."""
    for text in filter(None, map(str.strip, selector.split("&&"))):
        term = TERM.fullmatch(text)
        if not term:
            raise RuntimeError(f"the lab does not know the selector {text!r}")
        if term["has"] and (term["has"] in labels) == bool(term["not"]):
            return False
        if term["key"] and (labels.get(term["key"]) == term["value"]) != (term["op"] == "=="):
            return False
        if term["set"]:
            values = re.findall(r"['\"]([^'\"]*)['\"]", term["values"])
            if (labels.get(term["set"]) in values) != (term["in"] == "in"):
                return False
    return True


def _refuse_unknown(item: dict, known: set, where: str) -> None:
    if unknown := set(item) - known:
        raise RuntimeError(f"{where}: the lab does not enforce {', '.join(sorted(unknown))}")


def selecting(cluster, pod, direction: str) -> list:
    """(order, key among equal orders, policy) of those that are for the pod in that direction."""
    found = []
    for kind in ("NetworkPolicy", "GlobalNetworkPolicy"):
        for policy in cluster.of(kind):
            if not policy["apiVersion"].startswith("projectcalico.org/"):
                continue
            spec, meta = policy["spec"], policy["metadata"]
            _refuse_unknown(spec, KNOWN_SPEC, meta["name"])
            if spec.get("tier", "default") != "default":
                raise RuntimeError(f"{meta['name']}: the lab enforces the tier default only")
            namespace = meta.get("namespace", "") if kind == "NetworkPolicy" else ""
            if namespace not in ("", pod.namespace) or direction not in _types(spec):
                continue
            if matches(spec.get("selector", ""), pod.labels):
                found.append((spec.get("order", float("inf")), f"{meta['name']}/{namespace}/{kind}", policy))
    return found


def _types(spec: dict) -> set:
    """Without types: those of the rules, and ingress where there are none."""
    if spec.get("types"):
        return {t.lower() for t in spec["types"]}
    return {d for d in ("ingress", "egress") if spec.get(d)} or {"ingress"}


def parts(cluster, policy: dict, direction: str) -> list:
    """The rules of the policy; one of them may become several parts."""
    namespace = policy["metadata"].get("namespace") if policy["kind"] == "NetworkPolicy" else None
    far, near = ("source", "destination") if direction == "ingress" else ("destination", "source")
    found = []
    for index, rule in enumerate(policy["spec"].get(direction) or []):
        _refuse_unknown(rule, KNOWN_RULE, policy["metadata"]["name"])
        peer, own, action = rule.get(far) or {}, rule.get(near) or {}, rule["action"].lower()
        for entity in (peer, own):
            _refuse_unknown(entity, KNOWN_ENTITY, policy["metadata"]["name"])
        if action not in ("allow", "deny") or set(own) - {"ports"} or rule.get("source", {}).get("ports"):
            raise RuntimeError(f"{policy['metadata']['name']}: the lab does not enforce rule {index} of {direction}")
        nets = _nets(cluster, namespace, peer)
        if nets == ():
            continue
        protocol = rule["protocol"].lower() if "protocol" in rule else None
        for port in rule.get("destination", {}).get("ports") or [None]:
            ends = None if port is None else tuple(map(int, str(port).split(":")))
            ports = None if ends is None else (ends[0], ends[-1])
            found.append(Part(index, action, nets, tuple(peer.get("notNets", [])), protocol, ports))
    return found


def _nets(cluster, namespace: str | None, peer: dict) -> tuple | None:
    """Whom the peer means: addresses and blocks, or None for anybody."""
    by_labels = "selector" in peer or "namespaceSelector" in peer
    if not by_labels:
        return tuple(peer["nets"]) if "nets" in peer else None
    if "nets" in peer:
        raise RuntimeError("the lab does not enforce nets beside selectors")
    pods = []
    for pod in cluster.pods:
        if "namespaceSelector" in peer:
            if not matches(peer["namespaceSelector"], cluster.namespaces[pod.namespace]):
                continue
        elif namespace is not None and pod.namespace != namespace:
            continue
        if matches(peer.get("selector", ""), pod.labels):
            pods.append(pod.ip)
    return tuple(pods)
