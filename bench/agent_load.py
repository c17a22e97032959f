#!/usr/bin/env python3
"""The agent on a node under load: CPU, losses, memory and throughput, in one run and in a lab of its own. Needs root.

usage: bench/agent_load.py [--build build/release] [--seconds 6] [--rounds 1] [--loss-seconds 15] [--json OUT]
                           [PART...]    of cpu, loss, memory, throughput, kernel; default: all

5,000 connections a second between two pods of one node, or of two; each sends 64 bytes, gets 64 back and ends. Figures of
one round come from the same minute; what the agent costs is compared with what the traffic itself costs, and with
`conntrack -E` that reads the same events.
"""

import argparse
import datetime
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import cluster_manifests
from harness import Goal, print_goals
from live import CLIENT, ROOT, SERVERS, Agent, Lab, load_flows, losses, machine_cpu_s, memory_kb, process_cpu_s, seen

SOURCES = ("ebpf", "conntrack", "afpacket")
RATE = 5000
PARTS = ("cpu", "loss", "memory", "throughput", "kernel")
PEER = "conntrack -E"


class Peer:
    """`conntrack -E`: every event as a line, to nowhere."""

    def __init__(self, lab: Lab) -> None:
        command = ["conntrack", "-E", "-e", "NEW,DESTROY", "-b", str(16 << 20)]
        null = subprocess.DEVNULL
        self.process = lab.spawn(lab.node, *command, stdout=null, stderr=null)
        time.sleep(0.5)

    def cpu_s(self) -> tuple:
        return process_cpu_s(self.process.pid)

    def stop(self) -> dict:
        most = memory_kb(self.process.pid)["VmHWM"] / 1024
        self.process.terminate()
        _, _, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = 0
        return {"cpu_s": (usage.ru_utime, usage.ru_stime), "max_rss_mb": most}


