#!/usr/bin/env python3
"""The API server client against a real kube-apiserver and etcd: what is created, changed and deleted through kubectl
shows in the ledger, and nothing is lost when the server dies, forgets, or does not let us see a kind.

Needs etcd, kubectl, openssl and Go 1.24 (for scripts/kube-apiserver.sh). Without them it is skipped with the reason,
and fails in CI (WEIR_CI=1).
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import shutil
import subprocess
import sys
import time

from cluster import READ, Cluster, custom_kinds, find_programs, network_set_kinds, role, wait_until


class Program:
    """kube_live_test on one kubeconfig."""

    def __init__(self, path, kubeconfig, *args):
        self.process = subprocess.Popen([path, kubeconfig, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"kube_live_test ended with {self.process.wait()} at '{question}'")
        return line.rstrip("\n")

    def lines(self, question):
        lines = [self.ask(question)]
        while lines[-1] != ".":
            lines.append(self.process.stdout.readline().rstrip("\n"))
        return lines[:-1]

    def status(self):
        first, *kinds = self.lines("status")
        names = ("name", "state", "objects", "lists", "watches", "refused", "error")
        return first, {kind.split("|")[0]: dict(zip(names, kind.split("|", 6))) for kind in kinds}

    def wait(self, question, want, seconds=20):
        last = [None]

        def check():
            last[0] = self.ask(question)
            return last[0] == want
        try:
            wait_until(f"{question} = {want}", check, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {last[0]}; {self.lines('status')}") from None

    def wait_synced(self):
        wait_until("synced", lambda: self.status()[0] == "reachable synced", 60)

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=20)
        if code != 0:
            raise AssertionError(f"kube_live_test ended with {code}")


def big_pod(i):
    """The size and shape of a pod of a real cluster."""
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"big-{i}", "labels": {"app": f"app-{i % 200}", "pod-template-hash": "6d4cf56db6",
                                                        "team": f"t{i % 7}"}},
            "spec": {"nodeName": f"node-{i % 100}", "tolerations": [
                {"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
                "containers": [{"name": "main", "image": "registry.example/app:1",
                                "env": [{"name": f"VARIABLE_{k}", "value": "some value"} for k in range(12)],
                                "ports": [{"containerPort": 8080, "name": "http"}],
                                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}}


def big_policy(i):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": f"p{i}"},
            "spec": {"podSelector": {"matchLabels": {"app": f"app-{i % 200}"}}, "ingress": [
                {"from": [{"podSelector": {"matchExpressions": [
                    {"key": "team", "operator": "In", "values": ["t1", "t2"]}]}}],
                 "ports": [{"port": "http"}, {"port": 9000, "endPort": 9100}]}]}}


class Tests:
    def __init__(self, cluster, program):
        self.cluster, self.program_path = cluster, program
        self.kubectl, self.apply = cluster.kubectl, cluster.apply

    def pod(self, name, ip, labels=None, namespace="shop", node="node-1", owner=None):
        """A pod as scheduler and kubelet leave it: bound, running, with an address."""
        metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
        if owner:
            metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": owner[0], "name": owner[1], "uid": "x",
                                            "controller": True}]
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                    "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i", "ports": [
                        {"name": "http", "containerPort": 8080}]}]}})
        self.set_address(name, ip, namespace)

    def set_address(self, name, ip, namespace="shop"):
        self.cluster.set_status(f"namespaces/{namespace}/pods/{name}",
                                {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]})

    def delete_pod(self, name, namespace="shop"):
        self.cluster.delete_pod(name, namespace)

    def start(self, user, *args, name="weir"):
        return Program(self.program_path, self.cluster.kubeconfig(name, user), *args)

    def prepare(self):
        poor = [kinds for kinds in READ if kinds[0] != "networking.k8s.io"]
        self.apply(*role("weir", READ, "weir-group"), *role("poor", poor, "poor-group"),
                   {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}},
                   {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
        self.pod("web-1", "10.244.0.1", {"app": "web"})
        self.pod("db-1", "10.244.0.2", {"app": "db"})
        for number in range(20):  # several pages of a list
            self.pod_without_address(f"filler-{number}")

    def pod_without_address(self, name):
        self.cluster.request("POST", "/api/v1/namespaces/shop/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"nodeName": "node-2", "containers": [{"name": "c", "image": "i"}]}})

    # ---- each test leaves the cluster as the next one wants it

    def check_initial_list(self, weir):
        weir.wait_synced()
        weir.wait("endpoint 10.244.0.1", "shop/web-1 Pod/web-1 app=web")
        status = weir.status()[1]
        assert status["pods"]["objects"] == "22", status["pods"]
        assert status["networksets"]["state"] == "absent", status["networksets"]
        assert weir.ask("endpoint 10.244.9.9") == "none"

    def check_pods(self, weir):
        self.pod("cart-1", "10.244.0.3", {"app": "cart"})
        weir.wait("endpoint 10.244.0.3", "shop/cart-1 Pod/cart-1 app=cart")
        before = time.time_ns()
        self.kubectl("label", "pod", "cart-1", "-n", "shop", "tier=back")
        weir.wait("endpoint 10.244.0.3", "shop/cart-1 Pod/cart-1 app=cart,tier=back")
        assert weir.ask(f"endpoint 10.244.0.3 {before}") == "shop/cart-1 Pod/cart-1 app=cart", "the past stays"

    def check_reused_address(self, weir):
        # One pod goes, another gets its address within the second.
        self.pod("old", "10.244.0.9")
        weir.wait("endpoint 10.244.0.9", "shop/old Pod/old ")
        while time.time() % 1 > 0.1:
            time.sleep(0.01)
        before = time.time_ns()
        self.cluster.request("DELETE", "/api/v1/namespaces/shop/pods/old?gracePeriodSeconds=0")
        self.cluster.request("POST", "/api/v1/namespaces/shop/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"},
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "i"}]}})
        self.set_address("new", "10.244.0.9")
        weir.wait("endpoint 10.244.0.9", "shop/new Pod/new ")
        assert weir.ask(f"endpoint 10.244.0.9 {before}") == "shop/old Pod/old ", "an earlier flow keeps its name"
        self.delete_pod("new")

    def check_owner_chain(self, weir):
        self.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                    "metadata": {"name": "api-77", "namespace": "shop", "ownerReferences": [
                        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "d", "controller": True}]},
                    "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}},
                             "template": {"metadata": {"labels": {"a": "b"}},
                                          "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
        self.pod("api-77-x", "10.244.0.4", owner=("ReplicaSet", "api-77"))
        weir.wait("endpoint 10.244.0.4", "shop/api-77-x Deployment/api ")

    def check_services(self, weir):
        self.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
                    "spec": {"clusterIP": "10.96.0.50", "ports": [{"name": "http", "port": 80}]}},
                   {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                    "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
                    "endpoints": [{"addresses": ["10.244.0.1"], "conditions": {"ready": True}}],
                    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})
        weir.wait("service 10.96.0.50 80", "shop/web:http")
        weir.wait("backends 10.96.0.50 80", "shop/web-1 10.244.0.1:8080")
        self.kubectl("delete", "service", "web", "-n", "shop")
        weir.wait("service 10.96.0.50 80", "none")

    def check_policies(self, weir):
        weir.wait("verdict shop/web-1 shop/db-1 5432", "allow")
        policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                  "metadata": {"name": "db", "namespace": "shop"},
                  "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]}}
        self.apply(policy)
        weir.wait("verdict shop/web-1 shop/db-1 5432", "deny")
        self.kubectl("patch", "networkpolicy", "db", "-n", "shop", "--type=merge", "-p", json.dumps(
            {"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
                                   "ports": [{"port": 5432}]}]}}))
        weir.wait("verdict shop/web-1 shop/db-1 5432", "allow")
        assert weir.ask("verdict shop/web-1 shop/db-1 5433") == "deny"
        self.kubectl("delete", "networkpolicy", "db", "-n", "shop")
        weir.wait("verdict shop/web-1 shop/db-1 5433", "allow")

    def check_network_sets(self, weir):
        """A kind that comes to be while we run."""
        self.apply(*network_set_kinds())
        wait_until("the kind is served", lambda: "globalnetworksets" in self.kubectl("api-resources"), 30)
        self.apply({"apiVersion": "crd.projectcalico.org/v1", "kind": "GlobalNetworkSet", "metadata": {"name": "feed"},
                    "spec": {"nets": ["198.51.100.0/24"]}})
        weir.wait("set 198.51.100.7", "-/feed")
        assert any("globalnetworksets: followed now" in line for line in weir.lines("log")), weir.lines("log")

    def check_policy_kinds(self, weir):
        """Policy APIs that come to be, their objects that come, change and go, and one that is odd."""
        self.apply(*custom_kinds("crd.projectcalico.org", ("tiers", "Tier", "Cluster"),
                                 ("stagednetworkpolicies", "StagedNetworkPolicy", "Namespaced")))
        wait_until("the kinds are served", lambda: "stagednetworkpolicies" in self.kubectl("api-resources"), 30)
        calico = "crd.projectcalico.org/v1"
        self.apply({"apiVersion": calico, "kind": "Tier", "metadata": {"name": "security"}, "spec": {"order": 10}},
                   {"apiVersion": calico, "kind": "StagedNetworkPolicy", "metadata": {"name": "db", "namespace": "shop"},
                    "spec": {"tier": "security", "selector": "app == 'db'", "odd": 1}},
                   {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "shop"}})
        weir.wait("policies", "tiers=security calico=shop/db accounts=shop/robot", 60)
        told = [line for line in weir.lines("log") if "spec.odd: is not known, and passed over" in line]
        assert len(told) == 1, weir.lines("log")
        before = time.time_ns()
        self.kubectl("delete", "stagednetworkpolicies", "db", "-n", "shop")
        weir.wait("policies", "tiers=security calico= accounts=shop/robot")
        assert weir.ask(f"policies {before}") == "tiers=security calico=shop/db accounts=shop/robot", "the past stays"

    def check_server_killed(self, weir):
        """kill -9 of the API server: what is known stays, what changed meanwhile and after comes."""
        lists = {name: kind["lists"] for name, kind in weir.status()[1].items()}
        self.cluster.kill("apiserver")
        wait_until("unreachable", lambda: weir.status()[0].startswith("unreachable"))
        assert weir.ask("endpoint 10.244.0.1") == "shop/web-1 Pod/web-1 app=web"
        self.cluster.start_apiserver()
        self.pod("after", "10.244.0.11")
        self.delete_pod("cart-1")
        weir.wait("endpoint 10.244.0.11", "shop/after Pod/after ", 60)
        weir.wait("endpoint 10.244.0.3", "none", 60)  # its grace is over
        assert weir.ask("endpoint 10.244.0.1") == "shop/web-1 Pod/web-1 app=web"
        print("    lists of pods before and after:", lists["pods"], weir.status()[1]["pods"]["lists"])

    def check_forgotten_place(self, weir):
        """410: we were away, and the server has forgotten where we were."""
        before = weir.status()[1]["pods"]
        self.cluster.proxy.cut()
        wait_until("unreachable", lambda: weir.status()[0].startswith("unreachable"))
        self.delete_pod("after")
        self.pod("missed", "10.244.0.12", {"app": "missed"})
        self.delete_pod("db-1")
        self.pod("db-1", "10.244.0.13", {"app": "db"})
        self.cluster.kill("apiserver")
        self.cluster.compact()
        self.cluster.start_apiserver()
        self.cluster.proxy.join()
        weir.wait("endpoint 10.244.0.12", "shop/missed Pod/missed app=missed", 60)
        weir.wait("endpoint 10.244.0.13", "shop/db-1 Pod/db-1 app=db", 60)
        weir.wait("endpoint 10.244.0.11", "none", 60)
        weir.wait("endpoint 10.244.0.2", "none", 60)
        after = weir.status()[1]["pods"]
        assert int(after["lists"]) > int(before["lists"]), (before, after)
        assert "too old" in after["error"] or "410" in after["error"] or after["error"], after
        print(f"    lists {before['lists']} -> {after['lists']}; error: {after['error']}")

    def check_partial_permission(self):
        """A token that may not see network policies: that kind is left out and said once; granted, it comes."""
        poor = self.start({"token": "poor-token"}, name="poor")
        poor.wait_synced()
        poor.wait("endpoint 10.244.0.1", "shop/web-1 Pod/web-1 app=web")
        assert poor.status()[1]["networkpolicies"]["state"] == "forbidden", poor.status()
        time.sleep(4)  # two more tries
        told = [line for line in poor.lines("log") if "networkpolicies" in line]
        assert len(told) == 1 and "no permission" in told[0], told
        self.kubectl("patch", "clusterrole", "poor", "--type=json", "-p", json.dumps(
            [{"op": "add", "path": "/rules/-", "value": {"apiGroups": ["networking.k8s.io"],
                                                         "resources": ["networkpolicies"], "verbs": ["list", "watch"]}}]))
        wait_until("permitted", lambda: poor.status()[1]["networkpolicies"]["state"] == "watching")
        poor.stop()

    def check_token_file(self):
        """A token file that rotates is read anew; a wrong token keeps what is known."""
        path = self.cluster.folder / "token"
        path.write_text("wrong-token\n")
        weir = self.start({"tokenFile": str(path)}, name="token")
        wait_until("refused", lambda: "HTTP 401" in weir.status()[1]["nodes"]["error"])
        path.write_text("full-token\n")
        weir.wait_synced()
        weir.stop()

    def check_client_certificate_and_split_pods(self):
        weir = self.start({"client-certificate": "admin.crt", "client-key": "admin.key"}, "node-1", name="cert")
        weir.wait_synced()
        status = weir.status()[1]
        own, others = int(status["pods of this node"]["objects"]), int(status["pods of other nodes"]["objects"])
        assert others == 20 and own >= 3, status
        self.pod("unbound-then-bound", "10.244.0.20", node="node-1")
        weir.wait("endpoint 10.244.0.20", "shop/unbound-then-bound Pod/unbound-then-bound ")
        self.delete_pod("unbound-then-bound")
        wait_until("one pod less", lambda: weir.status()[1]["pods of this node"]["objects"] == str(own))
        weir.stop()

    def check_foreign_certificate(self):
        """A server whose certificate another CA signed is not spoken to."""
        self.cluster.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                             "2", "-subj", "/CN=other", "-keyout", "other.key", "-out", "other.crt")
        path = self.cluster.kubeconfig("foreign", {"token": "full-token"})
        text = open(path).read().replace("ca.crt", "other.crt")
        open(path, "w").write(text)
        weir = Program(self.program_path, path)
        wait_until("refused", lambda: "certificate" in weir.status()[1]["nodes"]["error"])
        assert weir.status()[0] == "unreachable unsynced", weir.status()
        weir.stop()

    def measure(self, pods=5000, policies=1000):
        """Memory and time of following a cluster of that size; prints, and checks nothing."""
        self.prepare()

        def create(numbers):
            connection = http.client.HTTPSConnection("127.0.0.1", self.cluster.port, context=self.cluster.context)

            def send(method, path, body, content_type="application/json"):
                connection.request(method, path, json.dumps(body), {"Content-Type": content_type})
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status < 300, text
            for i in numbers:
                send("POST", "/api/v1/namespaces/shop/pods", big_pod(i))
                ip = f"10.{1 + i // 65536}.{i // 256 % 256}.{i % 256}"
                send("PATCH", f"/api/v1/namespaces/shop/pods/big-{i}/status",
                     {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}, "application/merge-patch+json")
                if i < policies:
                    send("POST", "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies", big_policy(i))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(create, [range(k, pods, 4) for k in range(4)]))
        print(f"created {pods} pods, {policies} policies", flush=True)
        for page in ("500", "200"):
            began = time.monotonic()
            weir = self.start({"token": "full-token"}, "", page)
            weir.wait_synced()
            weir.wait("endpoint 10.1.0.5", "shop/big-5 Pod/big-5 app=app-5,pod-template-hash=6d4cf56db6,team=t5")
            took = time.monotonic() - began
            time.sleep(2)
            status = open(f"/proc/{weir.process.pid}/status").read()
            values = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Vm")}
            cpu = sum(map(int, open(f"/proc/{weir.process.pid}/stat").read().split()[13:15])) / os.sysconf("SC_CLK_TCK")
            print(f"pages of {page}: synced in {took:.1f} s, {cpu:.2f} CPU s, {weir.ask('counts')}, "
                  f"VmRSS {values['VmRSS']} kB, VmHWM {values['VmHWM']} kB", flush=True)
            weir.stop()

    def run(self):
        self.prepare()
        weir = self.start({"token": "full-token"})
        for check in (self.check_initial_list, self.check_pods, self.check_reused_address, self.check_owner_chain,
                      self.check_services, self.check_policies, self.check_network_sets, self.check_policy_kinds,
                      self.check_server_killed,
                      self.check_forgotten_place):
            began = time.monotonic()
            check(weir)
            print(f"  {check.__name__}: ok ({time.monotonic() - began:.1f} s)", flush=True)
        weir.stop()
        for check in (self.check_partial_permission, self.check_token_file,
                      self.check_client_certificate_and_split_pods, self.check_foreign_certificate):
            began = time.monotonic()
            check()
            print(f"  {check.__name__}: ok ({time.monotonic() - began:.1f} s)", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--apiserver", help="a kube-apiserver; else scripts/kube-apiserver.sh builds one")
    parser.add_argument("--measure", action="store_true", help="memory with 5,000 pods and 1,000 policies instead")
    args = parser.parse_args()
    cluster = Cluster(*find_programs(args.apiserver))
    try:
        began = time.monotonic()
        cluster.start()
        print(f"API server up in {time.monotonic() - began:.1f} s", flush=True)
        tests = Tests(cluster, args.program)
        tests.measure() if args.measure else tests.run()
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
