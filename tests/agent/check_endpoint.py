#!/usr/bin/env python3
"""A running agent serves what docs/metrics.md promises, tells how it does, and needs no more capabilities than documented,
for each source; with those that it keeps it still watches pods that come later.

usage: check_endpoint.py --weir BINARY
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))

from lab_under_test import ROOT, lab, skip_without_kernel  # noqa: E402

NEEDED = "+bpf,+perfmon,+net_admin,+net_raw"  # of docs/agent.md and deploy/daemonset.yaml
KEPT = {"ebpf": {"NET_ADMIN", "BPF"}, "conntrack": {"NET_ADMIN", "NET_RAW"}, "afpacket": {"NET_ADMIN", "NET_RAW"}}
BITS = {12: "NET_ADMIN", 13: "NET_RAW", 38: "PERFMON", 39: "BPF"}


class Agent:
    def __init__(self, weir: str, cluster, node: str, source: str, logs: str, *words: str) -> None:
        self.weir, self.netns = weir, cluster.state["nodes"][node]["netns"]
        manifests = cluster.state["manifests"]
        command = ["setpriv", f"--bounding-set=-all,{NEEDED}", f"--inh-caps=-all,{NEEDED}"]
        command += [weir, "agent", "--node", node, "--cluster", manifests, "--source", source, "--log-dir", logs]
        command += ["--interval", "2s", "--set", "metrics_address=127.0.0.1:0", *words]
        self.process = cluster.spawn(self.netns, *command, stderr=subprocess.PIPE, text=True)
        self.notes = []
        for line in self.process.stderr:
            self.notes.append(line)
            if found := re.search(r"metrics: http://(\S+)/metrics", line):
                self.address = found[1]
                break
        else:
            raise AssertionError(f"no agent: {self.notes}")

    def inside(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["ip", "netns", "exec", self.netns, *words], capture_output=True, text=True, check=False, timeout=30)

    def get(self, path: str) -> str:
        done = self.inside("curl", "-sS", "--fail", f"http://{self.address}{path}")
        assert done.returncode == 0, f"{path}: {done.stderr}"
        return done.stdout

    def status(self) -> dict:
        done = self.inside(self.weir, "status", "--address", self.address, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait_for(self, what: str, holds, seconds: float = 20) -> dict:
        deadline = time.monotonic() + seconds
        while not holds(status := self.status()):
            assert time.monotonic() < deadline, f"not {what}: {json.dumps(status, indent=1)}"
            time.sleep(0.2)
        return status

    def capabilities(self) -> set:
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            fields = dict(line.split(":\t", 1) for line in file)
        held = int(fields["CapPrm"], 16)
        assert held == int(fields["CapEff"], 16) and int(fields["CapInh"], 16) == 0 and fields["NoNewPrivs"].strip() == "1"
        return {BITS.get(bit, str(bit)) for bit in range(64) if held >> bit & 1}

    def end(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=30)
        return self.process.returncode


@contextlib.contextmanager
def agent(*words):
    folder = tempfile.mkdtemp(prefix="weir-endpoint-")
    running = Agent(*words, folder)
    try:
        yield running
        assert running.end() == 0, running.notes
    finally:
        running.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def documented() -> dict:
    with open(os.path.join(ROOT, "docs", "metrics.md"), encoding="utf-8") as file:
        # This agent ships nothing.
        return dict(re.findall(r"^\| `(?!weir_ship_)(\w+)` \| (\w+) \|", file.read(), re.MULTILINE))


def check_deployments() -> None:
    """What is deployed has the capabilities of this test, and no more."""
    import yaml  # of the lab's packages

    needed = {word.lstrip("+").upper() for word in NEEDED.split(",")}
    with open(os.path.join(ROOT, "deploy", "daemonset.yaml"), encoding="utf-8") as file:
        daemonset = next(o for o in yaml.safe_load_all(file) if o["kind"] == "DaemonSet")
    capabilities = daemonset["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]
    assert capabilities["drop"] == ["ALL"] and set(capabilities["add"]) == needed, capabilities
    with open(os.path.join(ROOT, "deploy", "weir-agent.service"), encoding="utf-8") as file:
        bounding = re.search(r"^CapabilityBoundingSet=(.*)$", file.read(), re.MULTILINE)[1]
    assert {word.removeprefix("CAP_") for word in bounding.split()} == needed, bounding
    with open(os.path.join(ROOT, "docs", "agent.md"), encoding="utf-8") as file:
        assert set(re.findall(r"^\| `([A-Z_]+)` \| ", file.read(), re.MULTILINE)) == needed


def check_metrics(one: Agent) -> None:
    text = one.get("/metrics")
    served = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    assert served == documented(), set(served.items()) ^ set(documented().items())
    assert len(re.findall(r"^# HELP \w+ \S.*\.$", text, re.MULTILINE)) == len(served)
    values = dict(re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE))
    for name in ("weir_agent_connections_total", 'weir_agent_records_total{log="flows"}', "weir_agent_connections_open",
                 "weir_agent_policy_engine_builds_total", "weir_agent_resident_memory_bytes", 'weir_agent_cluster_objects{kind="Pod"}'):
        assert float(values[name]) > 0, f"{name} {values[name]}"


def check_source(weir: str, cluster, source: str) -> None:
    with agent(weir, cluster, "node-1", source) as one:
        status = one.wait_for("flows written", lambda s: s["logs"][0]["lines_written"] > 0 and s["window"]["closed"] > 1)
        assert one.get("/readyz") == "ready\n" and one.get("/healthz") == "ok\n"
        used = [s["name"] for s in status["sources"] if s["used"]]
        assert used[0] == source and "nflog" in used, status["sources"]
        assert all(s["reason"] for s in status["sources"])
        assert status["cluster"]["synced"] and status["cluster"]["pods"] >= 12, status["cluster"]
        assert not any(n for s in status["sources"] for n in s.get("lost", {}).values()), status["sources"]
        check_metrics(one)
        assert set(status["capabilities"]) == KEPT[source] == one.capabilities(), (status["capabilities"], one.capabilities())
        text = one.inside(weir, "status", "--address", one.address).stdout
        assert re.search(rf"^source +{source}: connections, \d+ events", text, re.MULTILINE), text
        assert re.search(r"^lost +nothing$", text, re.MULTILINE), text
        # A pod that comes now is watched with what is left.
        watched, before = status["interfaces"], status["sources"]
        cluster.fault("replace-pod", "cart")
        one.wait_for("as many interfaces as before", lambda s: s["interfaces"] == watched)
        seen = '"source_name":"-","source_name_aggr":"cart-'
        path = status["logs"][0]["path"]
        size = os.path.getsize(path)

        def of_new_pod(_) -> bool:
            with open(path, encoding="utf-8") as file:
                file.seek(size)
                return any(seen in line and '"reporter":"src"' in line for line in file)

        one.wait_for("flows of the new pod", of_new_pod)
        notes = [n for n in one.notes if "privileges" in n or "not seen" in n]
        assert not notes, notes
        print(f"{source}: {len(before)} sources told of, keeps {', '.join(sorted(KEPT[source]))}")


def check_nobody(weir: str) -> None:
    done = subprocess.run(["unshare", "-n", weir, "status"], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "no agent answers at 127.0.0.1:9081" in done.stderr, done


def check_folder_of_somebody(weir: str, cluster) -> None:
    """A log folder of another user: one capability more is kept, and a note tells why."""
    folder = tempfile.mkdtemp(prefix="weir-endpoint-")
    os.chown(folder, 12345, 12345)
    netns = cluster.state["nodes"]["node-1"]["netns"]
    words = [weir, "agent", "--node", "node-1", "--cluster", cluster.state["manifests"], "--log-dir", folder]
    process = cluster.spawn(netns, *words, "--set", "metrics_address=off", stderr=subprocess.PIPE, text=True)
    try:
        notes = ""
        for line in process.stderr:
            notes += line
            if "watching" in line:
                break
        assert f"DAC_OVERRIDE is kept, as {folder} belongs to somebody else" in notes and "metrics:" not in notes, notes
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0 and os.path.exists(f"{folder}/flows.log"), process.returncode
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    options = parser.parse_args()
    skip_without_kernel()
    check_deployments()
    check_nobody(os.path.abspath(options.weir))
    with lab("endpoint", "--rate", "10") as cluster:
        for source in KEPT:
            check_source(os.path.abspath(options.weir), cluster, source)
        check_folder_of_somebody(os.path.abspath(options.weir), cluster)
    print("the agent's endpoint is as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
