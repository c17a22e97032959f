#!/usr/bin/env python3
"""Agents that are killed again and again under load: logs stay whole, and no connection is counted twice.

usage: check_crash.py --weir BINARY [--kills N] [--seed S]

Of each node, two agents on different sources run side by side. Each is killed (-9) at random moments, in its start too,
and started again at once with the same logs.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agents  # noqa: E402
import ground_truth  # noqa: E402
from lab_under_test import lab, skip_without_kernel  # noqa: E402

SOURCES = ("ebpf", "conntrack")
RATE = 12  # customers a second; each makes some connections more behind the ingress
# A short life, or one in which windows close: connections are reported when they are older than 2 s.
LIVES_S = ((0.05, 1.5), (2, 6))
OPEN_FOR_S = 4
# The ground truth has a connection when it ends, which takes that long at most. Before that, one that has the port of an
# earlier one would be taken for it.
UNTOLD_S = 8


class Killer(threading.Thread):
    """Kills an agent again and again; it runs in the end."""

    def __init__(self, agent: agents.Agent, kills: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.agent, self.kills, self.random = agent, kills, random.Random(seed)
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for _ in range(self.kills):
                self.agent.launch()
                time.sleep(self.random.uniform(*self.random.choice(LIVES_S)))
                code = self.agent.end(signal.SIGKILL)
                assert code == -signal.SIGKILL, f"ended by itself with {code}: {self.agent.notes[-5:]}"
            self.agent.start()
        except Exception as error:  # pylint: disable=broad-exception-caught: told by the main thread
            self.error = error


def log_problems(agent: agents.Agent) -> list:
    problems = []
    for name in agents.LOGS:
        records = agent.lines(name)  # whole JSON each
        for line, count in collections.Counter(json.dumps(r) for r in records).items():
            if count > 1:
                problems.append(f"{agent.name}: {name} has {count} times {line[:300]}")
    for before, after in zip(agent.lines("agent.log"), agent.lines("agent.log")[1:]):
        if after["start_time"] < before["end_time"]:
            problems.append(f"{agent.name}: the window at {after['start_time']} begins in that until {before['end_time']}")
    return problems


def count_problems(agent: agents.Agent, truth: ground_truth.Truth, until_ns: int) -> tuple:
    """(TCP connections looked at, lost, problems): whose client has had the port once, and that ended before then."""
    of: dict = collections.defaultdict(list)
    ports = collections.Counter((c["src"]["ip"], c["src"]["port"]) for c in truth.connections if c["protocol"] == "tcp")
    for r in agent.lines("flows.log"):
        if r["proto"] == "tcp":
            of[r["reporter"], r["source_ip"], r["source_port"]].append(r)
    problems, looked_at, lost = [], 0, 0
    for expectation in ground_truth.expectations(truth.connections, agent.node):
        reporter, protocol, ip, port = expectation.key[:4]
        if protocol != "tcp" or ports[ip, port] != 1 or expectation.connection["end"] > until_ns:
            continue
        looked_at += 1
        key = reporter, ip, port
        count = sum(r["num_flows_started"] for r in of[key])
        # What is denied is told by the log groups, which only one of the two agents has.
        lost += count == 0 and not expectation.is_denied
        if count > 1:
            told = [(r["start_time"], r["end_time"], r["dest_ip"], r["num_flows_started"]) for r in of[key]]
            made = [(c["start"] / 1e9, c["end"] / 1e9, c["id"], c["outcome"]) for c in [expectation.connection]]
            problems.append(f"{agent.name}: {count} times started: {reporter} {ip}:{port}: {told}, made {made}")
    return looked_at, lost, problems


def check(weir: str, kills: int, seed: int) -> list:
    problems = []
    with lab("crash", "--rate", str(RATE)) as cluster, agents.mounted(
        "bpf", os.path.join(cluster.directory, "bpf")
    ) as pins:
        made = []
        for number, node in enumerate(cluster.state["nodes"]):
            for place, source in enumerate(SOURCES):
                # Only one program can read the data plane's log groups.
                hits = "on" if place == number % 2 else "off"
                settings = (f"nflog={hits}", f"bpf_pin_directory={pins}")
                made.append(agents.Agent(weir, cluster, node, source, "1s", *settings))
        killers = [Killer(agent, kills, seed + i) for i, agent in enumerate(made)]
        begin = time.monotonic()
        try:
            for killer in killers:
                killer.start()
            for killer in killers:
                killer.join(240)
                assert not killer.is_alive() and killer.error is None, f"{killer.agent.name}: {killer.error}"
            seconds, until_ns = time.monotonic() - begin, time.time_ns()
            time.sleep(OPEN_FOR_S)
            for agent in made:
                assert agent.end() == 0, agent.notes[-5:]
            time.sleep(UNTOLD_S)
        finally:
            for agent in made:
                with contextlib.suppress(AssertionError):
                    agent.end(signal.SIGKILL)
        truth = ground_truth.Truth(cluster.state["truth"], cluster.state["manifests"])
        for agent in made:
            problems += log_problems(agent)
            looked_at, lost, found = count_problems(agent, truth, until_ns)
            problems += found
            whole = sum("watching" in note for note in agent.notes)
            print(
                f"{agent.name}: killed {kills} times, {whole} starts came through; of {looked_at} TCP connections "
                f"{len(found)} counted twice, {lost} lost"
            )
            if looked_at < 100 or lost == looked_at:
                problems.append(f"{agent.name}: {looked_at} connections, {lost} lost: too few to tell")
        print(f"{kills * len(made)} kills in {seconds:.1f} s, {len(truth.connections)} connections")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--kills", type=int, default=20, help="of each agent")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    skip_without_kernel()
    print(f"seed {options.seed}")
    problems = check(options.weir, options.kills, options.seed)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
