"""nftables for the lab's nodes: Services become DNAT, NetworkPolicies become verdicts.

Written from the Kubernetes API's semantics, on its own: what the lab enforces is no product of the code under test.
A policy is first compiled to plain rules; these are rendered for nftables and, for the ground truth, evaluated here.
"""

import base64
import functools
import hashlib
import ipaddress
from dataclasses import dataclass

import calico
from manifests import Cluster, Node, Pod, port_number

INGRESS, EGRESS = "ingress", "egress"
LOG_GROUP = {INGRESS: 1, EGRESS: 2}
KUBERNETES_ORDER = 1000  # where Calico puts NetworkPolicies of Kubernetes among its own
PREFIX_LIMIT = 62  # longer ones are hashed, to 63


@dataclass(frozen=True)
class Rule:
    """Allows (or denies) what matches. `index` is that of the rule in the policy; one YAML rule may become several of these."""

    index: int
    nets: tuple | None  # addresses and blocks of the peer; None: anybody
    excepted: tuple
    protocol: str | None  # "tcp", ...; None: any
    ports: tuple | None  # first and last
    action: str = "allow"

    def matches(self, peer: str, protocol: str, port: int) -> bool:
        if self.protocol is not None and self.protocol != protocol:
            return False
        if self.ports is not None and not self.ports[0] <= port <= self.ports[1]:
            return False
        inside = self.nets is None or any(_holds(net, peer) for net in self.nets)
        return inside and not any(_holds(net, peer) for net in self.excepted)

    def expression(self, direction: str) -> str:
        """As nftables writes the condition, with a space behind."""
        address = "saddr" if direction == INGRESS else "daddr"
        text = ""
        if self.nets is not None:
            text += f"ip {address} {{ {', '.join(self.nets)} }} "
        if self.excepted:
            text += f"ip {address} != {{ {', '.join(self.excepted)} }} "
        if self.ports is not None:
            first, last = self.ports
            text += f"{self.protocol} dport {first if first == last else f'{first}-{last}'} "
        elif self.protocol is not None:
            text += f"meta l4proto {self.protocol} "
        return text


@dataclass(frozen=True)
class Policy:
    name: str  # with its namespace, if it has one
    kind: str  # as log prefixes call it
    rules: tuple


@dataclass(frozen=True)
class Verdict:
    """What one end decides on a connection. `rule`: -1 if policies select the pod and none of their rules matches."""

    action: str  # "allow" or "deny"
    policies: tuple  # who can be named: the one that allows, all that select the pod if none does, or none (profile)
    rule: int
    profile: str = ""

    def as_json(self) -> dict:
        return {"action": self.action, "policies": list(self.policies), "rule": self.rule, "profile": self.profile}


@functools.lru_cache(maxsize=None)
def _network(text: str) -> ipaddress.IPv4Network:
    return ipaddress.ip_network(text)


def _holds(net: str, address: str) -> bool:
    return ipaddress.ip_address(address) in _network(net)


