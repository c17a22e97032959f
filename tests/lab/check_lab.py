#!/usr/bin/env python3
"""The lab itself: quickly up, traffic flows, denied is denied, faults do what they say, and nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import nflog  # noqa: E402
from lab_under_test import LAB, lab, skip_without_kernel  # noqa: E402

UP_SECONDS = 5


def leftovers(name: str) -> list:
    """What on this machine has to do with the lab of that name."""
    found = [f"namespace {n}" for n in os.listdir("/run/netns") if f"-{name}-" in n]
    if os.path.isdir("/etc/netns"):
        found += [f"/etc/netns/{n}" for n in os.listdir("/etc/netns") if f"-{name}-" in n]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
            with open(f"/proc/{pid}/environ", "rb") as file:
                inside = f"weirlab-{name}-".encode() in file.read()
        except OSError:
            continue
        if inside or (f"weirlab-{name}" in words and "check_lab" not in words):
            found.append(f"process {pid}: {words}")
    return found


def host_state() -> tuple:
    """Interfaces, addresses, routes and rules of the namespace that the lab must not touch."""
    commands = (["ip", "-o", "link"], ["ip", "-o", "addr"], ["ip", "route"], ["nft", "list", "ruleset"])
    return tuple(subprocess.run(c, capture_output=True, text=True, check=True).stdout for c in commands)


def kinds(connections: list) -> dict:
    counts: dict = {}
    for c in connections:
        verdicts = [v["action"] for v in c["expected"].values() if v]
        key = ("deny" if "deny" in verdicts else "allow", c["outcome"])
        counts[key] = counts.get(key, 0) + 1
    return counts


def check_traffic() -> None:
    with lab("traffic", "--rate", "0") as one, lab("second", "--rate", "20") as two:
        for cluster in (one, two):
            assert cluster.seconds_to_ready < UP_SECONDS, f"up only after {cluster.seconds_to_ready:.1f} s"
        print(f"two labs up in {one.seconds_to_ready:.1f} and {two.seconds_to_ready:.1f} s")
        summary = one.run(150, concurrency=15, seed=3)
        assert summary["contradictions"] == [], summary
        assert summary["verdicts"]["deny"] > 5 and summary["outcomes"]["established"] > 80, summary
        with open(summary["file"], encoding="utf-8") as file:
            told = kinds([json.loads(line) for line in file])
        assert ("deny", "established") not in told and told[("allow", "refused")], told
        again = [c["argument"] for c in planned(one, 3)]
        assert again == [c["argument"] for c in planned(one, 3)] != [c["argument"] for c in planned(one, 4)]
        quiet = len(one.truth())
        time.sleep(1)
        assert len(one.truth()) == quiet, "a lab of rate 0 talks of its own accord"
        # The other has talked all the time, without being asked.
        told = kinds(two.truth())
        assert told.get(("allow", "established"), 0) > 20, told
        check_node_settings(one)
        names = [one.name, two.name]
        two.call("down")
        assert two.process.wait(5) == 0, two.process.returncode
        assert leftovers(two.name) == [] and leftovers(one.name), "`down` of one lab is not of the other"
    for name in names:
        assert leftovers(name) == [], leftovers(name)


def planned(cluster, seed: int) -> list:
    sys.path.insert(0, os.path.dirname(LAB))
    import script
    from manifests import Cluster

    writer = script.Writer(Cluster(cluster.state["manifests"]), cluster.state, seed)
    return [vars(action) for action in writer.actions(100, script.WEIGHTS)]


def check_node_settings(cluster) -> None:
    for node in cluster.state["nodes"].values():

        def inside(*words: str) -> str:
            command = ["ip", "netns", "exec", node["netns"], *words]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        for key in ("nf_conntrack_acct", "nf_conntrack_timestamp"):
            assert inside("cat", f"/proc/sys/net/netfilter/{key}").strip() == "1", key
        links = inside("ip", "-o", "link")
        for pod in cluster.state["pods"].values():
            assert (pod["interface"] in links) == (cluster.state["nodes"][pod["node"]] == node), pod


def check_logged_verdicts() -> None:
    """The kernel tells the verdict of each connection by NFLOG: in group 2 at the client's node, 1 at the server's."""
    with lab("nflog", "--rate", "0") as cluster:
        captures = {}
        for node, of_node in cluster.state["nodes"].items():
            for group in (1, 2):
                path = os.path.join(cluster.directory, f"{node}.{group}.pcap")
                words = ["tcpdump", "-i", f"nflog:{group}", "-U", "--immediate-mode", "-Z", "root", "-w", path]
                process = cluster.spawn(of_node["netns"], *words, stderr=subprocess.PIPE, text=True)
                while "listening on" not in process.stderr.readline():
                    assert process.poll() is None, "tcpdump did not start"
                captures[node, group] = (process, path)
        summary = cluster.run(200, concurrency=10, seed=5)
        time.sleep(1.2)  # the kernel holds messages back for up to a second
        logged = {}
        for (node, group), (process, path) in captures.items():
            process.terminate()
            process.wait()
            process.stderr.close()
            for prefix, key in nflog.read(path):
                logged.setdefault((node, group, key), set()).add(prefix)
        with open(summary["file"], encoding="utf-8") as file:
            connections = [json.loads(line) for line in file]
    compared = 0
    for c in connections:
        backend = c["backends"][0]
        for direction, group, node in (("egress", 2, c["src"]["node"]), ("ingress", 1, backend["node"])):
            if not (verdict := c["expected"][direction]) or len(c["backends"]) > 1:
                continue
            key = (c["protocol"], c["src"]["ip"], backend["ip"], c["src"]["port"], backend["port"])
            told = logged.get((node, group, key))
            assert told == {nflog.prefix_of(verdict, direction)}, (c, direction, told)
            compared += 1
    print(f"{compared} verdicts of {len(connections)} connections logged")
    assert compared > 300 and any(len(p) == 63 for prefixes in logged.values() for p in prefixes)


def check_faults() -> None:
    with lab("faults", "--rate", "0") as cluster:
        mix = {"http": 1, "denied_egress": 0}
        before = cluster.state["pods"]
        old = next(name for name in before if "/cart-" in name)
        start = time.monotonic()
        told = cluster.fault("replace-pod", "cart")
        seconds = time.monotonic() - start
        after = cluster.state["pods"]
        new = next(name for name in after if "/cart-" in name)
        assert new != old and told.startswith(new), told
        assert after[new]["ip"] == before[old]["ip"] and after[new]["uid"] != before[old]["uid"]
        assert after[new]["interface"] != before[old]["interface"] and after[new]["netns"] != before[old]["netns"]
        print(f"another pod had the address after {seconds:.2f} s")
        assert seconds < 2, f"the address was free for {seconds:.1f} s"
        assert cluster.run(60, seed=1, mix=only(**mix))["contradictions"] == []
        assert any(c["backends"][0]["name"] == new for c in cluster.truth()), "nobody spoke to the new pod"

        policy = os.path.join(cluster.directory, "policy.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(
                "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: lock, namespace: monitoring},"
                " spec: {podSelector: {}, policyTypes: [Egress]}}\n"
            )
        cluster.fault("apply", policy)
        time.sleep(0.6)  # past the time in which either version of the policies may decide
        verdicts = cluster.run(40, seed=2, mix=only(http=1, denied_egress=3))
        assert verdicts["contradictions"] == [] and verdicts["verdicts"]["deny"] > 10, verdicts

        cluster.fault("break-dns")
        assert cluster.run(10, seed=3, mix=only(dns=1))["outcomes"] == {"timeout": 10}
        cluster.fault("heal")
        healed = cluster.run(10, seed=3, mix=only(dns=1))
        assert healed["outcomes"]["established"] == healed["verdicts"]["allow"] > 5, healed

        cluster.fault("drop-acks", "frontend-6f5b7c8d9-h4vnl", new)
        assert retransmissions(cluster, "frontend-6f5b7c8d9-h4vnl", new) > 0
        cluster.fault("heal")

        cluster.fault("kill-pod", "redis-0")
        assert not any("redis" in name for name in cluster.state["pods"])
        name = cluster.name
    assert leftovers(name) == [], leftovers(name)


def only(**weights: int) -> str:
    sys.path.insert(0, os.path.dirname(LAB))
    import script

    return ",".join(f"{kind}={weights.get(kind, 0)}" for kind in script.WEIGHTS)


def retransmissions(cluster, source: str, dest: str) -> int:
    """Segments that the source's kernel sent again while it uploaded to the other."""
    pods = cluster.state["pods"]
    name = next(n for n in pods if n.endswith(source))

    def count() -> int:
        with open("/proc/self/net/snmp", encoding="ascii") as file:
            rows = [line.split() for line in file if line.startswith("Tcp:")]
        return int(rows[1][rows[0].index("RetransSegs")])

    sys.path.insert(0, os.path.dirname(LAB))
    import network

    target = f"http://{pods[dest]['ip']}:8080/metrics"
    with network.inside(pods[name]["netns"]):
        before = count()
        words = ["curl", "-s", "-o", os.devnull, "--max-time", "3", "--data-binary", "@-", target]
        subprocess.run(words, input=b"x" * 300_000, check=False)
        return count() - before


