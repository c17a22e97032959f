"""The agents of a lab's nodes, under test: started, ended, and what they have written."""

import argparse
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))

import ground_truth  # noqa: E402
import state as lab_state  # noqa: E402
from lab_under_test import LabUnderTest, skip_without_kernel  # noqa: E402

LOGS = ("flows.log", "dns.log", "l7.log", "agent.log")
READY = re.compile(r"watching \d+ interfaces")
# Level 0 tells each connection of its own; a machine that is busy with other tests must not make an agent save CPU time.
SETTINGS = (
    "aggregation_level_allowed=0",
    "aggregation_level_denied=0",
    "dns_aggregation_level=0",
    "l7_aggregation_level=0",
    "l7_limit=0",
    "nat_outgoing_ports_limit=100",
    "cpu_limit_percent=0",
    "metrics_address=off",
)


class Agent:
    """One node's agent. Its logs stay when it is started again."""

    def __init__(
        self, weir: str, lab: LabUnderTest, node: str, source: str, interval: str, *settings: str, config: str = ""
    ) -> None:
        """`config`: a file, whose options the agent may take over anew; `interval` may be empty then."""
        self.lab, self.node, self.source = lab, node, source
        self.logs = os.path.join(lab.directory, f"logs-{source}-{node}")
        words = [weir, "agent", "--node", node, "--cluster", lab.state["manifests"], "--source", source]
        words += ["--log-dir", self.logs]
        words += ["--interval", interval] if interval else []
        words += ["--config", config] if config else []
        for setting in (*SETTINGS, *settings):
            words += ["--set", setting]
        self.words = words
        self.process: subprocess.Popen | None = None
        self.notes: list[str] = []

    @property
    def name(self) -> str:
        return f"{self.source} {self.node}"

    def start(self) -> None:
        """Returns once the agent watches the pods that there are."""
        self.launch()
        if not self.ready.wait(20) or not self.watches:
            raise AssertionError(f"the agent of {self.node} did not start: {self.notes[-5:]}")

    def launch(self) -> None:
        """As start(), without waiting."""
        ready = self.ready = threading.Event()
        self.watches = False
        process = self.spawn(self.lab.state["nodes"][self.node]["netns"])
        self.process = process

        def read() -> None:
            for line in process.stderr:
                self.notes.append(line.rstrip())
                if READY.search(line):
                    self.watches = True
                    ready.set()
            ready.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()

    def spawn(self, namespace: str) -> subprocess.Popen:
        return self.lab.spawn(namespace, *self.words, stderr=subprocess.PIPE, text=True)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.send(number)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the agent of {self.node} does not end") from None
        finally:
            self.reader.join(5)
            self.process.stderr.close()
        self.process = None
        return code

    def lines(self, name: str) -> list:
        """The records of a log, rotated ones too, oldest first. Every line must be one whole JSON object."""
        path = os.path.join(self.logs, name)
        paths = [f"{path}.{i}" for i in range(9, 0, -1)] + [path]
        records = []
        for one in filter(os.path.exists, paths):
            with open(one, "rb") as file:
                text = file.read()
            assert not text or text.endswith(b"\n"), f"{one}: the last line is torn"
            for number, line in enumerate(text.splitlines(), 1):
                try:
                    records.append(json.loads(line))
                except ValueError as error:
                    raise AssertionError(f"{one}:{number}: {error}: {line[:200]!r}") from None
        return records

    def wait_for_records(self, wanted, seconds: float = 15) -> list:
        """Those of flows.log once `wanted(record)` holds for one of them; none if that does not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # The agent may be writing a line just now.
            with contextlib.suppress(AssertionError):
                found = [r for r in self.lines("flows.log") if wanted(r)]
                if found:
                    return found
            time.sleep(0.1)
        return []


@contextlib.contextmanager
def agents(weir: str, lab: LabUnderTest, source: str, interval: str = "5s", nodes=None, settings=()):
    """Agents of all nodes, or some; ended whatever happens."""
    made = {node: Agent(weir, lab, node, source, interval, *settings) for node in nodes or lab.state["nodes"]}
    try:
        for agent in made.values():
            agent.start()
        yield made
        for agent in made.values():
            code = agent.end()
            assert code == 0, f"the agent of {agent.node}: exit code {code}, {agent.notes[-5:]}"
    finally:
        for agent in made.values():
            with contextlib.suppress(AssertionError):
                agent.end(signal.SIGKILL)


def gaps(agent: Agent, windows: list) -> list:
    """Where windows do not follow one another without gap or overlap."""
    return [
        f"{agent.node}: a window ends {before['end_time']}, the next begins {after['start_time']}"
        for before, after in zip(windows, windows[1:])
        if before["end_time"] != after["start_time"]
    ]


def window_problems(agent: Agent) -> list:
    """agent.log: windows follow one another without gap or overlap, nothing was lost, and records are all there."""
    windows = agent.lines("agent.log")
    if not windows:
        return [f"{agent.node}: agent.log is empty"]
    problems = gaps(agent, windows)
    for window in windows:
        lost = {f"{s['name']}/{c['name']}": c["count"] for s in window["sources"] for c in s["lost"] if c["count"]}
        lost.update({c["name"]: c["count"] for c in window["flows_dropped"] + window["lines_dropped"] if c["count"]})
        if lost or window["flows_widened"]:
            problems.append(f"{agent.node}: window {window['start_time']} lost {lost}, widened {window['flows_widened']}")
    for name in ("flows", "dns", "l7"):
        told = sum(c["count"] for w in windows for c in w["records_written"] if c["name"] == name)
        written = len(agent.lines(f"{name}.log"))
        if told != written:
            problems.append(f"{agent.node}: agent.log tells of {told} records of {name}.log, which has {written}")
    return problems


def for_each_source(check, sources: tuple, **options) -> int:
    """The main program of a test: check(weir, source) of all sources, or of those named, gives problems; `options` are
    more flags with their defaults, which check() takes by name. The exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--source", action="append", choices=sources)
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    given = vars(parser.parse_args())
    skip_without_kernel()
    problems = []
    for source in given["source"] or sources:
        problems += check(given["weir"], source, **{name: given[name] for name in options})
    print("\n".join(problems))
    return 1 if problems else 0


def compare(agent: Agent, truth: ground_truth.Truth, ignore_extra: bool = False) -> tuple:
    """(the comparison, disagreements as text)"""
    comparison = ground_truth.Comparison(agent.lines("flows.log"), truth, agent.node, agent.source, ignore_extra)
    return comparison, [f"{agent.node}: {d}" for d in comparison.run()]


def do(lab: LabUnderTest, pod: str, verb: str, argument: str, **options) -> str:
    """Lets the program of a pod make a connection, and waits for it: "done", or how it failed."""
    home = lab.state["pods"][pod]["home"]
    with lab_state.short_path(home, lab_state.CONTROL) as path, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        with peer.makefile("rw", encoding="utf-8") as stream:
            stream.write(json.dumps({"number": 1, "verb": verb, "argument": argument, "options": options}) + "\n")
            stream.flush()
            return json.loads(stream.readline())["result"]


@contextlib.contextmanager
def mounted(kind: str, path: str, options: str = "rw"):
    """A file system that only this test and its children see, and that is gone with them. The lab must be there before:
    that is the machine's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x20000) != 0:  # CLONE_NEWNS
        raise RuntimeError(f"unshare: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rslave", "/"], check=True)
    os.makedirs(path)
    subprocess.run(["mount", "-t", kind, "-o", options, kind, path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
