#!/usr/bin/env python3
"""Compares a node's flows.log (level 0) with the lab's ground truth, and prints every disagreement.

usage: tests/lab/compare.py --truth FILE --flows FILE... --node NAME --manifests FILE
                            --source ebpf|conntrack|afpacket|pcap [--tolerate KIND,...] [--ignore-extra]

--truth is the lab's truth.ndjson, or connections.ndjson of one `lab.py run`. Exit code 0: all agree; 1: not; 2: usage.
"""

import argparse
import collections
import json
import sys

import ground_truth


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--flows", required=True, nargs="+")
    parser.add_argument("--node", required=True)
    parser.add_argument("--manifests", required=True, help="a lab's manifests.yaml: its history is used too")
    parser.add_argument("--source", required=True, choices=ground_truth.SOURCES)
    parser.add_argument(
        "--tolerate", default="", help="kinds of disagreement, by comma, that are counted and do not fail"
    )
    parser.add_argument("--ignore-extra", action="store_true", help="other traffic went on at the same time")
    options = parser.parse_args()
    truth = ground_truth.Truth(options.truth, options.manifests)
    records = ground_truth.read_records(options.flows)
    comparison = ground_truth.Comparison(records, truth, options.node, options.source, options.ignore_extra)
    tolerated = set(filter(None, options.tolerate.split(",")))
    found = comparison.run()
    for disagreement in found:
        if disagreement.kind not in tolerated:
            print(disagreement)
    kinds = collections.Counter(d.kind for d in found)
    sources = collections.Counter(r["verdict_source"] for r in records)
    print(
        json.dumps(
            {
                "node": options.node,
                "source": options.source,
                "connections": len(truth.connections),
                "compared": comparison.compared,
                "records": len(records),
                "verdict_sources": sources,
                "disagreements": kinds,
            }
        )
    )
    if comparison.compared == 0:
        print(f"nothing to compare: no connection of the ground truth has an end on {options.node}")
    return 1 if set(kinds) - tolerated or comparison.compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
