"""Starts and ends labs for tests, by their command line."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAB = os.path.join(ROOT, "lab", "lab.py")
SKIPPED = 77
PROGRAMS = ("ip", "nft", "nginx", "redis-server", "dnsmasq", "curl", "tcpdump", "ethtool")


def skip_without_kernel() -> None:
    """Ends the test if this machine cannot run labs; in CI that is a failure."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    why = ""
    if os.geteuid() != 0:
        why = "not root"
    elif missing := [p for p in PROGRAMS if not shutil.which(p)]:
        why = f"missing programs: {' '.join(missing)} (./dev setup)"
    elif subprocess.run(
        ["unshare", "-n", "nft", "add", "table", "ip", "t"], check=False, capture_output=True
    ).returncode:
        why = "no network namespaces or no nftables"
    if why:
        print(f"skipped: {why}")
        sys.exit(1 if os.environ.get("WEIR_CI") == "1" else SKIPPED)


class LabUnderTest:
    def __init__(self, name: str, *options: str) -> None:
        self.name = f"{name}{os.getpid()}"
        self.directory = tempfile.mkdtemp(prefix=f"weirlab-{self.name}-")
        start = time.monotonic()
        words = [LAB, "up", "--name", self.name, "--state", self.directory, *options]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.seconds_to_ready = time.monotonic() - start
        if not line.startswith("ready "):
            self.end()
            raise AssertionError(f"the lab did not come up: {line!r}")

    @property
    def state(self) -> dict:
        with open(os.path.join(self.directory, "state.json"), encoding="utf-8") as file:
            return json.load(file)

    def call(self, command: str, *words: str) -> str:
        done = subprocess.run(
            [LAB, command, "--state", self.directory, *words], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{command} {words}: {done.stderr}{done.stdout}"
        return done.stdout

    def fault(self, *words: str) -> str:
        return self.call("fault", *words)

    def run(self, connections: int, **options) -> dict:
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return json.loads(self.call("run", "--connections", str(connections), *words))

    def truth(self) -> list:
        out = os.path.join(self.directory, "connections.ndjson")
        self.call("truth", "--out", out)
        with open(out, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def spawn(self, namespace: str, *command: str, **options) -> subprocess.Popen:
        return subprocess.Popen(["ip", "netns", "exec", namespace, *command], **options)

    def end(self) -> None:
        """Also what a failed test has left."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self.process.stdout.close()
        if os.path.exists(os.path.join(self.directory, "state.json")):
            subprocess.run([LAB, "down", "--state", self.directory], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def lab(name: str, *options: str):
    made = LabUnderTest(name, *options)
    try:
        yield made
    finally:
        made.end()
