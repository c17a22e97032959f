"""Who takes part: command lines, and how each one's answer is held against the ledger before anything is timed."""

import json
import os
import re
import shutil
import subprocess

# What `./dev bench` may install. Suricata is in bookworm-backports only: it takes part where somebody installed it.
APT_PEERS = {
    "softflowd": "softflowd",
    "argus": "argus-server",
    "racount": "argus-client",
    "nfpcapd": "nfdump",
    "suricata": "suricata (bookworm-backports)",
}

SURICATA_CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "suricata.yaml")


class Mismatch(RuntimeError):
    """A tool's counts differ from the ledger."""


def expect(tool: str, **pairs: tuple) -> None:
    wrong = [f"{name} {got}, the ledger says {want}" for name, (got, want) in pairs.items() if got != want]
    if wrong:
        raise Mismatch(f"{tool}: " + "; ".join(wrong))


class Contender:
    """A program that reads the capture. `exporter`: a peer that turns it into flow records."""

    exporter = False
    needs: tuple = ()

    def __init__(self, capture: str, ledger: dict, work: str) -> None:
        self.capture, self.ledger, self.work = capture, ledger, os.path.join(work, type(self).__name__)

    def missing(self) -> list:
        return [tool for tool in self.needs if shutil.which(tool) is None and not os.path.exists(tool)]

    def prepare(self) -> None:
        """Before each run: an empty output directory."""
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)

    def out(self, name: str) -> str:
        return os.path.join(self.work, name)

    def argv(self) -> list:
        raise NotImplementedError

    def check(self, output: str) -> None:
        raise NotImplementedError


class Softflowd(Contender):
    name, exporter, needs = "softflowd (NetFlow v9)", True, ("softflowd",)
    collector_port = 9995

    def argv(self) -> list:
        # Without `-c none` Debian's softflowd waits for ever on its control socket when it reads a file.
        return [
            "softflowd",
            "-d",
            "-r",
            self.capture,
            "-m",
            "1000000",
            "-n",
            f"127.0.0.1:{self.collector_port}",
            "-v",
            "9",
            "-c",
            "none",
        ]

    def check(self, output: str) -> None:
        exported = re.search(r"Flows exported: (\d+) \((\d+) records\)", output)
        protocols = re.findall(r"^\s+\w+ \(\d+\):\s+(\d+)\s+(\d+)", output, re.M)
        expect(
            self.name,
            connections=(int(exported[1]), self.ledger["connections"]),
            uniflows=(int(exported[2]), self.ledger["uniflows"]),
            bytes=(sum(int(p[0]) for p in protocols), self.ledger["ip_bytes"]),
            packets=(sum(int(p[1]) for p in protocols), self.ledger["packets"]),
        )


class Argus(Contender):
    name, exporter, needs = "argus", True, ("argus", "racount")

    def argv(self) -> list:
        return ["argus", "-r", self.capture, "-w", self.out("argus.out")]

    def check(self, output: str) -> None:
        done = subprocess.run(["racount", "-r", self.out("argus.out")], capture_output=True, text=True, check=True)
        numbers = re.search(r"sum\s+(\d+)\s+(\d+)", done.stdout)
        # One record is a management record; bytes are those of the frames.
        expect(
            self.name,
            connections=(int(numbers[1]) - 1, self.ledger["connections"]),
            packets=(int(numbers[2]), self.ledger["packets"]),
        )


class Nfpcapd(Contender):
    name, exporter, needs = "nfpcapd", True, ("nfpcapd", "nfdump")

    def argv(self) -> list:
        return ["nfpcapd", "-r", self.capture, "-w", self.work, "-e", "300,60"]

    def check(self, output: str) -> None:
        done = subprocess.run(["nfdump", "-R", self.work, "-I"], capture_output=True, text=True, check=True)
        value = {key: int(re.search(rf"^{key}: (\d+)", done.stdout, re.M)[1]) for key in ("Flows", "Packets", "Bytes")}
        expect(
            self.name,
            uniflows=(value["Flows"], self.ledger["uniflows"]),
            packets=(value["Packets"], self.ledger["packets"]),
            bytes=(value["Bytes"], self.ledger["ip_bytes"]),
        )


