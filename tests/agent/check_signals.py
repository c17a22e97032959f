#!/usr/bin/env python3
"""SIGTERM tells what is open, and the next agent goes on from there; SIGHUP takes over what changed and disturbs nothing.

usage: check_signals.py --weir BINARY
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agents  # noqa: E402
import ground_truth  # noqa: E402
from lab_under_test import lab, skip_without_kernel  # noqa: E402

SOURCES = ("ebpf", "conntrack")
NODE, CLIENT = "node-1", "analytics/report-"
OPEN_FOR_S = 9
URL = f"http://10.96.30.2/slow?ms={OPEN_FOR_S * 1000}&n=500&chunks={OPEN_FOR_S * 10}"
HANGUPS = 20


def check_termination(cluster, weir: str) -> list:
    """A window of 10 minutes, ended early; then a second agent on the same logs, while the connection goes on."""
    problems = []
    client = next(n for n in cluster.state["pods"] if n.startswith(CLIENT))
    # Only one of them can read the data plane's log groups.
    made = [
        agents.Agent(weir, cluster, NODE, source, "10m", f"nflog={hits}") for source, hits in zip(SOURCES, ("on", "off"))
    ]
    thread = threading.Thread(target=agents.do, args=(cluster, client, "http", URL))

    def of_connection(agent: agents.Agent) -> list:
        address = cluster.state["pods"][client]["ip"]
        return [r for r in agent.lines("flows.log") if r["source_ip"] == address and r["reporter"] == "src"]

    try:
        for agent in made:
            agent.start()
        thread.start()
        time.sleep(3)
        for agent, number in zip(made, (signal.SIGTERM, signal.SIGINT)):
            start = time.monotonic()
            code = agent.end(number)
            seconds = time.monotonic() - start
            records = of_connection(agent)
            told = [(r["num_flows_started"], r["num_flows_completed"], r["num_flows_established"]) for r in records]
            print(f"{agent.name}: ended after {seconds:.2f} s with {code}; its open connection: {told}")
            if code != 0 or seconds > 3 or told != [(1, 0, 1)] or records[0]["bytes_in"] < 5000:
                problems.append(f"{agent.name}: at its end: {code}, {seconds:.1f} s, {told}")
            agent.start()
        thread.join(30)
        time.sleep(1)
        for agent in made:
            assert agent.end() == 0, agent.notes[-5:]
            records = of_connection(agent)
            told = [(r["num_flows_started"], r["num_flows_completed"]) for r in records]
            counted = sum(r["bytes_in"] for r in records)
            print(f"{agent.name}: after the next run: {told}, {counted} bytes in")
            if [sum(numbers) for numbers in zip(*told)] != [1, 1]:
                problems.append(f"{agent.name}: a connection over two runs is {told}")
            if counted > OPEN_FOR_S * 10 * (500 + 80) + 1000:
                problems.append(f"{agent.name}: {counted} bytes in are more than there were")
    finally:
        for agent in made:
            with contextlib.suppress(AssertionError):
                agent.end(signal.SIGKILL)
        thread.join(30)
    return problems


def check_hangup(cluster, weir: str) -> list:
    """While connections are made."""
    path = os.path.join(cluster.directory, "agent.yaml")

    def configure(text: str) -> None:
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    configure("flush_interval: 2s\n")
    # After the first check's traffic, whose connections the tracker still has.
    agent = agents.Agent(weir, cluster, "node-2", "ebpf", "", config=path)
    agent.start()
    try:
        summary: dict = {}
        thread = threading.Thread(target=lambda: summary.update(cluster.run(150, concurrency=10, seed=4)))
        thread.start()
        for i in range(HANGUPS):
            if i == HANGUPS // 3:
                configure("flush_interval: 1s\n")
            elif i == HANGUPS * 2 // 3:
                configure("flush_interval: soon\n")
            agent.send(signal.SIGHUP)
            time.sleep(0.4)
        thread.join(60)
        time.sleep(2)
        assert agent.end() == 0, agent.notes[-5:]
    finally:
        agent.end(signal.SIGKILL)
    truth = ground_truth.Truth(summary["file"], cluster.state["manifests"])
    comparison, problems = agents.compare(agent, truth)
    problems += agents.window_problems(agent)
    lengths = [w["end_time"] - w["start_time"] for w in agent.lines("agent.log")]
    for text in ("took over flush_interval", "not taken over"):
        if not any(text in note for note in agent.notes):
            problems.append(f"SIGHUP: no {text!r} in {agent.notes}")
    if lengths[1] != 2 or lengths[-2] != 1:
        problems.append(f"SIGHUP: windows of {lengths} s")
    print(f"{HANGUPS} SIGHUPs: {comparison.compared} ends compared, {len(problems)} disagreements; windows of {lengths} s")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    weir = parser.parse_args().weir
    skip_without_kernel()
    with lab("signals", "--rate", "0") as cluster:
        problems = check_termination(cluster, weir) + check_hangup(cluster, weir)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
