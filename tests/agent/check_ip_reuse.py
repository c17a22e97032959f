#!/usr/bin/env python3
"""A pod dies and another has its address within a second: the traffic of each is told under its own name.

usage: check_ip_reuse.py --weir BINARY
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agents  # noqa: E402
import ground_truth  # noqa: E402
from lab_under_test import lab  # noqa: E402

SOURCES = ("ebpf", "conntrack", "afpacket")
PODS = ("cart", "catalog")  # one of each node, both clients and servers
# What those two talk.
MIX = "http=20,direct=20,redis=10,postgres=10,udp=10,denied_ingress=6,denied_egress=6,refused=4,long=2"
CONNECTIONS = 60


def of_pod(records: list, namespace: str, name: str) -> int:
    """Connections that began, of a pod by that name at either end."""
    return sum(
        r["num_flows_started"]
        for r in records
        if (namespace, name) in [(r[f"{side}_namespace"], r[f"{side}_name"]) for side in ("source", "dest")]
    )


def check(weir: str, source: str) -> list:
    problems, replaced = [], []
    with lab(f"reuse{source}", "--rate", "0") as cluster:
        begin = time.monotonic()
        with agents.agents(weir, cluster, source, "2s") as made:
            cluster.run(CONNECTIONS, concurrency=20, seed=1, mix=MIX)
            for pod in PODS:
                old = next(n for n in cluster.state["pods"] if n.startswith(f"shop/{pod}-"))
                start = time.monotonic()
                new = cluster.fault("replace-pod", pod).split()[0]
                seconds = time.monotonic() - start
                replaced.append((old, new, seconds))
            # The next connections are made at once, while the old ones are still remembered everywhere.
            cluster.run(CONNECTIONS, concurrency=20, seed=2, mix=MIX)
        truth = ground_truth.Truth(cluster.state["truth"], cluster.state["manifests"])
        for node, agent in made.items():
            comparison, found = agents.compare(agent, truth)
            problems += found + agents.window_problems(agent)
            print(f"{source} {node}: {comparison.compared} ends compared, {len(found)} disagreements")
        records = [r for agent in made.values() for r in agent.lines("flows.log")]
        for old, new, seconds in replaced:
            counts = [of_pod(records, *name.split("/")) for name in (old, new)]
            print(f"{source}: {old} {counts[0]} connections, then {new} {counts[1]}, after {seconds:.2f} s")
            if min(counts) < 5:
                problems.append(f"{old} and {new} have {counts} connections: too few to tell")
        print(f"{source}: {time.monotonic() - begin:.1f} s")
    return [f"{source} {problem}" for problem in problems]


if __name__ == "__main__":
    sys.exit(agents.for_each_source(check, SOURCES))
