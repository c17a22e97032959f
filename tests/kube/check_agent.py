#!/usr/bin/env python3
"""The agent of a lab's node with a real kube-apiserver and etcd, while traffic runs: what kubectl creates, changes and
deletes shows in the records, and nothing is lost or loses its name when the API server is killed.

usage: check_agent.py --weir BINARY [--apiserver BINARY] [--source ebpf|conntrack]... [--keep DIR]

The lab's data plane enforces the same policies, and its programs record what they do: that is what records are compared
with. `enforced_policies` may come from the data plane; `pending_policies` tells what the agent has from the API server.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import cluster as kube

sys.path.insert(0, str(kube.ROOT / "tests" / "agent"))

import agents  # noqa: E402
import ground_truth  # noqa: E402
import manifests  # noqa: E402
from lab_under_test import lab, skip_without_kernel  # noqa: E402

NODE = "node-1"
# In this order: at its start, the conntrack source tells of all that the node's connection tracker still remembers.
SOURCES = ("conntrack", "ebpf")
# What the client follows; who owns a pod's ReplicaSet or Job is only a name in these.
LOADED = ("Namespace", "Node", "ReplicaSet", "Job", "Pod", "Service", "EndpointSlice", "NetworkPolicy", "NetworkSet",
          "GlobalNetworkSet")
# When at the latest the agent has applied what kubectl has done.
APPLIED_S = 1
# A connection is judged when it ends or is 2 s old.
JUDGED_S = 3
# The agent asks a server that is away again after at most this.
RETURN_S = 45


def policy(name, namespace, spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec}


# Nothing applies to the pods of `analytics` otherwise: from allowed to denied.
LOCK = policy("lock", "analytics", {"podSelector": {}, "policyTypes": ["Egress"]})
LOCK_AGAIN = policy("lock-again", "analytics", LOCK["spec"])
# Weights of connections to and from it.
OF_CART = "direct=200,http=100,redis=150,udp=60,denied_ingress=60"
DENIED = "denied_egress=200"
OF_REPORT = "direct=200,icmp=50"


@dataclasses.dataclass(frozen=True)
class Times:
    """Of a policy: nobody had it before, since when all had it, the piece in which it was there, since when it is gone."""

    before: int
    since: int
    piece: str
    gone: int


class KubeAgent(agents.Agent):
    """An agent that knows of the cluster by the API server alone, on the node's loopback."""

    def __init__(self, weir, test_lab, source, kubeconfig):
        super().__init__(weir, test_lab, NODE, source, "2s",
                         f"bpf_pin_directory={test_lab.directory}")  # no such file system: nothing is left behind
        manifests_at = self.words.index("--cluster")
        self.words[manifests_at:manifests_at + 2] = ["--kubeconfig", kubeconfig]

    def spawn(self, namespace):
        # `ip netns exec` would hide the cgroups.
        words = ["nsenter", f"--net=/run/netns/{namespace}", "--", *self.words]
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def for_api(item):
    """A manifest as a user or a controller would send it."""
    item = {key: value for key, value in item.items() if key != "status"}
    meta = item["metadata"] = {k: v for k, v in item["metadata"].items() if k not in ("uid", "creationTimestamp")}
    container = {"name": "c", "image": "i"}
    if item["kind"] == "ReplicaSet":
        template = {"metadata": {"labels": meta["labels"]}, "spec": {"containers": [container]}}
        item["spec"] = {**item["spec"], "template": template}
    elif item["kind"] == "Job":
        item["spec"] = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    elif item["kind"] == "EndpointSlice":
        for endpoint in item["endpoints"]:
            endpoint["targetRef"] = {k: v for k, v in endpoint["targetRef"].items() if k != "uid"}
    elif item["kind"].endswith("NetworkSet"):
        item["apiVersion"] = "crd.projectcalico.org/v1"
    return item


