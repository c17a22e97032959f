#!/usr/bin/env python3
"""Aggregation moves detail, never traffic: at every level, packets, bytes and flows add up to the same.

usage: check_levels.py --weir BINARY --fixture testdata/shop
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

SUMMED = ("packets_in", "packets_out", "bytes_in", "bytes_out", "num_flows_started", "num_flows_completed",
          "num_flows_established", "num_flows_refused", "num_flows_unanswered", "tcp_resets", "tcp_total_retransmissions")
WINDOWS = ("0", "1s", "5m")


def replay(weir, fixture, *options):
    run = subprocess.run([weir, "replay", str(fixture / "shop.pcap"), "--cluster", str(fixture / "manifests.yaml"), *options],
                         capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def sums(records):
    """By what every level keeps: reporter, action, protocol, and the ends' namespaces and name prefixes."""
    totals = collections.defaultdict(lambda: [0] * len(SUMMED))
    for record in records:
        row = totals[tuple(record[name] for name in ("reporter", "action", "proto", "source_namespace", "source_name_aggr",
                                                     "dest_namespace", "dest_name_aggr"))]
        for i, name in enumerate(SUMMED):
            row[i] += record[name]
    return totals


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--fixture", required=True, type=pathlib.Path)
    options = parser.parse_args()
    passed = failed = 0
    for node in ([], ["--node", "node-1"]):
        want = sums(replay(options.weir, options.fixture, *node, "--level", "0", "--interval", "0"))
        for window in WINDOWS:
            before = None
            for level in (["--level", "0"], ["--level", "1"], ["--level", "2"], ["--level", "3"], []):
                records = replay(options.weir, options.fixture, *node, *level, "--interval", window)
                problems = []
                if not records or sums(records) != want:
                    problems.append("sums differ from level 0 in one window")
                if level and before is not None and len(records) > before:
                    problems.append(f"{len(records)} records, more than the {before} of the level below")
                before = len(records) if level else None
                passed, failed = (passed, failed + 1) if problems else (passed + 1, failed)
                if problems:
                    print(f"FAIL {' '.join([*node, *level, window])}: {'; '.join(problems)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