def check_crash() -> None:
    """kill -9 of the lab's own process leaves everything; `down` finds and removes it."""
    with lab("crash", "--rate", "20") as cluster:
        os.kill(cluster.process.pid, signal.SIGKILL)
        cluster.process.wait()
        assert leftovers(cluster.name), "nothing was left: the test does not test"
        cluster.call("down")
        assert leftovers(cluster.name) == [], leftovers(cluster.name)
        assert os.listdir(cluster.directory) == [], os.listdir(cluster.directory)
    # And one that dies while it is built.
    with tempfile.TemporaryDirectory() as folder:
        name, state = f"early{os.getpid()}", os.path.join(folder, "state")
        process = subprocess.Popen([LAB, "up", "--name", name, "--state", state], stdout=subprocess.PIPE)
        while not [n for n in os.listdir("/run/netns") if f"-{name}-" in n]:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        time.sleep(0.1)
        subprocess.run([LAB, "down", "--state", state], check=True)
        assert leftovers(name) == [] and not os.path.exists(state), leftovers(name)


def check_errors() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for words, told in (
            (["down", "--state", folder], "no lab there"),
            (["up", "--name", "a-b"], "letters, digits"),
            (["up", "--manifests", f"{folder}/none.yaml", "--state", f"{folder}/s"], "none.yaml"),
            (["up", "--manifests", __file__, "--state", f"{folder}/s"], "check_lab.py: "),
            (["fault", "--state", folder, "heal"], "no lab there"),
        ):
            done = subprocess.run([LAB, *words], capture_output=True, text=True, check=False)
            assert done.returncode == 1 and told in done.stderr and done.stderr.count("\n") == 1, (words, done.stderr)
        assert os.listdir(folder) == [], os.listdir(folder)


def main() -> int:
    skip_without_kernel()
    before = host_state()
    for check in (check_errors, check_traffic, check_logged_verdicts, check_faults, check_crash):
        start = time.monotonic()
        check()
        print(f"{check.__name__}: {time.monotonic() - start:.1f} s", flush=True)
    assert host_state() == before, "the machine's own network has changed"
    return 0


if __name__ == "__main__":
    sys.exit(main())