class AgentLoad:
    def __init__(self, options: argparse.Namespace, lab: Lab) -> None:
        self.options, self.lab = options, lab
        self.goals: list[Goal] = []
        self.problems: list[str] = []
        self.facts: dict = {}

    def goal(self, *arguments: object, **named: object) -> None:
        self.goals.append(Goal(*arguments, **named))

    # CPU at a fixed rate.

    def measure_cpu(self) -> None:
        """Cells in turns, so that those of one round saw the same machine."""
        rows: dict = {}
        for number in range(self.options.rounds):
            for place in SERVERS:
                cells = [("nobody", None), (PEER, None), *((s, level) for s in SOURCES for level in (None, 0))]
                for name, level in cells:
                    row = self._cpu_cell(place, name, level)
                    rows.setdefault((place, name, level), []).append(row)
                    print(f"cpu, round {number + 1}: {place}, {name}, level {_level(level)}: {_cpu_text(row)}", flush=True)
        self._print_cpu(rows)
        self.facts["cpu"] = [
            {"place": place, "reader": name, "level": _level(level), "rounds": rounds}
            for (place, name, level), rounds in rows.items()
        ]

    def _cpu_cell(self, place: str, name: str, level: int | None) -> dict:
        self.lab.forget_connections()
        reader = None if name == "nobody" else Peer(self.lab) if name == PEER else Agent(self.lab, name, level)
        before, machine = reader.cpu_s() if reader else (0, 0), machine_cpu_s()
        load = self.lab.load(place, RATE, RATE * self.options.seconds).wait()
        spent = {key: value - machine[key] for key, value in machine_cpu_s().items()}
        # To its very end: the records of a window are written when it closes.
        end = reader.stop() if reader else {"cpu_s": (0, 0), "max_rss_mb": 0}
        user, system = (b - a for a, b in zip(before, end["cpu_s"]))
        if "windows" in end and (lost := losses(end["windows"])):
            print(f"  lost: {lost}")
        return {
            "user": user / load["seconds"],
            "system": system / load["seconds"],
            "share": (user + system) / load["seconds"],
            "of_traffic": (user + system) / load["cpu_s"],
            "traffic": load["cpu_s"] / load["seconds"],
            "us_per_connection": (user + system) / load["started"] * 1e6,
            "traffic_us_per_connection": load["cpu_s"] / load["started"] * 1e6,
            "softirq": spent["softirq"] / load["seconds"],
            "rate": load["rate"],
            "rss_mb": end["max_rss_mb"],
        }

    def _print_cpu(self, rows: dict) -> None:
        print(f"\nCPU at {RATE:,} connections/s; shares of one core; medians of {self.options.rounds}")
        print(
            f"{'':12} {'reader':14} {'level':>7} {'user':>7} {'system':>7} {'us/conn':>8} {'traffic us':>10} "
            f"{'of traffic':>10} {'of -E':>7} {'softirq':>8} {'rate':>7} {'max RSS':>8}"
        )
        for (place, name, level), rounds in rows.items():

            def median(key: str, of: list = rounds) -> float:
                return statistics.median(row[key] for row in of)

            peers = rows[(place, PEER, None)]
            over_peer = statistics.median(a["share"] / b["share"] for a, b in zip(rounds, peers))
            print(
                f"{place:12} {name:14} {_level(level):>7} {median('user'):7.2%} {median('system'):7.2%} "
                f"{median('us_per_connection'):8.2f} {median('traffic_us_per_connection'):10.1f} "
                f"{median('of_traffic'):10.2%} {over_peer:7.2f} {median('softirq'):8.2%} {median('rate'):7.0f} "
                f"{median('rss_mb'):5.0f} MB"
            )
            if name in SOURCES and place == "same node":
                self.goal(
                    "17",
                    f"user CPU at {RATE:,} connections/s, {name}, level {_level(level)}",
                    median("user") * 100,
                    4,
                    1.5,
                    unit="%",
                    at_most=True,
                    note=f"with system {median('share'):.2%}, {median('of_traffic'):.1%} of the traffic's own CPU",
                )

    # What is lost, and whether it is told.

    def measure_loss(self) -> None:
        rows = []
        for source in SOURCES:
            for rate in (RATE, 10_000, 20_000, 1_000_000):
                seconds = self.options.loss_seconds if rate == RATE else 5
                rows.append(self._loss_step(source, rate, min(rate, 20_000) * seconds))
                print(f"loss: {_loss_text(rows[-1])}", flush=True)
                if rows[-1]["rate"] < rate * 0.8:
                    break  # the machine has no more
            rows.append(self._loss_step(source, RATE, RATE * 8, pause_s=3))
            print(f"loss: {_loss_text(rows[-1])}", flush=True)
        self.facts["loss"] = rows
        print("\nlosses, same node, so that both ends report")
        for row in rows:
            print("  " + _loss_text(row))
            if row["sent"] != row["seen"] + row["lost"]:
                self.problems.append(f"{row['source']} at {row['asked']}/s: sent is not seen and lost")
            if row["asked"] == RATE and not row["pause_s"]:
                self.goal(
                    "-",
                    f"connections not reported, of 2 x {row['made']:,} at {RATE:,}/s, {row['source']}",
                    2 * row["made"] - row["src"] - row["dst"],
                    0,
                    unit="",
                    at_most=True,
                )

    def _loss_step(self, source: str, rate: int, connections: int, pause_s: float = 0) -> dict:
        """`pause_s`: the agent is stopped for so long in the middle, so that something must be lost."""
        self.lab.forget_connections()
        pods = self.lab.pods[CLIENT], self.lab.pods[SERVERS["same node"]]
        agent = Agent(self.lab, source)
        packets = -sum(self.lab.interface_packets(pod) for pod in pods)
        load = self.lab.load("same node", rate, connections)
        if pause_s:
            time.sleep(1)
            agent.process.send_signal(signal.SIGSTOP)
            time.sleep(pause_s)
            agent.process.send_signal(signal.SIGCONT)
        load = load.wait()
        packets += sum(self.lab.interface_packets(pod) for pod in pods)
        if source == "conntrack":
            self.lab.forget_connections()  # each entry has then sent its second event
        time.sleep(0.5)  # packets are handed over by the block
        end = agent.stop()
        lost = losses(end["windows"])
        lost_here = sum(count for key, count in lost.items() if key.startswith(source + "."))
        if source == "conntrack":
            unit, sent, got = "events", 2 * load["started"], seen(end["windows"], source, "events")
        else:
            # Whatever they were taken for: where packets are lost, an answer may be the first that is seen.
            unit, sent, got = "packets", packets, sum(f["packets_in"] + f["packets_out"] for f in end["flows"])
        return {
            "source": source,
            "asked": rate,
            "pause_s": pause_s,
            "rate": load["rate"],
            "made": load["started"],
            **{reporter: load_flows(end["flows"], reporter)["started"] for reporter in ("src", "dst")},
            "unit": unit,
            "sent": sent,
            "seen": got,
            "lost": lost_here,
            "all_lost": lost,
            "verdicts": {"sent": 2 * load["started"], "seen": seen(end["windows"], "nflog", "packets")},
        }

    # Memory.

    def measure_memory(self) -> None:
        with tempfile.TemporaryDirectory(prefix="weir-bench-cluster-") as directory:
            for name, pods, policies, connections in (
                ("5,000 pods, 1,000 policies", 5000, 1000, 100_000),
                ("500 pods", 500, 0, 60_000),
            ):
                path = os.path.join(directory, "manifests.yaml")
                cluster_manifests.write(path, self.lab.manifests, pods, policies)
                for source in SOURCES:
                    row = self._memory_cell(source, path, connections)
                    self.facts.setdefault("memory", []).append({"cluster": name, "source": source, **row})
                    print(f"memory: {source}, {name}: {_memory_text(row)}", flush=True)
        print("\nmemory with connections open, from the client's side")
        for row in self.facts["memory"]:
            print(f"  {row['source']:10} {row['cluster']:27} {_memory_text(row)}")
            small = row["cluster"] == "500 pods"
            self.goal(
                "21" if small else "-",
                f"RSS, {row['open']:,} open, {row['cluster']}, {row['source']}",
                row["rss_mb"],
                48 if small else None,
                24 if small else None,
                unit="MB",
                at_most=True,
            )

    def _memory_cell(self, source: str, manifests: str, connections: int) -> dict:
        self.lab.forget_connections()
        agent = Agent(self.lab, source, cluster=manifests)
        idle = agent.memory_kb()
        rate, hold_s, each = 8000, 9, 16_000
        # A process may not have that many open files.
        parts = [min(each, connections - start) for start in range(0, connections, each)]
        hold_ms = 1000 * (connections // rate + hold_s)
        loads = [self.lab.load("cross node", rate // len(parts), part, hold_ms=hold_ms) for part in parts]
        # All open, each known from one drain and one report at least.
        time.sleep(connections / rate + hold_s - 1)
        full = agent.memory_kb()
        done = [load.wait() for load in loads]
        end = agent.stop()
        if lost := losses(end["windows"]):
            print(f"  lost: {lost}")
        return {
            "open": sum(load["started"] for load in done),
            "idle_mb": idle["VmRSS"] / 1024,
            "rss_mb": full["VmRSS"] / 1024,
            "anonymous_mb": full["RssAnon"] / 1024,
            "most_mb": end["max_rss_mb"],
        }

    # Throughput of one connection.

    def measure_throughput(self) -> None:
        if missing := [name for name in ("iperf3", "ethtool", "taskset") if shutil.which(name) is None]:
            print(f"throughput: not measured, missing: {' '.join(missing)}")
            return
        rows = []
        for offload in (True, False):
            self._set_offload(offload)
            for source in SOURCES:
                ratios, with_agent = [], []
                for _ in range(self.options.iperf_rounds):
                    without = self._iperf()
                    agent = Agent(self.lab, source)
                    with_agent.append(self._iperf())
                    lost = losses(agent.stop()["windows"])
                    ratios.append(2 * with_agent[-1] / (without + self._iperf()))
                rows.append(
                    {
                        "offload": offload,
                        "source": source,
                        "gbps": statistics.median(with_agent),
                        "ratio": statistics.median(ratios),
                        "lost": lost,
                    }
                )
                print(f"throughput: {_throughput_text(rows[-1])}", flush=True)
        self._set_offload(True)
        self.facts["throughput"] = rows
        for row in rows:
            gate, stretch = (None, None) if row["offload"] else (0.8, 0.92)
            name = f"throughput with the agent over without, {row['source']}, {'' if row['offload'] else 'no '}GSO"
            self.goal("19", name, row["ratio"], gate, stretch, note=f"{row['gbps']:.1f} Gb/s")

    def _set_offload(self, on: bool) -> None:
        for pod in (self.lab.pods[CLIENT], self.lab.pods[SERVERS["same node"]]):
            for namespace, device in ((pod["netns"], "eth0"), (self.lab.node, pod["interface"])):
                word = "on" if on else "off"
                command = ["ip", "netns", "exec", namespace, "ethtool", "-K", device]
                subprocess.run([*command, "gso", word, "tso", word, "gro", word], check=True, capture_output=True)

    def _iperf(self) -> float:
        """Gigabits a second between two pods of the node, server and client each on a CPU of its own."""
        client, server = self.lab.pods[CLIENT], self.lab.pods[SERVERS["same node"]]
        listening = self.lab.spawn(
            server["netns"], "taskset", "-c", "0", "iperf3", "-s", "-1", "--forceflush", stdout=subprocess.PIPE, text=True
        )
        while "listening" not in listening.stdout.readline():
            pass
        command = ["taskset", "-c", "1", "iperf3", "-J", "-c", server["ip"], "-t", str(self.options.iperf_seconds)]
        output = self.lab.spawn(client["netns"], *command, stdout=subprocess.PIPE, text=True).communicate()[0]
        listening.communicate()
        return json.loads(output)["end"]["sum_received"]["bits_per_second"] / 1e9

    # The kernel's programs.

    def measure_kernel(self) -> None:
        rounds = str(max(1, self.options.rounds))
        done = subprocess.run(
            [self.lab.program("ebpf_cost"), "--rounds", rounds, "--seconds", "1"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            self.problems.append(f"ebpf_cost: {done.stderr.strip()[-300:]}")
        self.facts["kernel"] = done.stdout.splitlines()
        print(done.stdout, end="")

    def run(self) -> int:
        for part in self.options.parts or PARTS:
            print(f"\n== {part} ({datetime.datetime.now():%T})", flush=True)
            getattr(self, f"measure_{part}")()
        print()
        print_goals(self.goals)
        for problem in self.problems:
            print(f"PROBLEM: {problem}")
        if self.options.json:
            with open(self.options.json, "w", encoding="utf-8") as file:
                json.dump({**self.facts, "goals": [vars(goal) for goal in self.goals]}, file, indent=1)
        # What depends on the host's mood is stated, not gated.
        return 1 if self.problems else 0


def _level(level: int | None) -> str:
    return "default" if level is None else str(level)


def _cpu_text(row: dict) -> str:
    return (
        f"{row['share']:.2%} of a core ({row['user']:.2%} user), {row['of_traffic']:.2%} of the traffic's, "
        f"{row['rate']:,.0f}/s"
    )


def _pause(row: dict) -> str:
    return f", paused for {row['pause_s']} s" if row["pause_s"] else ""


def _loss_text(row: dict) -> str:
    sign = "=" if row["sent"] == row["seen"] + row["lost"] else "IS NOT"
    return (
        f"{row['source']:10} asked {row['asked']:,}/s, got {row['rate']:,.0f}/s"
        f"{_pause(row)}: made {row['made']:,}, src {row['src']:,}, "
        f"dst {row['dst']:,}; {row['unit']} {row['sent']:,} {sign} seen {row['seen']:,} + lost {row['lost']:,}; "
        f"log rule packets {row['verdicts']['sent']:,}, seen {row['verdicts']['seen']:,}; all lost {row['all_lost'] or 'none'}"
    )


def _memory_text(row: dict) -> str:
    return (
        f"{row['open']:,} open: {row['rss_mb']:.1f} MB ({row['anonymous_mb']:.1f} anonymous), idle {row['idle_mb']:.1f}, "
        f"most {row['most_mb']:.1f}"
    )


def _throughput_text(row: dict) -> str:
    return (
        f"{'GSO' if row['offload'] else 'no GSO'}, {row['source']}: {row['gbps']:.2f} Gb/s, {row['ratio']:.3f} of without"
        f"{', lost ' + str(row['lost']) if row['lost'] else ''}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--seconds", type=int, default=6, help="of load for each CPU figure")
    parser.add_argument("--rounds", type=int, default=1, help="of the CPU figures")
    parser.add_argument("--loss-seconds", type=int, default=15, help="of load at 5,000/s that nothing may be lost of")
    parser.add_argument("--iperf-seconds", type=int, default=2)
    parser.add_argument("--iperf-rounds", type=int, default=1)
    parser.add_argument("--json", metavar="OUT", help="write the figures here too")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {' '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        print("agent_load.py: needs root, for network namespaces", file=sys.stderr)
        return 1
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    with Lab(options.build) as lab:
        return AgentLoad(options, lab).run()


if __name__ == "__main__":
    sys.exit(main())
