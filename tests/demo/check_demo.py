#!/usr/bin/env python3
"""`weir demo` shows a live cluster, leaves nothing behind however it ends, and has a recording where it cannot.

usage: check_demo.py --weir BINARY
"""

import argparse
import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))

from lab_under_test import ROOT, skip_without_kernel  # noqa: E402

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
FIRST_RECORDS = 60  # seconds: what a person may be asked to wait

# What a person must see, by line of the output.
SEEN = {
    "the server": r"^  server: http://127\.0\.0\.1:\d+; ask it: ",
    "an allowed flow with names, service and policy": r"allow +src +shop/frontend +shop/(catalog|cart|checkout) +\w+:80 +tcp/8080 .* shop/frontend rule \d",
    "a flow that egress policy denies": r"deny +src +shop/frontend +shop/payment +payment:80 +tcp/8080 .*denied: shop/\S+: no rule allows it",
    "a flow that ingress policy denies": r"deny +dst .*denied: \S+: no rule allows it",
    "the scan": r"deny +dst +known-scanners 203\.0\.113\.99 ",
    "a change of policy": r"CHANGE +NetworkPolicy monitoring/lockdown",
    "what the change denies": r"deny +src +monitoring/prometheus .*denied: monitoring/lockdown: no rule allows it",
    "the client behind the ingress": r"allow +dst +ingress-nginx/ingress-nginx-controller +shop/frontend .*client 203\.0\.113\.\d+",
    "a lookup": r"dns +shop/\S+ +redis\.shop\.svc\.cluster\.local A  NoError  x\d+",
    "a lookup of a name that is not": r"dns .* nosuch\.shop\.svc\.cluster\.local A  NXDomain",
    "the summary": r"^  flows +\d+ records, \d+ of them denied$",
    "nothing lost": r"^  lost +nothing$",
    "what it costs": r"^  cost +node-1: \d+\.\d % of a core",
}


def leftovers(pid: int) -> list:
    """Of the demonstration with that process id."""
    found = [n for place in ("/run/netns", "/etc/netns") if os.path.isdir(place) for n in os.listdir(place) if f"-demo{pid}-" in n]
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                words = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if f"demo{pid}" in words or "/tmp/weir-demo-" in words:
            found.append(f"process {process}: {words}")
    return found


def start(weir: str, *words: str, **options) -> subprocess.Popen:
    return subprocess.Popen([weir, "demo", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(demo: subprocess.Popen, files: set, timeout: float = 100) -> tuple:
    out, error = demo.communicate(timeout=timeout)
    assert not leftovers(demo.pid), leftovers(demo.pid)
    assert set(glob.glob("/tmp/weir-demo-*")) <= files, "its files are still there"
    return demo.returncode, out, error


def check_live(weir: str) -> None:
    files = set(glob.glob("/tmp/weir-demo-*"))
    code, out, error = finish(start(weir, "--duration", "25"), files)
    assert (code, error) == (0, ""), f"exit code {code}: {error}{out[-2000:]}"
    missing = [name for name, pattern in SEEN.items() if not re.search(pattern, out, re.MULTILINE)]
    assert not missing, f"not shown: {missing}\n{out}"
    assert "\x1b" not in out, "colours in a file"
    print(f"live: {len(out.splitlines())} lines")


def check_interrupted(weir: str, number: int) -> None:
    """A signal ends it at once and cleanly, whatever it is doing."""
    for what, wait_for in (("while the lab comes up", None), ("while it runs", " allow ")):
        files = set(glob.glob("/tmp/weir-demo-*"))
        demo = start(weir, "--duration", "300")
        begin = time.monotonic()
        if wait_for is None:
            time.sleep(0.5)
        else:
            for line in demo.stdout:
                if wait_for in line:
                    break
            took = time.monotonic() - begin
            assert took < FIRST_RECORDS, f"the first record after {took:.0f} s"
            print(f"the first record after {took:.1f} s")
        demo.send_signal(number)
        code, _, error = finish(demo, files)
        assert (code, error) == (0, ""), f"{signal.Signals(number).name} {what}: exit code {code}: {error}"


def check_broken(weir: str) -> None:
    """The cluster or an agent goes away in the middle: one error, and the rest goes too."""
    files = set(glob.glob("/tmp/weir-demo-*"))
    demo = start(weir, "--duration", "300")
    for line in demo.stdout:
        if " allow " in line:
            break
    agents = subprocess.run(["pgrep", "-P", str(demo.pid), "-f", "agent --node"], capture_output=True, text=True, check=True)
    os.kill(int(agents.stdout.split()[0]), signal.SIGKILL)
    code, _, error = finish(demo, files)
    assert code == 1 and re.fullmatch(r"weir demo: the agent of node-\d ended: .*\n", error), (code, error)


def check_recording(weir: str) -> None:
    """Without root, or without a lab, one line tells why, and the recording is shown."""
    for words, why in (([], "it needs root"), (["--lab", "/nowhere"], "there is no /nowhere/lab.py")):
        command = [*(NOBODY if not words else []), weir, "demo", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        first = done.stdout.splitlines()[0]
        assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr)
        assert first.startswith("No live cluster here: ") and why in first, first
        assert "Denied, and by which policy" in done.stdout and "DNS lookups" in done.stdout


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    options = parser.parse_args()
    skip_without_kernel()
    check_recording(options.weir)
    check_live(options.weir)
    check_interrupted(options.weir, signal.SIGTERM)
    check_interrupted(options.weir, signal.SIGINT)
    check_broken(options.weir)
    print("the demonstration is as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