def matches(selector: dict, labels: dict) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for rule in selector.get("matchExpressions", []):
        value, values = labels.get(rule["key"]), rule.get("values", [])
        if not {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[rule["operator"]]:
            return False
    return True


def log_prefix(text: str) -> str:
    """An NFLOG prefix as the node's data plane would send it: long ones carry a hash in their middle."""
    if len(text) <= PREFIX_LIMIT:
        return text
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"{text[:10]}_{digest[:41]}_{text[-10:]}"


def _peer(cluster: Cluster, namespace: str, peer: dict | None) -> tuple:
    """(addresses or blocks that the peer names, or None for anybody; blocks excepted; pods among them)"""
    if peer is None:
        return None, (), cluster.pods
    if "ipBlock" in peer:
        block, excepted = peer["ipBlock"]["cidr"], tuple(peer["ipBlock"].get("except", []))
        inside = [p for p in cluster.pods if _holds(block, p.ip) and not any(_holds(e, p.ip) for e in excepted)]
        return (None if block == "0.0.0.0/0" else (block,)), excepted, inside
    pods = []
    for pod in cluster.pods:
        if "namespaceSelector" in peer:
            if not matches(peer["namespaceSelector"], cluster.namespaces[pod.namespace]):
                continue
        elif pod.namespace != namespace:
            continue
        if matches(peer.get("podSelector", {}), pod.labels):
            pods.append(pod)
    return tuple(p.ip for p in pods), (), pods


def _rules_of_port(index: int, port: dict, pod: Pod, direction: str, peer: tuple) -> list:
    nets, excepted, peer_pods = peer
    protocol = port.get("protocol", "TCP")
    if "port" not in port:
        return [Rule(index, nets, excepted, protocol.lower(), None)]
    if not isinstance(port["port"], str):
        return [Rule(index, nets, excepted, protocol.lower(), (port["port"], port.get("endPort", port["port"])))]
    if direction == INGRESS:
        number = port_number(pod, port["port"], protocol)
        return [Rule(index, nets, excepted, protocol.lower(), (number, number))] if number else []
    # A name is looked up on the pod that receives: which number it is depends on the peer.
    numbers: dict = {}
    for receiver in peer_pods:
        numbers.setdefault(port_number(receiver, port["port"], protocol), []).append(receiver.ip)
    return [Rule(index, tuple(ips), (), protocol.lower(), (n, n)) for n, ips in sorted(numbers.items()) if n]


def _rules(cluster: Cluster, pod: Pod, policy: dict, direction: str) -> tuple:
    key = "from" if direction == INGRESS else "to"
    found = []
    for index, rule in enumerate(policy["spec"].get(direction) or []):
        for peer_item in rule.get(key) or [None]:
            peer = _peer(cluster, policy["metadata"]["namespace"], peer_item)
            if peer[0] == ():
                continue
            if not rule.get("ports"):
                found.append(Rule(index, peer[0], peer[1], None, None))
            for port in rule.get("ports") or []:
                found += _rules_of_port(index, port, pod, direction, peer)
    return tuple(found)


def _directions(spec: dict) -> set:
    if "policyTypes" in spec:
        return {d.lower() for d in spec["policyTypes"]}
    return {INGRESS, EGRESS} if "egress" in spec else {INGRESS}


@functools.lru_cache(maxsize=1024)
def policies_of(cluster: Cluster, pod: Pod, direction: str) -> tuple:
    """The policies that select the pod in that direction, in the order in which they are asked."""
    selecting = [
        (KUBERNETES_ORDER, f"{p['metadata']['name']}/{pod.namespace}/KubernetesNetworkPolicy", p)
        for p in cluster.of("NetworkPolicy")
        if p["apiVersion"].startswith("networking.k8s.io/")
        and p["metadata"]["namespace"] == pod.namespace
        and direction in _directions(p["spec"])
        and matches(p["spec"].get("podSelector") or {}, pod.labels)
    ]
    selecting += calico.selecting(cluster, pod, direction)
    selecting.sort(key=lambda found: found[:2])
    return tuple(_policy(cluster, pod, policy, direction) for _, _, policy in selecting)


def _policy(cluster: Cluster, pod: Pod, policy: dict, direction: str) -> Policy:
    name = policy["metadata"]["name"]
    if policy["apiVersion"].startswith("networking.k8s.io/"):
        return Policy(f"{pod.namespace}/{name}", "knp", _rules(cluster, pod, policy, direction))
    rules = tuple(
        Rule(part.index, part.nets, part.excepted, part.protocol, part.ports, part.action)
        for part in calico.parts(cluster, policy, direction)
    )
    if policy["kind"] == "GlobalNetworkPolicy":
        return Policy(name, "gnp", rules)
    return Policy(f"{pod.namespace}/{name}", "np", rules)


def decide(cluster: Cluster, pod: Pod, direction: str, peer: str, protocol: str, port: int) -> Verdict:
    """What the pod's node decides on a new connection with `peer`; `port` is the destination's, after DNAT."""
    selecting = policies_of(cluster, pod, direction)
    if not selecting:
        return Verdict("allow", (), 0, f"kns.{pod.namespace}")
    for policy in selecting:
        for rule in policy.rules:
            if rule.matches(peer, protocol, port):
                return Verdict(rule.action, (policy.name,), rule.index)
    return Verdict("deny", tuple(p.name for p in selecting), -1)


def _log(prefix: str, direction: str) -> str:
    return f'log prefix "{log_prefix(prefix)}" group {LOG_GROUP[direction]} snaplen 255'


def _pod_chain(cluster: Cluster, pod: Pod, direction: str) -> list:
    letter = direction[0].upper()
    selecting = policies_of(cluster, pod, direction)
    if not selecting:
        return [f"{_log(f'AR{letter}0|kns.{pod.namespace}', direction)} return"]
    lines = []
    for policy in selecting:
        for rule in policy.rules:
            prefix = f"{rule.action[0].upper()}P{letter}{rule.index}|{policy.kind}/{policy.name}"
            verdict = "return" if rule.action == "allow" else "drop"
            lines.append(f"{rule.expression(direction)}{_log(prefix, direction)} {verdict}")
    return [*lines, f"{_log(f'DP{letter}|default', direction)} drop"]


def _policy_chains(cluster: Cluster, node: Node | None) -> tuple:
    """(the chains of the node's pods, the jumps to them: egress before ingress)"""
    chains, jumps = [], {EGRESS: [], INGRESS: []}
    for number, pod in enumerate(cluster.pods):
        if node and pod.node != node.name:
            continue
        for direction, address in ((EGRESS, "saddr"), (INGRESS, "daddr")):
            lines = _pod_chain(cluster, pod, direction)
            chains.append(f" chain {direction}_{number} {{\n  " + "\n  ".join(lines) + "\n }")
            jumps[direction].append(f"ip {address} {pod.ip} jump {direction}_{number}")
    return chains, jumps[EGRESS] + jumps[INGRESS]


def _frontends(cluster: Cluster, service: dict, node: Node | None) -> list:
    """(address, where the port is to be found, pods behind it) of a Service as the node knows it."""
    spec, pods = service["spec"], cluster.backends(service)
    local = [p for p in pods if not node or p.node == node.name]
    outside_pods = local if spec.get("externalTrafficPolicy") == "Local" else pods
    found = [(address, "port", pods) for address in spec.get("clusterIPs", [])]
    balanced = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    found += [(item["ip"], "port", outside_pods) for item in balanced]
    return found + [(n.ip, "nodePort", local) for n in cluster.nodes if not node or n == node]


def _service_rules(cluster: Cluster, node: Node | None) -> list:
    lines = []
    for service in cluster.of("Service"):
        if service["spec"].get("externalTrafficPolicy", "Local") != "Local":
            raise RuntimeError(f"Service {service['metadata']['name']}: the lab knows externalTrafficPolicy Local only")
        for address, key, pods in _frontends(cluster, service, node):
            for port in service["spec"]["ports"]:
                if key not in port or not pods:
                    continue
                protocol = port.get("protocol", "TCP")
                target = port.get("targetPort", port["port"])
                targets = [f"{p.ip} . {port_number(p, target, protocol)}" for p in pods]
                to = f"numgen inc mod {len(targets)} map {{ {', '.join(f'{i} : {t}' for i, t in enumerate(targets))} }}"
                lines.append(f"ip daddr {address} {protocol.lower()} dport {port[key]} dnat ip addr . port to {to}")
    return lines


def _rejections(cluster: Cluster) -> list:
    """Services that nobody is behind."""
    return [
        f"ip daddr {address} {port.get('protocol', 'TCP').lower()} dport {port['port']} reject"
        for service in cluster.of("Service")
        if not cluster.backends(service)
        for address in service["spec"].get("clusterIPs", [])
        for port in service["spec"]["ports"]
    ]


def ruleset(cluster: Cluster, node: Node | None = None, mirror: tuple | None = None, masquerade: bool = False) -> str:
    """The table `weirlab` of one node (of all pods, without `node`), replacing what was there.

    `mirror`: (device, address): each forwarded packet is copied there once, after DNAT and before policy.
    `masquerade`: what pods send out of the cluster has the node's address, as with Calico's natOutgoing.
    """
    chains, jumps = _policy_chains(cluster, node)
    services = "\n  ".join(_service_rules(cluster, node))
    start = ["ct state established,related accept", "ct state invalid drop", *_rejections(cluster)]
    policies = "\n  ".join([*start, *jumps])
    text = ["table ip weirlab", "delete table ip weirlab", "table ip weirlab {", *chains]
    text.append(f" chain services {{ type nat hook prerouting priority dstnat; policy accept;\n  {services}\n }}")
    if mirror:
        copy = f'dup to {mirror[1]} device "{mirror[0]}"'
        text.append(f" chain mirror {{ type filter hook forward priority -5; policy accept;\n  {copy}\n }}")
    text.append(f" chain enforce {{ type filter hook forward priority 0; policy accept;\n  {policies}\n }}")
    if masquerade:
        inside = ", ".join([n.pod_cidr for n in cluster.nodes] + [n.ip for n in cluster.nodes])
        rule = f"ip saddr {{ {', '.join(n.pod_cidr for n in cluster.nodes)} }} ip daddr != {{ {inside} }} masquerade"
        text.append(f" chain outgoing {{ type nat hook postrouting priority srcnat; policy accept;\n  {rule}\n }}")
    return "\n".join([*text, "}", ""])
