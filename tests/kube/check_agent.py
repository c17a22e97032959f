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
import json
import os
import random
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
SOURCES = ("ebpf", "conntrack")
# What the client follows; who owns a pod's ReplicaSet or Job is only a name in these.
LOADED = ("Namespace", "Node", "ReplicaSet", "Job", "Pod", "Service", "EndpointSlice", "NetworkPolicy", "NetworkSet",
          "GlobalNetworkSet")
# The agent applies what the API server told once a second; a connection is judged when it ends or is 2 s old.
APPLIED_NS = 1_500_000_000
# Within this of a change either version may have decided: lab/truth.py.
CHANGE_NS = 500_000_000
# The agent waits for a server that is away as long again as it was away, and has then to ask.
RETURN_S = 60


def policy(name, namespace, spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec}


# Nothing applies to the pods of `analytics` otherwise: from allowed to denied.
LOCK = policy("lock", "analytics", {"podSelector": {}, "policyTypes": ["Egress"]})
# `cart` does not listen to them otherwise: from denied to allowed.
LET_IN = policy("let-reports-in", "shop", {
    "podSelector": {"matchLabels": {"app": "cart"}}, "policyTypes": ["Ingress"],
    "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "data"}}}], "ports": [{"port": 8080}]}]})


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
        """Through kubectl, and in the data plane. Returns (when the first had it, when both had)."""
        self.api.apply(item)
        told = time.time_ns()
        self.lab.fault("apply", self.file_of(item))
        return told, time.time_ns()

    def delete(self, item):
        meta = item["metadata"]
        self.api.kubectl("delete", "networkpolicy", meta["name"], "-n", meta["namespace"])
        told = time.time_ns()
        self.lab.fault("delete", self.file_of(item))
        return told, time.time_ns()

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
        self.api.kubectl("label", "pod", meta["name"], "-n", meta["namespace"], "--overwrite", f"release={value}")
        return time.time_ns()


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
            self.locked = world.create(LOCK)
        world.talk("with the policy")
        with world.talking("it goes"):
            time.sleep(1)
            self.unlocked = world.delete(LOCK)
        world.talk("without it")
        self.replaced = world.replace_pod("cart")
        self.labelled = world.label("cart", self.agent.source)
        self.released = time.time_ns() + 3_600_000_000_000
        self.let_in = None
        world.talk("with another label")
        if outage:
            self.lose_api()

    def lose_api(self):
        world = self.world
        began = time.monotonic()
        with world.talking("the API server is killed"):
            time.sleep(1)
            world.api.kill("apiserver")
        kube.wait_until("the agent misses it", lambda: any("cluster" in note for note in self.agent.notes[1:]), 20)
        world.talk("without the API server", 100)
        with world.talking("it starts"):
            world.api.start_apiserver()
        back = time.monotonic()
        self.released = world.label("cart", "after")
        self.let_in = world.create(LET_IN)
        deadline = back + RETURN_S
        while not self.knows_policy("let-reports-in") and time.monotonic() < deadline:
            world.talk("until the policy is known", 10, mix="denied_ingress=20,direct=200")
        known = time.monotonic()
        print(f"{self.agent.source}: {back - began:.1f} s without the API server; a policy of after that was known "
              f"{known - back:.1f} s later")
        self.known = time.time_ns()
        world.talk("after the API server came back")
        world.delete(LET_IN)

    def knows_policy(self, name):
        with contextlib.suppress(AssertionError):  # the agent may be writing a line just now
            return any(name in entry for record in self.agent.lines("flows.log") for entry in pending(record))
        return False

    # ---- what was told of it

    def compare(self):
        state = self.world.lab.state
        everything = os.path.join(self.world.lab.directory, f"{self.agent.source}.ndjson")
        pieces = self.world.pieces[self.first_piece:]
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
            part.run()
            print(f"{self.agent.source}: {name}: {part.compared} ends compared, {len(part.found)} disagreements")
        print(f"{self.agent.source}: {whole.compared} ends of {len(truth.connections)} connections compared, "
              f"{len(found)} disagreements; {len(records)} records")
        self.problems += found + agents.window_problems(self.agent)
        self.ends = self.told_ends(truth.connections, records)

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

    def judged_by(self, name, since, until, of, action):
        """Every connection that `of` holds for, of that time, has that verdict by the policy, as enforced and as
        computed from the API server's objects; no other has."""
        told, others, early = 0, 0, 0
        for connection, reporter, records in self.ends:
            if not of(connection, reporter):
                continue
            start = connection["start"]
            within = since[1] + APPLIED_NS < start < until[0] - 2 * APPLIED_NS
            outside = start < since[0] - 2 * APPLIED_NS or start > until[1] + APPLIED_NS
            for record in records:
                enforced = [e for e in record["policies"]["enforced_policies"] if name in e]
                computed = [e for e in pending(record) if name in e]
                told += within
                others += outside
                early += bool(computed) and since[0] <= start <= since[1] + APPLIED_NS
                if within and not (enforced and computed and record["action"] == action):
                    self.problems.append(f"{connection['id']}, {(start - since[1]) / 1e9:.1f} s after {name} came: "
                                         f"{record['action']} {record['policies']}")
                if outside and (enforced or computed):
                    self.problems.append(f"{connection['id']}, not while {name} was there: {record['policies']}")
        self.enough(f"ends with {name} ({action}); {early} within {APPLIED_NS / 1e9} s of its creation", told)
        self.enough(f"such ends without {name}", others)

    def check_lock(self):
        self.judged_by("analytics/knp.default.lock", self.locked, self.unlocked, lambda c, reporter:
                       reporter == "src" and c["src"]["name"].startswith("analytics/"), "deny")

    def check_let_in(self):
        self.judged_by("shop/knp.default.let-reports-in", (self.let_in[0], self.known), (self.known + 10**15,) * 2,
                       lambda c, reporter: reporter == "dst" and c["src"]["name"].startswith("analytics/")
                       and c["backends"][0]["name"].startswith("shop/cart-") and c["backends"][0]["port"] == 8080,
                       "allow")

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
        counts = {}
        for connection, reporter, records in self.ends:
            if reporter != "src" or not connection["src"]["name"].startswith("shop/cart-"):
                continue
            for value, since, until in ((self.agent.source, self.labelled, self.released),
                                        ("after", self.known if self.let_in else 2**63, 2**63)):
                if since + APPLIED_NS < connection["start"] < until - 2 * APPLIED_NS:
                    wanted = {f"release={value}"}
                elif connection["start"] < self.labelled - 2 * APPLIED_NS and value == self.agent.source:
                    wanted = set()
                else:
                    continue
                for record in records:
                    labels = {l for l in record["source_labels"]["labels"] if l.startswith("release=")}
                    counts[tuple(wanted)] = counts.get(tuple(wanted), 0) + 1
                    if labels != wanted:
                        self.problems.append(f"{connection['id']}: labels {labels}, they were {wanted}")
        for wanted, count in counts.items():
            self.enough(f"ends of cart labelled {''.join(wanted) or 'nothing'}", count)
        if len(counts) != (3 if self.let_in else 2):
            self.problems.append(f"labels were only {list(counts)}")


def pending(record):
    return (record["policies"] or {}).get("pending_policies") or []


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
    test.check_lock()
    test.check_names()
    test.check_labels()
    if test.let_in:
        test.check_let_in()
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
