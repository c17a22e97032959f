#!/usr/bin/env python3
"""Weir against floors and peers, as ratios, in one run.

usage: bench/run.py [--build build/release] [--quick] [--rounds 5] [--json OUT]

The contenders read the same capture in turns, round by round; what counts is CPU time, and ratios of it, since a shared
host may be twice as slow a minute later. Before timing, each contender's counts are compared with the workload's ledger.
--quick: a tenth of the workload and one round; ratios are printed and not gated, wrong counts still fail.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys

import contenders as c
from harness import Goal, Samples, google_benchmark, measure, print_goals, print_samples

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# CPU of suricata (7.0.10, eve flow log only) over softflowd's on this workload, as last measured side by side.
SURICATA_OVER_SOFTFLOWD = 2.03


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.bin = os.path.join(options.build, "bin")
        self.work = os.path.join(ROOT, "build", "bench")
        self.samples = Samples()
        self.goals: list[Goal] = []
        self.facts: dict = {}
        self.problems: list[str] = []
        os.makedirs(self.work, exist_ok=True)

    def path(self, name: str) -> str:
        return os.path.join(self.work, name)

    def program(self, name: str) -> str:
        return os.path.join(self.bin, name)

    def goal(self, *arguments: object, **named: object) -> None:
        self.goals.append(Goal(*arguments, **named, gated=not self.options.quick))

    def generate(self, generator: str, stem: str, *arguments: str) -> dict:
        """Makes a workload unless the same one is there, and returns its ledger."""
        files = [self.path(f"{stem}.{kind}") for kind in ("pcap", "ledger.json", "cluster.json")]
        stamp = f"{generator} {' '.join(arguments)} {os.path.getmtime(self.program(generator))}"
        made = self.path(f"{stem}.made")
        if not (os.path.exists(made) and open(made, encoding="utf-8").read() == stamp):
            print(f"generating {stem}.pcap", flush=True)
            subprocess.run([self.program(generator), *files, *arguments], check=True)
            with open(made, "w", encoding="utf-8") as file:
                file.write(stamp)
        with open(files[1], encoding="utf-8") as file:
            return json.load(file)

    # Rows 1 to 6: one capture, all contenders.

    def line_up(self, ledger: dict) -> list:
        capture, weir = self.path("capture.pcap"), self.program("weir")
        common = (capture, ledger, self.path("out"))
        cluster = ["--cluster", self.path("capture.cluster.json"), "--interval", "300s"]
        return [
            c.Floor("floor: libpcap read", [self.program("floor_libpcap"), "read", "CAPTURE"], *common),
            c.Floor("floor: libpcap, parse, hash", [self.program("floor_libpcap"), "flows", "CAPTURE"], *common),
            c.Floor("floor: mmap, parse, hash", [self.program("floor_mmap"), "CAPTURE"], *common),
            c.Floor("weir: biflows, binary", [self.program("biflow_export"), "CAPTURE", "OUT/biflows.bin"], *common),
            c.Replay("weir replay: default levels", weir, cluster, False, *common),
            c.Replay("weir replay: level 0, both ends", weir, [*cluster, "--level", "0"], True, *common),
            c.Replay("weir replay: level 0, no cluster", weir, ["--level", "0", "--interval", "0"], True, *common),
            c.Softflowd(*common),
            c.Argus(*common),
            c.Nfpcapd(*common),
            c.Suricata(*common),
        ]

    def compare_tools(self, ledger: dict) -> list:
        present = []
        for contender in self.line_up(ledger):
            missing = contender.missing()
            if missing:
                print(
                    f"not taking part: {contender.name} ({', '.join(os.path.basename(m) for m in missing)} is missing)"
                )
                continue
            try:
                contender.prepare()
                contender.check(measure(contender.argv()).output)
                print(f"counts equal the ledger: {contender.name}", flush=True)
            except c.Mismatch as problem:
                self.problems.append(str(problem))
                print(f"WRONG COUNTS: {problem}", flush=True)
            except (RuntimeError, OSError, ValueError, TypeError, KeyError, subprocess.CalledProcessError) as problem:
                self.problems.append(f"{contender.name}: {problem}")
                print(f"FAILED: {contender.name}: {problem}", flush=True)
                continue
            present.append(contender)
        for _ in range(self.options.rounds):
            for contender in present:
                contender.prepare()
                self.samples.add(contender.name, measure(contender.argv()))
        return present

    def judge_tools(self, present: list, ledger: dict) -> None:
        names = {x.name for x in present}
        exporters = [x.name for x in present if x.exporter]
        fastest = min(exporters, key=self.samples.cpu) if exporters else None

        def ratio(slow: str | None, fast: str) -> float | None:
            return self.samples.ratio(slow, fast) if slow in names and fast in names else None

        biflows, default, floor = "weir: biflows, binary", "weir replay: default levels", "floor: mmap, parse, hash"
        both, single, eve = "weir replay: level 0, both ends", "weir replay: level 0, no cluster", c.Suricata.name
        against = f"fastest here: {fastest}" if fastest else "no peer is installed"
        self.goal(
            "1", "capture to biflows, binary, over the fastest exporter", ratio(fastest, biflows), 3.5, 6, note=against
        )
        self.goal("2", "the same, CPU of the mmap floor", ratio(biflows, floor), 1.5, 0.8, at_most=True)
        self.goal(
            "3",
            "capture to policy, aggregate, JSON, over the fastest exporter",
            ratio(fastest, default),
            2.5,
            4,
            note=against,
        )
        if eve in names:
            self.goal("4", "one JSON line per connection, over suricata eve-flow", ratio(eve, single), 4, 8)
            self.goal("4", "two lines per connection, with policy, over suricata", ratio(eve, both))
        else:
            self.goal(
                "4",
                "one JSON line per connection, over suricata eve-flow",
                None,
                4,
                8,
                note="suricata is not installed",
            )
            for name, what in ((single, "one line"), (both, "two lines with policy")):
                measured = ratio(c.Softflowd.name, name)
                self.goal(
                    "4",
                    f"{what}, estimated",
                    measured and measured * SURICATA_OVER_SOFTFLOWD,
                    note=f"from softflowd here, times {SURICATA_OVER_SOFTFLOWD} measured elsewhere",
                )
        if default in names:
            cpu = self.samples.cpu(default)
            self.goal("5", "end to end, packets per CPU second", ledger["packets"] / cpu / 1e6, 1.5, 4, unit="Mpps")
            self.goal(
                "5", "end to end, connections per CPU second", ledger["connections"] / cpu / 1e3, 150, 400, unit="k/s"
            )
        self.goals.append(
            Goal(
                "6",
                "counts that differ from the ledger",
                len(self.problems),
                0,
                unit="",
                at_most=True,
                note=f"{len(present)} contenders checked",
            )
        )

    # Rows 7 and 9, memory, verdicts: the modules' own benchmarks.

    def micro(self, name: str, pattern: str = "") -> dict:
        program = self.program(name)
        if not os.path.exists(program):
            print(f"not taking part: {name} is not built")
            return {}
        try:
            return google_benchmark(program, 1 if self.options.quick else self.options.rounds, pattern)
        except (RuntimeError, subprocess.CalledProcessError, ValueError) as problem:
            self.problems.append(f"{name}: {problem}")
            return {}

    def judge_modules(self) -> None:
        log = self.micro("flowlog_bench")
        rapid = log.get("BM_RapidJson", {}).get("cpu_ns")

        def over_rapid(name: str) -> float | None:
            return rapid / log[name]["cpu_ns"] if rapid and name in log else None

        self.goal("7", "JSON writer over RapidJSON", over_rapid("BM_Fragments"), 2, 5)
        self.goal("7", "the same without remembered fragments", over_rapid("BM_NoFragments"))
        self.judge_aggregation(self.micro("aggregate_bench"))
        self.judge_policy()
        memory = self.program("connection_memory")
        if os.path.exists(memory):
            result = json.loads(measure([memory, "100000" if self.options.quick else "1000000"]).output)
            self.goal(
                "-",
                "memory of one open connection",
                result["bytes_per_connection"],
                unit="B",
                note=f"{result['connections']:,} open",
            )

    def judge_policy(self) -> None:
        """At the sizes that the goals name; policy_bench itself measures up to 10,000 policies and 100,000 pods."""
        results = self.micro("policy_bench", "(Verdict|Change).*(1000/pods:5000|5000/pods:100000)(/|$)")
        small, large = "policies:1000/pods:5000", "policies:5000/pods:100000"
        names = {"small": "1,000 policies, 5,000 pods", "large": "5,000 policies, 100,000 pods"}

        def cost(benchmark: str) -> float | None:
            found = [result["cpu_ns"] for name, result in results.items() if name.startswith(f"BM_{benchmark}")]
            return found[0] if found else None

        oracle = cost(f"VerdictOracle/{small}")
        for kind in ("Cached", "Uncached"):
            one = cost(f"Verdict{kind}/{small}")
            if one:
                note = f"{names['small']}; {oracle / one:,.0f} times the simple evaluator" if oracle else names["small"]
                self.goal("-", f"policy verdict, {kind.lower()}", one, unit="ns", note=note)
        for change in ("ChangePolicy", "ChangePolicyNewLabel", "ChangePod"):
            for size, where in (("small", small), ("large", large)):
                one = cost(f"{change}/{where}")
                if one:
                    self.goal("-", f"policy engine: {change}", one / 1e6, unit="ms", note=names[size])

    def judge_aggregation(self, results: dict) -> None:
        """Net of BM_Feed, the cost of the loop that feeds both."""
        for case, name in (("zipf:0", "uniform"), ("zipf:1", "Zipf")):
            keys = [f"BM_{part}/{case}" for part in ("UnorderedMap", "Aggregator", "Feed")]
            measured = None
            if all(key in results for key in keys):
                rival, ours, feed = (results[key]["cpu_ns"] for key in keys)
                measured = (rival - feed) / (ours - feed)
            self.goal("9", f"aggregation over std::unordered_map, 60,000 keys, {name}", measured, 2.2, 3.5)

    # Row 10: the node workload.

    def judge_reduction(self) -> None:
        arguments = ["--rate", "500"] if self.options.quick else []
        ledger = self.generate("gen_node_workload", "node", *arguments)
        weir = self.program("weir")
        if not os.path.exists(weir):
            self.goal("10", "reduction on the node workload", None, 100, 300)
            return
        argv = [
            weir,
            "replay",
            self.path("node.pcap"),
            "--cluster",
            self.path("node.cluster.json"),
            "--node",
            ledger["node"],
            "--interval",
            f"{ledger['window_s']}s",
            "--set",
            "max_flow_keys=100000000",  # level 0 shall stay level 0
        ]
        options = {"default levels": [], **{f"level {level}": ["--level", str(level)] for level in range(4)}}
        try:
            levels = {name: _sum_stream([*argv, *extra]) for name, extra in options.items()}
        except RuntimeError as problem:
            self.problems.append(f"node workload: {problem}")
            return
        default, raw = levels["default levels"], levels["level 0"]
        self.facts["node_workload"] = {"connections": ledger["connections"], **levels}
        if len({(sums["packets"], sums["bytes"]) for sums in levels.values()}) != 1:
            self.problems.append(f"node workload: packets or bytes differ between levels: {levels}")
        note = "a tenth of the rate: no measure of it" if self.options.quick else ""
        self.goal(
            "10",
            "connections in over records out, default levels",
            ledger["connections"] / max(1, default["records"]),
            100,
            300,
            note=note,
        )
        self.goal(
            "10",
            "bytes of the log, level 0 over default levels",
            raw["log_bytes"] / max(1, default["log_bytes"]),
            100,
            300,
            note=note,
        )

    def run(self) -> int:
        options = self.options
        if absent := c.absent_peers():
            print(f"absent peers: apt-get install {' '.join(absent)}")
        ledger = self.generate("gen_capture", "capture", *(["--connections", "20000"] if options.quick else []))
        print(
            f"capture: {ledger['packets']:,} packets, {ledger['connections']:,} connections, "
            f"{ledger['uniflows']:,} uniflows"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:  # somebody to send NetFlow to
            collector.bind(("127.0.0.1", 0))
            c.Softflowd.collector_port = collector.getsockname()[1]
            present = self.compare_tools(ledger)
        self.judge_reduction()
        self.judge_modules()
        self.judge_tools(present, ledger)
        self.goals.sort(key=lambda goal: int(goal.row) if goal.row.isdigit() else 99)
        print(f"\nmedians of {options.rounds} interleaved rounds")
        print_samples(self.samples, ledger["packets"], ledger["connections"])
        print()
        print_goals(self.goals)
        for problem in self.problems:
            print(f"PROBLEM: {problem}")
        shutil.rmtree(self.path("out"), ignore_errors=True)
        if options.json:
            self.write_json(ledger)
        return 1 if self.problems or any(goal.verdict() == "FAIL" for goal in self.goals) else 0

    def write_json(self, ledger: dict) -> None:
        report = {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": {"cpu": _cpu_model(), "cores": os.cpu_count(), "kernel": platform.release()},
            "quick": self.options.quick,
            "rounds": self.options.rounds,
            "ledger": ledger,
            **self.facts,
            "contenders": {
                name: {
                    "cpu_s": [u.cpu_s for u in usages],
                    "median_cpu_s": self.samples.cpu(name),
                    "rss_mb": self.samples.rss(name),
                }
                for name, usages in self.samples.usages.items()
            },
            "goals": [{**vars(goal), "verdict": goal.verdict()} for goal in self.goals],
            "problems": self.problems,
        }
        with open(self.options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def _sum_stream(argv: list) -> dict:
    """Runs `weir replay ... --flows -` and sums its log as it comes, without keeping it."""
    sums = {"records": 0, "log_bytes": 0, "packets": 0, "bytes": 0}
    fields = re.compile(rb'"(packets|bytes)_(?:in|out)":(\d+)')
    process = subprocess.Popen([*argv, "--flows", "-"], stdout=subprocess.PIPE)
    rest = b""
    while chunk := process.stdout.read(1 << 20):
        sums["log_bytes"] += len(chunk)
        lines = rest + chunk
        end = lines.rfind(b"\n") + 1
        rest = lines[end:]
        sums["records"] += lines.count(b"\n", 0, end)
        for key, value in fields.findall(lines, 0, end):
            sums[key.decode()] += int(value)
    if process.wait() != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit code {process.returncode}")
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--build", default=os.path.join(ROOT, "build", "release"), help="build folder of the release preset"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the workload, one round, no gates but on counts"
    )
    parser.add_argument("--rounds", type=int, default=0, help="interleaved rounds (5; quick: 1)")
    parser.add_argument("--json", metavar="OUT", help="write the figures here too")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    return Bench(options).run()


if __name__ == "__main__":
    sys.exit(main())