class World:
    """The lab and the API server, which are told the same."""

    def __init__(self, test_lab, api):
        self.lab, self.api = test_lab, api
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.pieces = []  # (name, file of connections)

    def objects(self, *kinds):
        return [o for o in manifests.load(self.lab.state["manifests"]) if o["kind"] in kinds]

    def put(self, *items):
        listed = {"apiVersion": "v1", "kind": "List", "items": [for_api(item) for item in items]}
        self.api.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=json.dumps(listed))

    def load(self):
        self.put(*kube.role("weir", kube.READ, "weir-group"), *kube.network_set_kinds())
        kube.wait_until("network sets are served", lambda: "globalnetworksets" in self.api.kubectl("api-resources"), 30)
        objects = self.objects(*LOADED)
        self.put(*objects)
        for item in objects:
            if "status" in item:
                self.set_status(item)
        return len(objects)

    def set_status(self, item):
        """What the kubelet does, or a load balancer."""
        meta = item["metadata"]
        within = f"namespaces/{meta['namespace']}/" if "namespace" in meta else ""
        self.api.set_status(f"{within}{item['kind'].lower()}s/{meta['name']}", item["status"])

    def talk(self, name, connections=60, **options):
        """A piece of the script, by itself."""
        out = os.path.join(self.lab.directory, f"piece-{len(self.pieces)}.ndjson")
        self.pieces.append((name, out))
        return self.lab.run(connections, seed=len(self.pieces), concurrency=20, out=out, **options)

    @contextlib.contextmanager
    def talking(self, name, connections=60, **options):
        """The same, while the body does something else."""
        running = self.pool.submit(self.talk, name, connections, **options)
        yield
        running.result()

    def create(self, item):
        """Through kubectl, and in the data plane. Returns (until when nobody had it, since when both have)."""
        before = time.time_ns()
        self.api.apply(item)
        self.lab.fault("apply", self.file_of(item))
        return before, time.time_ns()

    def delete(self, item):
        meta = item["metadata"]
        self.api.kubectl("delete", "networkpolicy", meta["name"], "-n", meta["namespace"])
        self.lab.fault("delete", self.file_of(item))
        return time.time_ns()

    def file_of(self, item):
        path = os.path.join(self.lab.directory, f"{item['metadata']['name']}.yaml")
        manifests.write_atomically(path, [item])
        return path

    def pod(self, app):
        """The item of the one pod of that label, that runs."""
        return next(o for o in self.objects("Pod") if o["metadata"]["labels"].get("app") == app
                    and manifests.is_running(o))

    def replace_pod(self, app):
        """As in a cluster: marked, the successor is there without an address, takes it over, is told to have it."""
        old = self.pod(app)
        meta = old["metadata"]
        name = meta["generateName"] + "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        self.api.kubectl("delete", "pod", meta["name"], "-n", meta["namespace"], "--wait=false")
        self.api.apply(for_api({**old, "metadata": {**meta, "name": name}}))
        self.lab.fault("replace-pod", app, name)
        taken = time.time_ns()
        with self.talking("after the pod was replaced"):
            self.api.delete_pod(meta["name"], meta["namespace"])
            self.set_status(self.pod(app))
            self.put(*(o for o in self.objects("EndpointSlice") if app in o["metadata"]["name"]))
            told = time.time_ns()
        return f"{meta['namespace']}/{meta['name']}", f"{meta['namespace']}/{name}", taken, told

    def label(self, app, value):
        meta = self.pod(app)["metadata"]
        change = f"release={value}" if value else "release-"
        self.api.kubectl("label", "pod", meta["name"], "-n", meta["namespace"], "--overwrite", change)


