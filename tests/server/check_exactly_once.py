#!/usr/bin/env python3
"""Exactly once: the writer of a rotated log, the shipper and the server are killed (SIGKILL) at random under load, and
their disks are full at times. In the end every line of the files is stored once: number and checksums.

usage: check_exactly_once.py --weir BINARY --writer BINARY [--kills N] [--seed N] [--rate LINES_PER_SECOND]
"""
import argparse
import contextlib
import glob
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers  # noqa: E402


class Writer:
    def __init__(self, program: str, folder: str, rate: int) -> None:
        self.program, self.folder, self.rate = program, folder, rate
        self.runs = 0

    def start(self) -> None:
        self.runs += 1
        words = [self.program, self.folder, str(self.runs * 10_000_000), str(self.rate), "2000000"]
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL)


class Shipper:
    def __init__(self, weir: str, folder: str, url: str) -> None:
        self.words = [weir, "ship", "--node", "node-1", "--log-dir", folder + "/logs", "--state-dir", folder + "/data/state", "--to",
                      f"weir types=flows url={url}", "--set", "ship_batch_kb=64", "--set", "ship_retry_max=1s"]

    def start(self) -> None:
        self.process = subprocess.Popen(self.words, stderr=subprocess.DEVNULL)

    def finish(self) -> None:
        subprocess.run([*self.words, "--once"], check=True, timeout=300, stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def expect(folder: str) -> tuple[int, int, int]:
    """Lines of the files, the sum of their numbers and of their checks. Each line must be whole and come once."""
    numbers, check = set(), 0
    for path in glob.glob(folder + "/flows.log*"):
        with open(path, "rb") as file:
            for line in file:
                record = json.loads(line)
                assert record["num_flows"] not in numbers, f"the writer wrote {record['num_flows']} twice"
                numbers.add(record["num_flows"])
                check += record["bytes_in"]
    return len(numbers), sum(numbers), check


def stored(server) -> tuple[int, int, int, int]:
    stats = server.json("/api/v1/stats?from=0&to=4000000000&dedupe=false&metrics=count,sum(num_flows),sum(bytes_in),distinct(num_flows)")
    row = stats["items"][0]
    return row["count"], row["sum(num_flows)"], row["sum(bytes_in)"], row["distinct(num_flows)"]


def fill(folder: str) -> str:
    """Takes all that is left of the disk."""
    path = folder + "/ballast"
    with contextlib.suppress(OSError), open(path, "wb") as file:
        while True:
            file.write(b"x" * 65536)
            file.flush()
    return path


def run(weir: str, program: str, folder: str, kills: int, dice: random.Random, rate: int, disks: list[str]) -> list[str]:
    server = servers.Server(weir, folder + "/data", "--set", "server_memory_mb=512").start()
    writer, shipper = Writer(program, folder + "/logs", rate), Shipper(weir, folder, server.url)
    writer.start()
    shipper.start()
    done = {"writer": 0, "shipper": 0, "server": 0, "full": 0}
    try:
        for number in range(kills):
            time.sleep(dice.uniform(0.1, 0.9))
            ballast = fill(dice.choice(disks)) if disks and number % 4 == 3 else None
            if ballast:
                done["full"] += 1
                time.sleep(dice.uniform(0.2, 0.6))
            victim = dice.choice(["writer", "shipper", "server"]) if number > 2 else ["server", "shipper", "writer"][number]
            done[victim] += 1
            kill({"writer": writer, "shipper": shipper, "server": server}[victim].process)
            if dice.random() < 0.3:
                time.sleep(dice.uniform(0, 0.5))
            if ballast:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(ballast)
            {"writer": writer, "shipper": shipper, "server": server}[victim].start()
        time.sleep(0.5)
        writer.process.terminate()
        writer.process.wait(30)
        kill(shipper.process)
        shipper.finish()
        want = expect(folder + "/logs")
        problems = []
        for when in ("at the end", "after one more kill of the server"):
            got = stored(server)
            if got != (*want, want[0]):
                problems.append(f"{when}: stored (lines, numbers, checks, different) {got}, in the files {want}")
            kill(server.process)
            server.start()
        print(f"{want[0]} lines of {writer.runs} writers once each; kills {done}")
        if want[0] < kills * 50:
            problems.append(f"only {want[0]} lines: the load was none")
        return problems
    finally:
        for process in (writer.process, shipper.process, server.process):
            if process.poll() is None:
                kill(process)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--writer", required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rate", type=int, default=3000)
    args = parser.parse_args()
    # Small disks of its own, which only this process sees.
    if os.geteuid() == 0 and "WEIR_OWN_MOUNTS" not in os.environ:
        os.environ["WEIR_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    print(f"seed {args.seed}")
    with servers.folder() as folder:
        os.makedirs(folder + "/logs")
        os.makedirs(folder + "/data")
        disks = []
        if os.geteuid() == 0:
            disks = [folder + "/logs", folder + "/data"]
            size = 150 + args.kills * args.rate // 400
            for disk in disks:
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", disk], check=True)
        try:
            problems = run(args.weir, args.writer, folder, args.kills, random.Random(args.seed), args.rate, disks)
        finally:
            for disk in disks:
                subprocess.run(["umount", "--lazy", disk], check=False)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
