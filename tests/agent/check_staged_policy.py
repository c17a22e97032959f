#!/usr/bin/env python3
"""What Weir says a staged policy would do is what the data plane does once it is applied: for every pair of pods and every
port, by `weir policy eval`, and by the pending traces of live agents; held to packets that arrive at a pod or do not.

usage: check_staged_policy.py --weir BINARY [--source NAME]...
"""

import collections
import copy
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import yaml  # noqa: E402
import agents  # noqa: E402
from lab_under_test import lab  # noqa: E402

SOURCES = ("ebpf", "conntrack")
# What each staged kind becomes when it is applied: its API, its kind, and what traces call both.
TWINS = {
    "StagedKubernetesNetworkPolicy": ("networking.k8s.io/v1", "NetworkPolicy", "|sknp:", "|knp:"),
    "StagedNetworkPolicy": ("projectcalico.org/v3", "NetworkPolicy", "|snp:", "|np:"),
    "StagedGlobalNetworkPolicy": ("projectcalico.org/v3", "GlobalNetworkPolicy", "|sgnp:", "|gnp:"),
}
# One of a new policy that isolates, one that opens, one in the place of another, one that takes another away; and of Calico's
# some that deny and allow before and behind those.
POLICIES = """
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: lock, namespace: analytics}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  egress: [{ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 8000, endPort: 9089}]}]
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: open-data, namespace: shop}
spec:
  podSelector: {matchLabels: {tier: data}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: platform}}}, {ipBlock: {cidr: 10.244.1.0/24, except: [10.244.1.0/26]}}]
    ports: [{port: redis}, {port: 7777}]
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: catalog, namespace: shop}
spec:
  stagedAction: Set
  podSelector: {matchLabels: {app: catalog}}
  ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [frontend]}]}}]}]
  egress: [{}]
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: postgres, namespace: shop}
spec: {stagedAction: Delete}
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: prometheus, namespace: monitoring}
spec:
  podSelector: {}
  ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {tier: backend}}}], ports: [{protocol: UDP, port: statsd}]}]
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: ignored, namespace: shop}
spec: {stagedAction: Ignore, podSelector: {}}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: guard-cart, namespace: shop}
spec:
  order: 10
  selector: app in {'cart', 'checkout'} && has(tier)
  types: [Ingress]
  ingress:
  - {action: Deny, protocol: TCP, source: {selector: app == 'frontend' && pod-template-hash != ''}, destination: {ports: ["8000:8079"]}}
  - {action: Allow, source: {nets: [10.244.1.0/24], notNets: [10.244.1.80/28]}}
  - {action: Allow, protocol: UDP, source: {namespaceSelector: has(team), selector: app == 'prometheus'}}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: open-egress}
spec:
  order: 5000
  selector: tier == 'backend'
  egress:
  - {action: Deny, protocol: TCP, destination: {namespaceSelector: all(), selector: app == 'coredns'}}
  - {action: Allow, protocol: TCP, destination: {ports: [5432, 7777, 9090]}}
"""
# Beside the ports that a pod declares: those that policies name, one that nobody does.
EXTRA_PORTS = (("TCP", 7777), ("TCP", 9091), ("UDP", 7777))
SEEN = "weir_seen"
# Opens one connection a line ("tcp ADDRESS PORT") with the first packet, and waits until the packets must have arrived.
PROBE = """
import socket, sys, time
kept = []
for line in sys.stdin:
    protocol, address, port = line.split()
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
    one.setblocking(False)
    try:
        one.connect((address, int(port)))
    except BlockingIOError:
        pass
    if protocol == "UDP":
        one.send(b"probe")
    kept.append(one)
time.sleep(0.4)
"""


