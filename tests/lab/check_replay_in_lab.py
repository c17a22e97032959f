#!/usr/bin/env python3
"""What `weir replay` makes of a lab's packets equals the ground truth; and the comparison notices what is wrong.

usage: check_replay_in_lab.py --weir BINARY
"""

import argparse
import collections
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import ground_truth  # noqa: E402
from lab_under_test import lab, skip_without_kernel  # noqa: E402


def start_capture(cluster, node: str, path: str) -> subprocess.Popen:
    words = [
        "tcpdump",
        "-B",
        "65536",  # KiB: other tests keep the machine busy
        "-i",
        "mirror0",
        "-Q",
        "out",
        "-U",
        "--immediate-mode",
        "-B",
        "65536",
        "-Z",
        "root",
        "-s",
        "0",
        "-w",
        path,
        "ip",
    ]
    process = cluster.spawn(cluster.state["nodes"][node]["netns"], *words, stderr=subprocess.PIPE, text=True)
    while "listening on" not in process.stderr.readline():
        assert process.poll() is None, "tcpdump did not start"
    return process


def replay(weir: str, capture: str, manifests: str, node: str) -> list:
    flows = capture + ".log"
    words = [weir, "replay", capture, "--cluster", manifests, "--node", node, "--level", "0", "--flows", flows]
    subprocess.run(words, check=True, timeout=120)
    return ground_truth.read_records([flows])


def spoiled(records: list) -> list:
    """(kind that must be told, records with one thing wrong)"""

    def change(fitting, **fields) -> list:
        index = next(i for i, r in enumerate(records) if fitting(r))
        return [{**r, **fields} if i == index else r for i, r in enumerate(records)]

    def is_allowed(record: dict) -> bool:
        return record["action"] == "allow" and record["proto"] == "tcp" and record["num_flows_established"] == 1

    one = next(r for r in records if is_allowed(r))
    denied = next(r for r in records if r["action"] == "deny")
    return [
        ("missing", records[1:]),
        ("extra", [*records, {**records[0], "source_port": 9}]),
        ("count", [*records, one]),
        ("count", change(is_allowed, num_flows_completed=0)),
        ("outcome", change(is_allowed, num_flows_established=0)),
        ("bytes", change(is_allowed, bytes_out=30)),
        ("bytes", change(is_allowed, bytes_in=one["bytes_in"] * 4)),
        ("bytes", change(lambda r: r is denied, packets_in=1, packets_out=1, bytes_in=60, bytes_out=60)),
        ("verdict", change(is_allowed, action="deny")),
        ("policy", change(is_allowed, policies={"enforced_policies": ["0|default|shop/knp.default.none|allow|0"]})),
        ("policy", change(lambda r: r is denied, policies=None)),
        ("name", change(is_allowed, source_name="somebody-else")),
        ("time", change(is_allowed, start_time=one["start_time"] + 9999, end_time=one["end_time"] + 9999)),
        ("process", change(lambda r: is_allowed(r) and r["reporter"] == "src", process_name="sshd")),
        ("nat", change(lambda r: is_allowed(r) and r["reporter"] == "src", nat_outgoing_ports=[9])),
    ]


def check(cluster, weir: str) -> list:
    problems = []
    captures = {node: os.path.join(cluster.directory, f"{node}.pcap") for node in cluster.state["nodes"]}
    processes = [start_capture(cluster, node, path) for node, path in captures.items()]
    cluster.run(300, concurrency=8, seed=7)
    # Another pod takes an address: who had it when is in the manifests.
    cluster.fault("replace-pod", "cart")
    cluster.run(100, concurrency=8, seed=8)
    for process in processes:
        process.terminate()
        told = process.communicate()[1]
        assert "\n0 packets dropped by kernel" in told, f"the capture lost packets: {told}"
    manifests = cluster.state["manifests"]
    truth = ground_truth.Truth(cluster.state["truth"], manifests)
    names = {c["src"]["name"] for c in truth.connections}
    assert len([n for n in names if "/cart-" in n]) == 2, names
    for node, capture in captures.items():
        records = replay(weir, capture, manifests, node)
        comparison = ground_truth.Comparison(records, truth, node, "pcap")
        problems += [f"{node}: {d}" for d in comparison.run()]
        print(f"{node}: {comparison.compared} ends compared with {len(records)} records")
        for kind, wrong in spoiled(records):
            found = collections.Counter(d.kind for d in ground_truth.Comparison(wrong, truth, node, "pcap").run())
            if not found[kind]:
                problems.append(f"{node}: nobody noticed: {kind}, only {dict(found)}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    options = parser.parse_args()
    skip_without_kernel()
    problems = []
    for name, more in (("wire", ["--on-the-wire"]), ("offload", [])):
        with lab(name, "--rate", "0", "--mirror", *more) as cluster:
            problems += [f"{name}: {problem}" for problem in check(cluster, options.weir)]
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