class Check:
    """One agent, and what it must have told."""

    def __init__(self, world, agent):
        self.world, self.agent, self.problems = world, agent, []
        self.first_piece = len(world.pieces)

    # ---- what happens

    def happen(self, outage):
        world = self.world
        world.talk("at first", 150)
        with world.talking("a policy comes"):
            time.sleep(1)
            locked = world.create(LOCK)
        time.sleep(APPLIED_S)
        world.talk("with the policy", 100, mix=DENIED)
        time.sleep(JUDGED_S)
        with world.talking("it goes"):
            time.sleep(1)
            unlocked = world.delete(LOCK)
        self.lock = Times(locked[0], locked[1], "with the policy", unlocked)
        self.replaced = world.replace_pod("cart")
        time.sleep(JUDGED_S)
        self.labels = [("", 0, time.time_ns() - int(JUDGED_S * 1e9))]
        self.relabel(self.agent.source)
        world.talk("with another label", mix=OF_CART)
        self.locked_again = None
        if outage:
            self.lose_api()
        else:
            time.sleep(JUDGED_S)
            world.label("cart", "")

    def relabel(self, value):
        world = self.world
        world.label("cart", value)
        time.sleep(APPLIED_S)
        self.labels.append((f"release={value}", time.time_ns(), 2**63))

    def lose_api(self):
        world, source = self.world, self.agent.source
        began = time.monotonic()
        with world.talking("the API server is killed"):
            time.sleep(1)
            world.api.kill("apiserver")
        world.talk("without the API server", 100)
        with world.talking("it starts"):
            world.api.start_apiserver()
        back = time.monotonic()
        label, since, _ = self.labels.pop()
        self.labels.append((label, since, time.time_ns() - int(JUDGED_S * 1e9)))
        self.relabel("after")
        came = world.create(LOCK_AGAIN)
        deadline = back + RETURN_S
        while not self.knows_policy("analytics/knp.default.lock-again") and time.monotonic() < deadline:
            world.talk("until the policy is known", 10, mix=DENIED)
        print(f"{source}: {back - began:.1f} s without the API server; what changed after that was in records "
              f"{time.monotonic() - back:.1f} s later")
        label, _, until = self.labels.pop()
        self.labels.append((label, time.time_ns(), until))
        world.talk("after the API server came back", 150, mix=f"{DENIED},redis=100")
        time.sleep(JUDGED_S)
        gone = world.delete(LOCK_AGAIN)
        time.sleep(APPLIED_S)
        self.locked_again = Times(*came, "after the API server came back", gone)
        world.talk("at last", 40, mix=OF_REPORT)

    def knows_policy(self, name):
        with contextlib.suppress(AssertionError):  # the agent may be writing a line just now
            return any(names(r, "pending_policies", name) for r in self.agent.lines("flows.log"))
        return False

    # ---- what was told of it

    def compare(self):
        state = self.world.lab.state
        everything = os.path.join(self.world.lab.directory, f"{self.agent.source}.ndjson")
        self.pieces = pieces = self.world.pieces[self.first_piece:]
        with open(everything, "wb") as joined:
            for _, path in pieces:
                with open(path, "rb") as piece:
                    shutil.copyfileobj(piece, joined)
        records = self.agent.lines("flows.log")
        truth = ground_truth.Truth(everything, state["manifests"])
        whole, found = agents.compare(self.agent, truth)
        for name, path in pieces:
            part = ground_truth.Comparison(records, ground_truth.Truth(path, state["manifests"]), NODE,
                                           self.agent.source, ignore_extra=True)
            left, again = self.without_split([str(d) for d in part.run()], part.truth.connections)
            print(f"{self.agent.source}: {name}: {part.compared} ends compared, {len(left)} disagreements, {again} told again")
        print(f"{self.agent.source}: {whole.compared} ends of {len(truth.connections)} connections compared, "
              f"{len(found)} disagreements; {len(records)} records")
        found, split = self.without_split(found, truth.connections)
        print(f"{self.agent.source}: {split} were told of again after a policy changed what is computed of them")
        windows = agents.window_problems(self.agent)
        # Ends that the connection tracker did not tell, kubectl's on the node's loopback too: whether one of a pod was
        # lost, the comparison says.
        ends_lost = [w for w in windows if re.search(r"lost {'end_lost': \d+}, widened 0$", w)]
        if self.agent.source == "conntrack" and ends_lost:
            print(f"{self.agent.source}: {ends_lost}")
            windows = [w for w in windows if w not in ends_lost]
        self.problems += found + windows
        self.ends = self.told_ends(truth.connections, records)

    def without_split(self, found, connections):
        """A connection whose computed verdict changes while it is open ends, and starts again: at most with each change.
        The policies here change it for what `analytics` does. Returns (the other disagreements, how many there were)."""
        open_then = {c["id"] for c in connections if c["src"]["name"].startswith("analytics/")}
        rest = []
        for text in found:
            again = re.search(r"\bcount: .*, (\S+)\): ([23]) connections (?:started|completed), (?:made 1|. were closed)", text)
            if not again or again[1] not in open_then:
                rest.append(text)
        return rest, len(found) - len(rest)

    def told_ends(self, connections, records):
        """(connection, reporter, its records) of each end at the node."""
        by_key = {}
        for record in records:
            by_key.setdefault(ground_truth.record_key(record), []).append(record)
        expected = ground_truth.expectations(connections, NODE)
        return [(e.connection, e.reporter, by_key.get(e.key, [])) for e in expected]

    def enough(self, what, count, least=5):
        print(f"{self.agent.source}: {count} {what}")
        if count < least:
            self.problems.append(f"{count} {what}: too few to tell")

    def judged_by(self, name, times, of, action):
        """All that `of` holds for, of the piece in which the policy was there, have that verdict by it, as enforced and
        as computed from the API server's objects; none of before and after has."""
        counts = {"before": 0, "with": 0, "after": 0}
        members = {c["id"] for piece, path in self.pieces if piece == times.piece for c in ground_truth.read_records([path])}
        for connection, reporter, records in self.ends:
            if not of(connection, reporter) or not records:
                continue
            named = [r for r in records if names(r, "enforced_policies", name) and names(r, "pending_policies", name)]
            when = "with" if connection["id"] in members else ""
            if connection["start"] < times.before:
                when = "before"
            elif connection["start"] > times.gone + APPLIED_S * 1e9:
                when = "after"
            # What was open when the policy came is told on with it.
            fine = {"before": len(named) < len(records), "after": not named,
                    "with": any(r["action"] == action for r in named), "": True}[when]
            if when:
                counts[when] += 1
            if not fine:
                told = [(r["action"], r["policies"]) for r in records]
                self.problems.append(f"{connection['id']}, {when} {name}: {told}")
        text = ", ".join(f"{count} {when}" for when, count in counts.items())
        print(f"{self.agent.source}: {name} ({action}): ends {text}")
        self.enough(f"ends with {name}", counts["with"])
        self.enough(f"such ends without {name}", counts["before"] + counts["after"], 1)

    def check_locks(self):
        def of_report(connection, reporter):
            return reporter == "src" and connection["src"]["name"].startswith("analytics/")
        self.judged_by("analytics/knp.default.lock", self.lock, of_report, "deny")
        if self.locked_again:
            self.judged_by("analytics/knp.default.lock-again", self.locked_again, of_report, "deny")

    def check_names(self):
        old, new, taken, told = self.replaced
        counts = {}
        for connection, reporter, records in self.ends:
            end = connection["src"] if reporter == "src" else connection["backends"][0]
            if end["name"] in (old, new) and records:
                before_told = end["name"] == new and connection["start"] < told
                counts[end["name"], before_told] = counts.get((end["name"], before_told), 0) + 1
        self.enough(f"ends of {old}", counts.get((old, False), 0))
        self.enough(f"ends of {new} since the API server has its address, {(told - taken) / 1e9:.1f} s after it was so",
                    counts.get((new, False), 0))
        print(f"{self.agent.source}: {counts.get((new, True), 0)} ends of {new} before that")

    def check_labels(self):
        counts = {label: 0 for label, *_ in self.labels}
        for connection, reporter, records in self.ends:
            if reporter != "src" or not connection["src"]["name"].startswith("shop/cart-"):
                continue
            for wanted, since, until in self.labels:
                for record in records if since < connection["start"] < until else []:
                    told = ",".join(l for l in record["source_labels"]["labels"] if l.startswith("release="))
                    counts[wanted] += 1
                    if told != wanted:
                        self.problems.append(f"{connection['id']}: labelled {told!r}, it was {wanted!r}")
        for wanted, count in counts.items():
            self.enough(f"records of cart labelled {wanted or 'nothing'}", count)


