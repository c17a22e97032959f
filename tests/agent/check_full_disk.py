#!/usr/bin/env python3
"""A full disk: the agent goes on, counts what it had to drop, and writes again once there is room.

usage: check_full_disk.py --weir BINARY
"""

import argparse
import errno
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agents  # noqa: E402
import ground_truth  # noqa: E402
from lab_under_test import lab, skip_without_kernel  # noqa: E402

NODE = "node-1"
DISK = "32m"
BUFFER_MB = 1  # what waits in memory of each log


def fill(path: str) -> None:
    with open(path, "wb", buffering=0) as file:
        for size in (65_536, 512):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error


def wait_for_note(agent: agents.Agent, text: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not any(text in note for note in agent.notes):
        assert agent.process.poll() is None and time.monotonic() < deadline, f"no {text!r}: {agent.notes}"
        time.sleep(0.05)


def check(weir: str) -> list:
    with lab("disk", "--rate", "0") as cluster:
        agent = agents.Agent(weir, cluster, NODE, "ebpf", "1s", f"log_buffer_mb={BUFFER_MB}")
        with agents.mounted("tmpfs", agent.logs, f"size={DISK}"):
            return watch(cluster, agent)


def watch(cluster, agent: agents.Agent) -> list:
    ballast, flows = (os.path.join(agent.logs, name) for name in ("ballast", "flows.log"))
    try:
        agent.start()
        cluster.run(60, concurrency=20, seed=1)
        assert agent.wait_for_records(lambda r: True), "nothing was written while there was room"
        fill(ballast)
        cluster.run(900, concurrency=40, seed=2)
        wait_for_note(agent, "lines wait in memory", 10)
        wait_for_note(agent, "lines are being dropped", 10)
        size = os.path.getsize(flows)
        os.unlink(ballast)
        time.sleep(6)  # attempts are up to 5 s apart
        assert os.path.getsize(flows) > size, f"not written again: {agent.notes}"
        last = cluster.run(100, concurrency=20, seed=3)
        assert agent.end() == 0, agent.notes[-5:]
    finally:
        agent.end(signal.SIGKILL)
    truth = ground_truth.Truth(last["file"], cluster.state["manifests"])
    comparison, problems = agents.compare(agent, truth, ignore_extra=True)
    print(f"{comparison.compared} ends compared after the disk was full, {len(problems)} disagreements")
    windows = agent.lines("agent.log")
    problems += agents.gaps(agent, windows)
    for name in ("flows", "dns", "l7"):
        made, dropped = (
            sum(c["count"] for w in windows for c in w[what] if c["name"] == name)
            for what in ("records_written", "lines_dropped")
        )
        written = len(agent.lines(f"{name}.log"))
        print(f"{name}.log: {made} records, {written} written, {dropped} dropped and counted")
        if made != written + dropped:
            problems.append(f"{name}.log: {made} records are not {written} written and {dropped} dropped")
        if name == "flows" and not dropped:
            problems.append("nothing was dropped: the test does not test")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    skip_without_kernel()
    problems = check(parser.parse_args().weir)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
