"""Measuring: CPU seconds of child processes, medians of interleaved rounds, and the table of goals."""

import dataclasses
import json
import os
import statistics
import subprocess
import time


@dataclasses.dataclass
class Usage:
    cpu_s: float
    wall_s: float
    rss_mb: float
    output: str


def measure(argv: list, timeout_s: float = 300) -> Usage:
    """Runs a program to its end; user and system time of the process and its threads. Raises on failure."""
    out_path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"weir-bench-{os.getpid()}.out")
    with open(out_path, "w+b") as out:
        begin = time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        deadline = begin + timeout_s
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                process.kill()
                os.wait4(process.pid, 0)
                raise RuntimeError(f"{argv[0]}: still running after {timeout_s:.0f} s")
            time.sleep(0.002)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    os.unlink(out_path)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit code {process.returncode}: {text[-400:]}")
    return Usage(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, text)


class Samples:
    """What each contender needed, round by round."""

    def __init__(self) -> None:
        self.usages: dict[str, list[Usage]] = {}

    def add(self, name: str, usage: Usage) -> None:
        self.usages.setdefault(name, []).append(usage)

    def cpu(self, name: str) -> float:
        return statistics.median(u.cpu_s for u in self.usages[name])

    def rss(self, name: str) -> float:
        return statistics.median(u.rss_mb for u in self.usages[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Median of the per-round ratios: both ran in the same seconds, so the host's mood cancels."""
        return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(self.usages[slow], self.usages[fast]))


@dataclasses.dataclass
class Goal:
    """One line of the table. `at_most`: smaller is better."""

    row: str
    what: str
    measured: float | None
    gate: float | None = None
    stretch: float | None = None
    unit: str = "x"
    at_most: bool = False
    note: str = ""
    gated: bool = True

    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        if self.gate is None or not self.gated:
            return "-"
        better = (lambda limit: self.measured <= limit) if self.at_most else (lambda limit: self.measured >= limit)
        if not better(self.gate):
            return "FAIL"
        return "stretch" if self.stretch is not None and better(self.stretch) else "pass"


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text + (unit if unit == "x" else f" {unit}" if unit else "")


def print_goals(goals: list) -> None:
    rows = [("#", "goal", "measured", "gate", "stretch", "verdict", "")]
    for g in goals:
        sign = "<= " if g.at_most else ">= "
        rows.append(
            (
                g.row,
                g.what,
                _number(g.measured, g.unit),
                sign + _number(g.gate, g.unit) if g.gate is not None else "-",
                sign + _number(g.stretch, g.unit) if g.stretch is not None else "-",
                g.verdict(),
                g.note,
            )
        )
    widths = [max(len(r[i]) for r in rows) for i in range(6)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[6]]).rstrip())


def print_samples(samples: Samples, packets: int, connections: int) -> None:
    print(f"{'contender':34} {'CPU s':>7} {'wall s':>7} {'Mpps':>6} {'conn/s':>9} {'RSS MB':>7}")
    for name, usages in sorted(samples.usages.items(), key=lambda item: samples.cpu(item[0])):
        cpu, wall = samples.cpu(name), statistics.median(u.wall_s for u in usages)
        print(
            f"{name:34} {cpu:7.3f} {wall:7.3f} {packets / cpu / 1e6:6.2f} {connections / cpu:9,.0f} "
            f"{samples.rss(name):7.0f}"
        )


def google_benchmark(program: str, repetitions: int, pattern: str = "") -> dict:
    """Median CPU nanoseconds per iteration by benchmark name, and its counters; interleaved by the library."""
    argv = [
        program,
        "--benchmark_format=json",
        f"--benchmark_repetitions={repetitions}",
        "--benchmark_min_time=0.2",
        "--benchmark_enable_random_interleaving=true",
    ]
    if pattern:
        argv.append(f"--benchmark_filter={pattern}")
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    found: dict = {}
    for item in json.loads(done.stdout)["benchmarks"]:
        if item.get("error_occurred"):
            raise RuntimeError(f"{program}: {item['name']}: {item.get('error_message')}")
        if item["run_type"] == "iteration":
            found.setdefault(item["run_name"], []).append(item)
    return {
        name: {"cpu_ns": statistics.median(i["cpu_time"] * scale[i["time_unit"]] for i in items), **items[0]}
        for name, items in found.items()
    }
