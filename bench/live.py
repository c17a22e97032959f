"""What the live measurements are made of: a lab, load between two of its pods, an agent, and what they cost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))

from lab_under_test import LabUnderTest  # noqa: E402

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Pods without policies, which take load on any port.
CLIENT, SERVERS = "report", {"same node": "coredns", "cross node": "prometheus"}
NODE = "node-1"
PORTS = 20


def process_cpu_s(pid: int) -> tuple:
    """User and system seconds of a process and its threads."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) * TICK_S, int(fields[12]) * TICK_S


def machine_cpu_s() -> dict:
    """Seconds of all cores so far: in soft interrupts, and idle."""
    with open("/proc/stat", encoding="utf-8") as file:
        fields = [int(word) * TICK_S for word in file.readline().split()[1:]]
    return {"softirq": fields[6], "idle": fields[3] + fields[4]}


def memory_kb(pid: int) -> dict:
    """VmRSS (resident now), VmHWM (most ever), RssAnon and the like of a process."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {line.split(":")[0]: int(line.split()[1]) for line in file if line.startswith(("VmRSS", "VmHWM", "Rss"))}


class Lab:
    """A quiet lab of its own, with the namespaces that load runs in."""

    def __init__(self, build: str) -> None:
        self.build = build
        self.lab = LabUnderTest("load", "--rate", "0", "--time-wait", "5")
        state = self.lab.state
        self.node = state["nodes"][NODE]["netns"]
        self.pods = {name.split("/")[1].rsplit("-", 2)[0]: pod for name, pod in state["pods"].items()}
        self.nodes = [node["netns"] for node in state["nodes"].values()]
        self.manifests = state["manifests"]
        self.next_port = 20_000

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.end()

    def program(self, name: str) -> str:
        return os.path.join(self.build, "bin", name)

    def spawn(self, namespace: str, *command: str, **options) -> subprocess.Popen:
        # `ip netns exec` becomes the program: the process is the program's.
        return subprocess.Popen(["ip", "netns", "exec", namespace, *command], **options)

    def forget_connections(self) -> None:
        """What one measurement leaves in the connection trackers shall not end within the next one."""
        for node in self.nodes:
            subprocess.run(["ip", "netns", "exec", node, "conntrack", "-F"], check=True, stderr=subprocess.DEVNULL)

    def interface_packets(self, pod: dict) -> int:
        """IP packets that passed the node's end of a pod's interface, both ways. (Pods know their gateway: no ARP.)"""
        command = ["ip", "-n", self.node, "-s", "-j", "link", "show", "dev", pod["interface"]]
        counters = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[0]["stats64"]
        return counters["rx"]["packets"] + counters["tx"]["packets"]

    def load(self, place: str, rate: int, connections: int, **options: object) -> "Load":
        # Other ports each time: no tuple comes again while a kernel remembers it.
        self.next_port = self.next_port + PORTS if self.next_port < 32_000 else 20_000
        return Load(self, SERVERS[place], rate, connections, self.next_port, options)


class Load:
    """connect_load, running. wait() gives what both sides counted."""

    def __init__(self, lab: Lab, server: str, rate: int, connections: int, port: int, options: dict) -> None:
        at, to = lab.pods[CLIENT], lab.pods[server]
        words = [to["ip"], str(port), "--ports", str(PORTS)]
        program = lab.program("connect_load")
        self.server = lab.spawn(to["netns"], program, "server", *words, stdout=subprocess.PIPE, text=True)
        self.server.stdout.readline()  # "ready"
        words += ["--rate", str(rate), "--connections", str(connections)]
        words += [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        self.start = time.monotonic()
        self.client = lab.spawn(at["netns"], program, "client", *words, stdout=subprocess.PIPE, text=True)

    def wait(self) -> dict:
        client = json.loads(self.client.communicate()[0])
        self.server.send_signal(signal.SIGTERM)
        server = json.loads(self.server.communicate()[0].splitlines()[-1])
        return {
            "started": client["started"],
            "completed": client["completed"],
            "seconds": client["seconds"],
            "rate": client["started"] / client["seconds"],
            "cpu_s": client["cpu_seconds"] + server["cpu_seconds"],
        }


class Agent:
    """`weir agent` on the client's node, from its start to the end of its logs."""

    def __init__(self, lab: Lab, source: str, level: int | None = None, cluster: str = "", **settings: object) -> None:
        self.source = source
        self.directory = tempfile.TemporaryDirectory(prefix="weir-bench-agent-")
        settings = {"metrics_address": "127.0.0.1:0", **settings}
        if level is not None:
            # The budget of keys would widen it.
            settings |= {"aggregation_level_allowed": level, "aggregation_level_denied": level, "max_flow_keys": 10**8}
        words = [lab.program("weir"), "agent", "--node", NODE, "--cluster", cluster or lab.manifests]
        words += ["--source", source, "--log-dir", self.directory.name]
        words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        self.notes = open(os.path.join(self.directory.name, "notes"), "w+", encoding="utf-8")  # noqa: SIM115
        self.process = lab.spawn(lab.node, *words, stderr=self.notes)
        self._wait_until_it_sees()

    def _wait_until_it_sees(self) -> None:
        deadline = time.monotonic() + 30
        while "watching" not in self.text("notes"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"agent with {self.source}: {self.text('notes')[-400:]}")
            time.sleep(0.05)
        time.sleep(0.5)  # the first dump

    def text(self, name: str) -> str:
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.directory.name, name)) as file:
            return file.read()
        return ""

    def cpu_s(self) -> tuple:
        return process_cpu_s(self.process.pid)

    def memory_kb(self) -> dict:
        return memory_kb(self.process.pid)

    def stop(self) -> dict:
        """Ends it; CPU seconds of its whole life, the most memory, and its logs."""
        self.process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise RuntimeError(f"agent with {self.source}: exit {self.process.returncode}: {self.text('notes')[-400:]}")
        result = {
            "cpu_s": (usage.ru_utime, usage.ru_stime),
            "max_rss_mb": usage.ru_maxrss / 1024,
            "windows": [json.loads(line) for line in self.text("agent.log").splitlines()],
            "flows": [json.loads(line) for line in self.text("flows.log").splitlines()],
        }
        self.notes.close()
        self.directory.cleanup()
        return result


def losses(windows: list) -> dict:
    """What agent.log says was lost, by source and reason; zeros are left out."""
    lost: dict = {}
    for window in windows:
        for source in window["sources"]:
            for reason in source["lost"]:
                key = f"{source['name']}.{reason['name']}"
                lost[key] = lost.get(key, 0) + reason["count"]
        for reason in window["flows_dropped"] + window["lines_dropped"]:
            lost[reason["name"]] = lost.get(reason["name"], 0) + reason["count"]
    return {key: count for key, count in lost.items() if count}


def load_flows(flows: list, reporter: str) -> dict:
    """Connections started and packets, of the records that tell of the load."""
    of_load = [f for f in flows if f["reporter"] == reporter and f["source_namespace"] == "analytics"]
    return {
        "started": sum(f["num_flows_started"] for f in of_load),
        "packets": sum(f["packets_in"] + f["packets_out"] for f in of_load),
        "records": len(of_load),
    }


def events(windows: list, name: str) -> int:
    return sum(source["events"] for window in windows for source in window["sources"] if source["name"] == name)