def names(record, trace, policy_name):
    return any(f"|{policy_name}|" in entry for entry in (record["policies"] or {}).get(trace) or [])


def check(weir, source, world, kubeconfig, keep):
    began = time.monotonic()
    agent = KubeAgent(weir, world.lab, source, kubeconfig)
    test = Check(world, agent)
    try:
        agent.start()
        print(f"{source}: the agent watches after {time.monotonic() - began:.1f} s")
        test.happen(outage=source == "ebpf")
        if code := agent.end():
            test.problems.append(f"exit code {code}, {agent.notes[-5:]}")
    finally:
        with contextlib.suppress(AssertionError):
            agent.end(9)
        for note in agent.notes:
            print(f"    {note}")
        if keep:
            shutil.copytree(world.lab.directory, os.path.join(keep, source), dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("*.sock"))
    test.compare()
    test.check_locks()
    test.check_names()
    test.check_labels()
    print(f"{source}: {time.monotonic() - began:.1f} s", flush=True)
    return [f"{source} {problem}" for problem in test.problems]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--apiserver", help="a kube-apiserver; else scripts/kube-apiserver.sh builds one")
    parser.add_argument("--source", action="append", choices=SOURCES)
    parser.add_argument("--keep", default="", help="copy logs and ground truth there")
    options = parser.parse_args()
    skip_without_kernel()
    programs = kube.find_programs(options.apiserver)
    problems, began = [], time.monotonic()
    with lab("kube", "--rate", "0") as test_lab:
        api = kube.Cluster(*programs, namespace=test_lab.state["nodes"][NODE]["netns"])
        try:
            api.start()
            world = World(test_lab, api)
            print(f"lab and API server up in {time.monotonic() - began:.1f} s, {world.load()} objects loaded "
                  f"after {time.monotonic() - began:.1f} s", flush=True)
            kubeconfig = api.kubeconfig("weir", {"token": "full-token"})
            for source in options.source or SOURCES:
                problems += check(options.weir, source, world, kubeconfig, options.keep)
        finally:
            api.stop()
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
