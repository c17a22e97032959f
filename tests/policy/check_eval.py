#!/usr/bin/env python3
"""Holds `weir policy eval` to the shared verdict cases whose policies are all Kubernetes NetworkPolicy.

usage: check_eval.py --weir BINARY --data SHARED/data/policy
"""
import argparse
import json
import pathlib
import subprocess
import sys

# Kinds that index.json lists beside policies and that change no verdict here.
NO_POLICY = {"Node", "ServiceAccount"}


def evaluate(weir, manifests, queries):
    lines = "".join(json.dumps(query) + "\n" for query in queries)
    run = subprocess.run([weir, "policy", "eval", "--cluster", str(manifests), "--trace-names", "kind"], input=lines,
                         capture_output=True, text=True, timeout=120)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    if run.returncode != 0 or len(answers) != len(queries):
        raise RuntimeError(f"exit {run.returncode}, {len(answers)} answers to {len(queries)} queries: {run.stderr[:500]}")
    return answers


def query_of(flow):
    return {key: flow[key] for key in ("src", "dst", "protocol", "port", "srcPort", "icmpType", "icmpCode") if key in flow}


def check_case(weir, folder):
    problems = []
    flows = json.loads((folder / "expected.json").read_text())
    for flow, answer in zip(flows, evaluate(weir, folder / "manifests.yaml", [query_of(flow) for flow in flows]) if flows else []):
        got = {"allowed": answer["allowed"]}
        for side in ("egress", "ingress"):
            if side in flow:
                got[side] = answer[side]["action"] if answer[side] else "allow"
        want = {key: flow[key] for key in got}
        if want != got:
            problems.append(f"{query_of(flow)}: expected {want}, got {got}")
    traced = json.loads((folder / "trace.json").read_text()) if (folder / "trace.json").exists() else []
    for flow, answer in zip(traced, evaluate(weir, folder / "manifests.yaml", [query_of(flow) for flow in traced]) if traced else []):
        for side in ("egress", "ingress"):
            # An end that is no managed pod has an empty trace in the cases and is null in the answer.
            want = flow[side]["trace"] if flow.get(side) else []
            got = answer[side]["enforced_policies"] if answer[side] else []
            if want != got:
                problems.append(f"{query_of(flow)} {side}: expected {want}, got {got}")
    return len(flows), len(traced), problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    options = parser.parse_args()
    index = json.loads((options.data / "index.json").read_text())["verdict"]
    cases = [case["id"] for case in index if set(case["policyKinds"]) - NO_POLICY <= {"NetworkPolicy"}]
    failed = flows = traces = 0
    for case in cases:
        try:
            case_flows, case_traces, problems = check_case(options.weir, options.data / "verdict" / case)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            case_flows, case_traces, problems = 0, 0, [repr(error)]
        flows += case_flows
        traces += case_traces
        if problems:
            failed += 1
            print(f"FAIL {case}: {len(problems)} differences")
            print("\n".join("    " + text for text in problems[:5]))
    print(f"{flows} connections and {traces} traces of {len(cases)} cases")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