class World:
    """The pods of a lab, every question there is about them, and what arrives where."""

    def __init__(self, cluster) -> None:
        self.cluster = cluster
        self.pods = {name: (pod["netns"], pod["ip"]) for name, pod in sorted(cluster.state["pods"].items())}
        declared = collections.defaultdict(set)
        with open(cluster.state["manifests"], encoding="utf-8") as file:
            for item in yaml.safe_load_all(file):
                if item["kind"] != "Pod":
                    continue
                name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
                for container in item["spec"]["containers"]:
                    for port in container.get("ports", []):
                        declared[name].add((port.get("protocol", "TCP"), port["containerPort"]))
        self.questions = [
            (source, dest, protocol, port)
            for source in self.pods
            for dest in self.pods
            if source != dest
            for protocol, port in sorted({*declared[dest], *EXTRA_PORTS})
        ]

    def watch(self) -> None:
        """Each pod remembers from now on whose packets reached which port of it."""
        rules = f"""
            table ip {SEEN} {{
                set seen_tcp {{ type ipv4_addr . inet_service; flags dynamic; size 65535; }}
                set seen_udp {{ type ipv4_addr . inet_service; flags dynamic; size 65535; }}
                chain input {{
                    type filter hook input priority -300;
                    tcp flags & (syn | ack) == syn add @seen_tcp {{ ip saddr . tcp dport }}
                    meta l4proto udp add @seen_udp {{ ip saddr . udp dport }}
                }}
            }}"""
        for namespace, _ in self.pods.values():
            subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=rules, text=True, check=True)

    def arrivals(self) -> set:
        """The questions whose connection, tried for real, reaches its pod."""
        for namespace, _ in self.pods.values():
            for name in ("tcp", "udp"):
                subprocess.run(["ip", "netns", "exec", namespace, "nft", "flush", "set", "ip", SEEN, f"seen_{name}"], check=True)
        for source, (namespace, _) in self.pods.items():
            lines = "".join(f"{q[2]} {self.pods[q[1]][1]} {q[3]}\n" for q in self.questions if q[0] == source)
            words = ["ip", "netns", "exec", namespace, sys.executable, "-c", PROBE]
            subprocess.run(words, input=lines, text=True, check=True)
        seen = set()
        for dest, (namespace, _) in self.pods.items():
            for protocol in ("tcp", "udp"):
                words = ["ip", "netns", "exec", namespace, "nft", "list", "set", "ip", SEEN, f"seen_{protocol}"]
                text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
                for address, port in re.findall(r"([0-9.]+) \. (\d+)", text):
                    seen.add((address, dest, protocol.upper(), int(port)))
        return {q for q in self.questions if (self.pods[q[0]][1], *q[1:]) in seen}

    def evaluate(self, weir: str) -> dict:
        """What `weir policy eval` answers to each question."""
        lines = "".join(json.dumps(dict(zip(("src", "dst", "protocol", "port"), q))) + "\n" for q in self.questions)
        words = [weir, "policy", "eval", "--cluster", self.cluster.state["manifests"], "--trace-names", "kind"]
        run = subprocess.run(words, input=lines, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        return dict(zip(self.questions, map(json.loads, run.stdout.splitlines())))


def traces(answer: dict, which: str) -> list:
    """Of both ends, as they are named once nothing is staged."""
    ends = [answer[side][which] for side in ("egress", "ingress") if answer[side]]
    for _, _, staged, enforced in TWINS.values():
        ends = [[entry.replace(staged, enforced) for entry in end] for end in ends]
    return ends


def allows(answer: dict, which: str) -> bool:
    return all(end[-1].split("|")[3] == "allow" for end in traces(answer, which))


def twins(policies: list) -> tuple:
    """What takes effect when the staged policies are applied: (objects put, objects deleted)."""
    put, gone = [], []
    for policy in copy.deepcopy(policies):
        action = policy["spec"].pop("stagedAction", "Set")
        policy["apiVersion"], policy["kind"], *_ = TWINS[policy["kind"]]
        if action in ("Set", "Delete"):
            (put if action == "Set" else gone).append(policy)
    return put, gone


def apply(cluster, verb: str, objects: list) -> None:
    path = os.path.join(cluster.directory, "change.yaml")
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump_all(objects, file)
    cluster.fault(verb, path)


def check_records(world: World, records: list, wanted: dict) -> list:
    """The pending traces in flow logs against what the data plane did later."""
    names = {ip: name for name, (_, ip) in world.pods.items()}
    told = collections.defaultdict(dict)
    for record in sorted(records, key=lambda r: r["end_time"]):
        ends = names.get(record["source_ip"]), names.get(record["dest_ip"])
        pending = (record["policies"] or {}).get("pending_policies") or []
        if None in ends or not pending:
            continue
        last = max(pending, key=lambda entry: int(entry.split("|")[0]))
        told[(*ends, record["proto"].upper(), record["dest_port"])][record["reporter"]] = last.split("|")[3]
    problems, compared = [], 0
    for question, allowed in wanted.items():
        ends = told.get(question, {})
        # One end that denies decides; to allow takes both.
        if "deny" not in ends.values() and len(ends) < 2:
            continue
        compared += 1
        if ("deny" not in ends.values()) != allowed:
            problems.append(f"{question}: agents told of pending {ends}, but applied it was {allowed}")
    print(f"  {compared} of {len(wanted)} connections told of by agents with what decides")
    if compared < len(wanted) / 4:
        problems.append(f"only {compared} connections in the flow logs")
    return problems


def check(weir: str, source: str) -> list:
    policies = list(yaml.safe_load_all(POLICIES))
    with lab(f"staged{source}", "--rate", "0") as cluster:
        world = World(cluster)
        world.watch()
        apply(cluster, "apply", policies)
        before = world.evaluate(weir)
        with agents.agents(weir, cluster, source, "2s") as made:
            arrived = world.arrivals()
            time.sleep(3)  # hits, translations and their flows
        records = [r for agent in made.values() for r in agent.lines("flows.log")]
        put, gone = twins(policies)
        apply(cluster, "delete", gone)
        apply(cluster, "delete", policies)
        apply(cluster, "apply", put)
        after = world.evaluate(weir)
        applied = world.arrivals()

    problems = []
    changed = collections.Counter()
    for question, answer in before.items():
        now, then = allows(answer, "enforced_policies"), allows(answer, "pending_policies")
        changed[now, then] += 1
        if now != answer["allowed"] or now != (question in arrived):
            problems.append(f"{question}: enforced {now}, but it was {question in arrived}")
        if then != (question in applied):
            problems.append(f"{question}: pending {then}, but applied it was {question in applied}")
        if traces(answer, "pending_policies") != traces(after[question], "enforced_policies"):
            problems.append(f"{question}: pending {answer}, applied {after[question]}")
    print(f"{source}: {len(before)} connections between {len(world.pods)} pods:")
    for (now, then), count in sorted(changed.items()):
        print(f"  {count} {'allowed' if now else 'denied'}, and {'allowed' if then else 'denied'} once applied")
    if min(changed[True, False], changed[False, True]) < 5:
        problems.append(f"the staged policies change too little: {changed}")
    problems += check_records(world, records, {q: q in applied for q in world.questions})
    return [f"{source} {problem}" for problem in problems[:50]]


if __name__ == "__main__":
    sys.exit(agents.for_each_source(check, SOURCES))
