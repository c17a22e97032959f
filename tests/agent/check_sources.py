#!/usr/bin/env python3
"""What the agents of both nodes write equals what the lab's programs recorded of themselves, on each source.

usage: check_sources.py --weir BINARY [--source NAME]... [--connections N] [--keep DIR]
"""

import collections
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agents  # noqa: E402
import ground_truth  # noqa: E402
from lab_under_test import lab  # noqa: E402

SOURCES = ("ebpf", "conntrack", "afpacket")
SEES_PACKETS = ("ebpf", "afpacket", "conntrack")
HTTP_PORTS = (80, 443, 8080, 9090, 30080)
# What an agent with 5 s windows needs to report what is open: connections may wait 5 s for it.
DRAINED_S = 6


class Told:
    """Counts of the truth against counts of a log; what is not the same is a problem."""

    def __init__(self, agent: agents.Agent) -> None:
        self.agent, self.compared, self.problems = agent, 0, []

    def same(self, what: str, wanted: collections.Counter, told: collections.Counter) -> None:
        self.compared += sum(wanted.values())
        for text, left in (("is not told of", wanted - told), ("was not made", told - wanted)):
            for key, count in left.items():
                self.problems.append(f"{self.agent.node}: {what} {key} {text} ({count} times)")


def is_here(connection: dict, node: str) -> bool:
    return node in (connection["src"]["node"], connection["backends"][0]["node"])


def check_lookups(told: Told, connections: list) -> None:
    """Each lookup of the script by a pod of the node: who asked for what, and that it was answered."""
    wanted: collections.Counter = collections.Counter()
    for c in connections:
        if c.get("lookup") and c["outcome"] == "established" and c["src"]["node"] == told.agent.node:
            wanted[c["src"]["ip"], c["lookup"], "NoError"] += 1
    found: collections.Counter = collections.Counter()
    for line in told.agent.lines("dns.log"):
        found[line["client_ip"], line["qname"], line["rcode"]] += line["count"]
    told.same("lookup", wanted, found)


def check_requests(told: Told, connections: list) -> None:
    """Each HTTP request by or at a pod of the node, with its bytes."""
    wanted: collections.Counter = collections.Counter()
    for c in connections:
        if c["protocol"] != "tcp" or c["outcome"] != "established" or c["dst"]["port"] not in HTTP_PORTS:
            continue
        if c["bytes_sent"] and is_here(c, told.agent.node):
            wanted[c["src"]["ip"], c["src"]["port"], "200", c["bytes_sent"], c["bytes_received"]] += 1
    found: collections.Counter = collections.Counter()
    for line in told.agent.lines("l7.log"):
        key = line["src_ip"], line["src_port"], line["response_code"], line["bytes_in"], line["bytes_out"]
        found[key] += line["count"]
    told.same("request", wanted, found)


def check_customers(told: Told, connections: list, state: dict) -> None:
    """Who is behind the ingress: what it sends on has the customer's address, the company's proxy those behind it."""
    proxy = state["outside"]["proxy"]
    ingress = next(p["ip"] for name, p in state["pods"].items() if name.startswith("ingress-nginx/"))
    made = [c for c in connections if c["dst"]["ip"] != ingress and c["backends"][0]["ip"] == ingress]
    made = [c for c in made if c["outcome"] == "established" and c["bytes_sent"]]
    wanted = collections.Counter("of the company" if c["src"]["ip"] == proxy else c["src"]["ip"] for c in made)
    for name in ("flows.log", "l7.log"):
        found: collections.Counter = collections.Counter()
        for record in told.agent.lines(name):
            source = record.get("source_ip", record.get("src_ip"))
            for address in record["original_source_ips"] or []:
                if source == ingress and record.get("reporter", "src") == "src":
                    found["of the company" if address.startswith("192.0.2.13") else address] += 1
        told.same(f"{name}: customer", wanted, found)


def check(weir: str, source: str, connections: int, keep: str) -> list:
    problems = []
    with lab(f"src{source}", "--rate", "0") as cluster:
        begin = time.monotonic()
        settings = [f"trusted_proxies={cluster.state['outside']['proxy']}"]
        try:
            with agents.agents(weir, cluster, source, settings=settings) as made:
                summary = cluster.run(connections, concurrency=20, seed=7)
                time.sleep(DRAINED_S)
        finally:
            if keep:
                shutil.copytree(cluster.directory, os.path.join(keep, source), ignore=shutil.ignore_patterns("*.sock"))
        truth = ground_truth.Truth(summary["file"], cluster.state["manifests"])
        undecided: dict = {}
        for node, agent in made.items():
            comparison, found = agents.compare(agent, truth)
            for connection, seen in comparison.undecided.items():
                undecided[connection] = undecided.get(connection, False) or seen
            told = Told(agent)
            if source in SEES_PACKETS:
                check_lookups(told, truth.connections)
                check_requests(told, truth.connections)
                if any(p["node"] == node for n, p in cluster.state["pods"].items() if n.startswith("ingress-nginx/")):
                    check_customers(told, truth.connections, cluster.state)
            problems += found + told.problems + agents.window_problems(agent)
            windows = len(agent.lines("agent.log"))
            print(
                f"{source} {node}: {comparison.compared} ends of {len(truth.connections)} connections compared, "
                f"{len(found)} disagreements; {told.compared} lookups, requests and customers, "
                f"{len(told.problems)} disagreements; {windows} windows"
            )
        problems += [f"{c}: denied at no backend" for c, seen in undecided.items() if not seen]
        print(f"{source}: {len(undecided)} denied at any of several backends; {time.monotonic() - begin:.1f} s")
    return [f"{source} {problem}" for problem in problems]


if __name__ == "__main__":
    # --keep: copy logs and ground truth there.
    sys.exit(agents.for_each_source(check, SOURCES, connections=300, keep=""))
