#!/usr/bin/env python3
"""Policies that change under open connections: what was allowed goes on as allowed, and the pending trace says at once what
would become of it now; new connections are denied, by the rule that denies them; nothing is counted twice.

usage: check_policy_change.py --weir BINARY [--source NAME]...
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agents  # noqa: E402
import ground_truth  # noqa: E402
from lab_under_test import lab  # noqa: E402

SOURCES = ("ebpf", "conntrack", "afpacket")
INTERVAL_S = 2
OPEN_FOR_S, BEFORE_S = 13, 4
# A window, and the one in which it was applied.
SOON_S = 2 * INTERVAL_S
CATALOG = "10.96.30.2"
POLICIES = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: lock, namespace: analytics}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{ports: [{protocol: UDP, port: 53}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: catalog, namespace: shop}
spec:
  podSelector: {matchLabels: {app: catalog}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: checkout}}}]}]
  egress: [{}]
"""
# Client, the reporter whose policies change, its node, and the traces of before and after.
CASES = (
    ("analytics/report-", "src", "node-1", ("kns.analytics", "allow", 0), ("analytics/lock", "deny", -1)),
    ("shop/frontend-6f5b7c8d9-h4vnl", "dst", "node-2", ("shop/catalog", "allow", 0), ("shop/", "deny", -1)),
)


def last_of(record: dict, which: str) -> tuple:
    trace = (record["policies"] or {}).get(which) or []
    return ground_truth.parse_policy(max(trace, key=lambda t: int(t.split("|")[0]))) if trace else ("", "", 0)


def check_long(case: tuple, records: list, connection: dict, applied: float, where: str) -> list:
    """The connection that was open before."""
    problems = []
    _, reporter, _, before, after = case
    theirs = [r for r in records if (r["reporter"], r["source_ip"], r["source_port"], r["proto"]) == (
        reporter, connection["src"]["ip"], connection["src"]["port"], "tcp")]
    theirs.sort(key=lambda r: (r["start_time"], r["end_time"]))
    if any(r["action"] != "allow" or last_of(r, "enforced_policies") != before for r in theirs):
        problems.append(f"{where}: enforced {sorted({last_of(r, 'enforced_policies') for r in theirs})}, not {before}")
    pending = [(r["start_time"], last_of(r, "pending_policies")) for r in theirs]
    changed = [t for t, p in pending if p[1] == "deny" and p[0].startswith(after[0]) and p[2] == after[2]]
    if not changed or changed[0] > applied + SOON_S:
        problems.append(f"{where}: applied at {applied:.1f}, pending traces {pending}")
    # The manifests are replaced before the data plane is, after which it counts as applied: up to a window on a busy
    # machine.
    if any(p != before for t, p in pending if t + 2 * INTERVAL_S < applied):
        problems.append(f"{where}: pending another before it was applied at {applied:.1f}: {pending}")
    # It is told under two keys, one after the other: each begins and ends once.
    for text in ("started", "completed"):
        for denies in (False, True):
            count = sum(r[f"num_flows_{text}"] for r in theirs if (last_of(r, "pending_policies")[1] == "deny") == denies)
            if count != 1:
                problems.append(f"{where}: {count} times {text} {'after' if denies else 'before'} the change")
    packets = sum(r["packets_in"] + r["packets_out"] for r in theirs)
    for direction, payload in (("in", "bytes_received"), ("out", "bytes_sent")):
        direction = direction if reporter == "src" else {"in": "out", "out": "in"}[direction]
        counted, number = (sum(r[f"{what}_{direction}"] for r in theirs) for what in ("bytes", "packets"))
        made = connection[payload]
        if not made + 40 * min(number, 2) <= counted <= made + 80 * number:
            problems.append(f"{where}: {counted} bytes {direction} in {number} packets, payload {made}")
    print(f"{where}: {len(theirs)} records, {packets} packets; pending denies {changed[0] - applied if changed else -1:.1f} s after")
    return problems


def check_new(case: tuple, records: list, connection: dict, where: str) -> list:
    _, reporter, _, _, after = case
    theirs = [r for r in records if (r["reporter"], r["source_ip"], r["source_port"], r["proto"]) == (
        reporter, connection["src"]["ip"], connection["src"]["port"], "tcp")]
    told = {(r["action"], *last_of(r, "enforced_policies")) for r in theirs}
    started = sum(r["num_flows_started"] for r in theirs)
    if started != 1 or not all(t[0] == t[2] == "deny" and t[1].startswith(after[0]) and t[3] == after[2] for t in told):
        return [f"{where}: a new connection is {told}, {started} times started"]
    return []


def check(weir: str, source: str) -> list:
    problems = []
    with lab(f"policy{source}", "--rate", "0") as cluster:
        clients = [next(n for n in cluster.state["pods"] if n.startswith(case[0])) for case in CASES]
        path = os.path.join(cluster.directory, "change.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(POLICIES)
        slow = f"http://{CATALOG}/slow?ms={OPEN_FOR_S * 1000}&n=500&chunks={OPEN_FOR_S * 10}"
        with agents.agents(weir, cluster, source, f"{INTERVAL_S}s") as made:
            threads = [threading.Thread(target=agents.do, args=(cluster, c, "http", slow)) for c in clients]
            for thread in threads:
                thread.start()
            time.sleep(BEFORE_S)
            cluster.fault("apply", path)
            applied = time.time()
            time.sleep(1)
            for client in clients:
                told = agents.do(cluster, client, "tcp", f"{CATALOG}:80", timeout=0.5)
                if "timeout" not in told:
                    problems.append(f"{client}: a new connection was not denied: {told}")
            for thread in threads:
                thread.join(30)
            # The last windows, with the end of the connections.
            time.sleep(INTERVAL_S)
        truth = ground_truth.Truth(cluster.state["truth"], cluster.state["manifests"]).connections
        for case, client in zip(CASES, clients):
            records = made[case[2]].lines("flows.log")
            long_one, new_one = [c for c in truth if c["src"]["name"] == client and c["protocol"] == "tcp"]
            where = f"{source} {client.split('/')[0]} {case[1]}"
            assert long_one["outcome"] == "established" and long_one["bytes_received"] > OPEN_FOR_S * 5000, long_one
            problems += check_long(case, records, long_one, applied, where) + check_new(case, records, new_one, where)
        problems += [p for agent in made.values() for p in agents.window_problems(agent)]
    return problems


if __name__ == "__main__":
    sys.exit(agents.for_each_source(check, SOURCES))
