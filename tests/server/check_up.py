#!/usr/bin/env python3
"""`weir up` on a node of the lab: what its pods do can be asked of its server within a flush and a second, its live stream
has it, its shipper's figures are among the agent's, and it ends with everything delivered.

usage: check_up.py --weir BINARY
"""
import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))

from lab_under_test import lab, skip_without_kernel  # noqa: E402

INTERVAL = 3
NODE = "node-1"


class Up:
    def __init__(self, weir: str, cluster, folder: str) -> None:
        self.netns = cluster.state["nodes"][NODE]["netns"]
        self.logs = folder + "/logs"
        words = [weir, "up", "--node", NODE, "--cluster", cluster.state["manifests"], "--log-dir", self.logs, "--data", folder + "/data", "--listen",
                 "127.0.0.1:0", "--interval", f"{INTERVAL}s", "--set", "metrics_address=127.0.0.1:0", "--set", f"state_directory={folder}/state"]
        self.process = cluster.spawn(self.netns, *words, stderr=subprocess.PIPE, text=True)
        self.notes: list[str] = []
        self.found: dict[str, str] = {}
        ready = threading.Event()

        def read() -> None:
            for line in self.process.stderr:
                self.notes.append(line.rstrip())
                for name, pattern in (("url", r"listening at (http://\S+)"), ("metrics", r"metrics: (http://\S+)")):
                    if found := re.search(pattern, line):
                        self.found[name] = found[1]
                if len(self.found) == 2:
                    ready.set()
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        assert ready.wait(40) and len(self.found) == 2, f"weir up did not start: {self.notes[-5:]}"

    def curl(self, url: str, *words: str) -> str:
        done = subprocess.run(["ip", "netns", "exec", self.netns, "curl", "-sS", "--fail", *words, url], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{url}: {done.stderr}"
        return done.stdout

    def flows(self) -> list:
        text = self.curl(self.found["url"] + "/api/v1/flows?from=-1h&dedupe=false&limit=100000", "-H", "Accept: application/x-ndjson")
        return [json.loads(line) for line in text.splitlines()]


def check(weir: str, cluster, folder: str) -> None:
    up = Up(weir, cluster, folder)
    try:
        stream = subprocess.Popen(["ip", "netns", "exec", up.netns, "curl", "-sSN", up.found["url"] + "/api/v1/flows/stream"], stdout=subprocess.PIPE, text=True)
        deadline = time.time() + 60
        while not up.flows():
            assert time.time() < deadline, f"no flow came: {up.notes[-5:]}"
            time.sleep(0.2)
        # From the end of its window to the answer, of records that come while we look.
        late, known = [], {json.dumps(r, sort_keys=True) for r in up.flows()}
        while len(late) < 3 and time.time() < deadline:
            time.sleep(0.1)
            new = [r for r in up.flows() if json.dumps(r, sort_keys=True) not in known]
            if new:
                late.append(time.time() - max(r["end_time"] for r in new))
                known |= {json.dumps(r, sort_keys=True) for r in new}
        # `end_time` has whole seconds.
        assert late and min(late) < 2, f"flows come {late} s after their window"
        assert {r["host"] for r in up.flows()} == {NODE}
        event = next(line for line in stream.stdout if line.startswith("data: "))
        assert json.loads(event[6:])["host"] == NODE
        stream.kill()
        metrics = up.curl(up.found["metrics"])
        assert re.search(r'weir_ship_lines_sent_total\{destination="up",kind="weir"\} [1-9]', metrics), metrics
        stats = json.loads(up.curl(up.found["url"] + "/api/v1/stats?from=-1h&metrics=count&dedupe=false"))
        assert stats["completeness"]["nodes"] == 1, stats
    finally:
        up.process.terminate()
        code = up.process.wait(60)
    assert code == 0, f"exit code {code}: {up.notes[-5:]}"
    with open(up.logs + "/flows.log", encoding="utf-8") as file:
        written = sum(1 for _ in file)
    # What the last flush wrote was delivered before the end: a server alone has all of it.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import servers  # noqa: E402

    class Data(servers.Server):
        pass

    again = Data(weir, folder).start()
    try:
        assert len(again.rows()) == written, (len(again.rows()), written)
    finally:
        again.end()
    print(f"flows can be asked for {min(late):.1f} to {max(late):.1f} s after their window; {written} lines, all of them stored")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    args = parser.parse_args()
    skip_without_kernel()
    with tempfile.TemporaryDirectory(prefix="weir-up-") as folder, lab("up", "--rate", "10") as cluster:
        check(args.weir, cluster, folder)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