class Suricata(Contender):
    """The peer of the JSON goal: one line per connection."""

    name, needs = "suricata (eve flow JSON)", ("suricata",)

    def argv(self) -> list:
        return [
            "suricata",
            "-c",
            SURICATA_CONFIG,
            "-r",
            self.capture,
            "-l",
            self.work,
            "--runmode",
            "single",
            "-k",
            "none",
            "-S",
            "/dev/null",
        ]

    def check(self, output: str) -> None:
        with open(self.out("eve.json"), "rb") as file:
            expect(
                self.name,
                connections=(sum(b'"event_type":"flow"' in line for line in file), self.ledger["connections"]),
            )


class Floor(Contender):
    """A program of ours that prints its counts as JSON."""

    def __init__(self, name: str, argv: list, *common: object) -> None:
        super().__init__(*common)
        self.name, self._argv, self.needs = name, argv, (argv[0],)
        self.work += "-" + re.sub(r"\W+", "-", name)

    def argv(self) -> list:
        return [
            *self._argv[:1],
            *(word.replace("CAPTURE", self.capture).replace("OUT", self.work) for word in self._argv[1:]),
        ]

    def check(self, output: str) -> None:
        got = json.loads(output.strip().splitlines()[-1])
        wanted = {"packets": "packets", "biflows": "connections", "bytes": "ip_bytes"}
        if got.get("biflows") == 0:  # only reads
            wanted = {"packets": "packets", "bytes": "wire_bytes"}
        pairs = {key: (got[key], self.ledger[of]) for key, of in wanted.items()}
        for key, kind in (("unanswered", "denied"), ("refused", "refused")):
            if key in got:
                pairs[key] = (got[key], self.ledger[kind]["connections"])
        expect(self.name, **pairs)


class Replay(Contender):
    """`weir replay` from capture to flows.log."""

    def __init__(self, name: str, weir: str, options: list, per_connection: bool, *common: object) -> None:
        super().__init__(*common)
        self.name, self.weir, self.options, self.per_connection, self.needs = (
            name,
            weir,
            options,
            per_connection,
            (weir,),
        )
        self.work += "-" + re.sub(r"\W+", "-", name)

    def argv(self) -> list:
        return [
            self.weir,
            "replay",
            self.capture,
            *self.options,
            "--flows",
            self.out("flows.log"),
            "--stats",
            self.out("stats.json"),
        ]

    def log_bytes(self) -> int:
        return os.path.getsize(self.out("flows.log"))

    def check(self, output: str) -> None:
        sums = sum_log(self.out("flows.log"))
        ledger = self.ledger
        pairs = {
            "packets": (sums["packets"], ledger["packets"]),
            "bytes": (sums["bytes"], ledger["ip_bytes"]),
            "connections": (sums["completed"], ledger["connections"]),
            "refused": (sums["refused"], ledger["refused"]["connections"]),
        }
        if "--cluster" in self.options:
            pairs["denied by policy"] = (sums["denied"], ledger["denied"]["connections"])
        if self.per_connection:
            pairs["source records"] = (sums["records_src"], ledger["connections"])
            pairs["without an answer"] = (sums["silent"], ledger["denied"]["connections"])
        expect(self.name, **pairs)


def sum_log(path: str) -> dict:
    """Sums a flow log. Every connection of the workload starts in a pod or is reported by its source, so the `src`
    records hold each connection once; the denied are counted at whichever end denied them."""
    sums = dict.fromkeys(("packets", "bytes", "completed", "refused", "silent", "denied", "records", "records_src"), 0)
    with open(path, "rb") as file:
        for line in file:
            record = json.loads(line)
            sums["records"] += 1
            if record["action"] == "deny":
                sums["denied"] += record["num_flows_started"]
            if record["reporter"] != "src":
                continue
            sums["records_src"] += 1
            sums["packets"] += record["packets_in"] + record["packets_out"]
            sums["bytes"] += record["bytes_in"] + record["bytes_out"]
            sums["completed"] += record["num_flows_started"]
            sums["refused"] += record["num_flows_refused"]
            sums["silent"] += record["packets_in"] == 0
    return sums


def absent_peers() -> list:
    return [package for tool, package in APT_PEERS.items() if shutil.which(tool) is None]
