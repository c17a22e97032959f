"""A running lab: the cluster of the manifests in network namespaces, with its programs."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time

import dataplane
import faults
import network
import state as lab_state
from manifests import Cluster, Pod, expand, load, write_atomically

LAB = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(LAB, "programs")

CUSTOMERS = ["203.0.113.50", "203.0.113.51", "203.0.113.52"]
COMPANY_PROXY, SCANNER, PARTNER = "203.0.113.61", "203.0.113.99", "198.51.100.20"
ADDRESSES = [*CUSTOMERS, COMPANY_PROXY, SCANNER, PARTNER]  # the order that programs/pod.py knows
OUTSIDE = "outside"


class Lab:
    def __init__(self, options) -> None:
        """`options`: of `lab.py up`."""
        self.options = options
        self.directory = options.state
        self.prefix = f"weirlab-{options.name}"
        sysctls = {"net/netfilter/nf_conntrack_tcp_timeout_time_wait": options.time_wait} if options.time_wait else {}
        self.net = network.Network(self.prefix, options.on_the_wire, options.mirror, sysctls)
        self.objects = load(options.manifests)
        self.cluster = Cluster(self.objects)
        self.namespace_of: dict[Pod, str] = {}
        self.interface_of: dict[Pod, str] = {}
        self.outside = ""
        self.broken: list[str] = []  # namespaces in which a fault has put a table
        made = not os.path.isdir(self.directory)
        os.makedirs(self.directory, exist_ok=True)
        pid = os.getpid()
        self.state = {
            "name": options.name,
            "prefix": self.prefix,
            "pid": pid,
            "start_time": lab_state.start_time(pid),
            "made_directory": made,
            "keep_files": options.keep_files,
            "ready": False,
        }
        lab_state.write(self.directory, self.state)  # before anything is made: `down` can then remove it

    def path(self, *names: str) -> str:
        return os.path.join(self.directory, *names)

    def up(self) -> None:
        for name in ("pods", "logs", lab_state.HISTORY):
            os.makedirs(self.path(name), exist_ok=True)
        open(self.path(lab_state.TRUTH), "wb").close()
        self.write_manifests()
        self.net.add_nodes([(n.name, n.ip, n.pod_cidr) for n in self.cluster.nodes])
        self._add_pods(self.cluster.pods)
        self._add_outside()
        self.enforce()
        for pod in self.cluster.pods:
            self.start_program(pod)
        self._start_outside()
        for pod in self.cluster.pods:
            if pod.ready_port:
                self.net.wait_for_port(self.namespace_of[pod], pod.ready_port)
        self.write_state()

    def close(self) -> None:
        self.net.close()
        lab_state.remove_files(self.directory, self.state)

    def write_state(self) -> None:
        nodes = {
            name: {"netns": namespace, "ip": address, "uplink": "uplink"}
            for name, (namespace, address) in self.net.nodes.items()
        }
        for node in self.cluster.nodes:
            nodes[node.name]["pod_cidr"] = node.pod_cidr
            nodes[node.name]["links"] = [f"to-{n.name}"[:15] for n in self.cluster.nodes if n != node]
        pods = {
            pod.full_name: {
                "netns": self.namespace_of[pod],
                "node": pod.node,
                "ip": pod.ip,
                "uid": pod.uid,
                "interface": self.interface_of[pod],
                "home": self.home(pod.full_name),
                "controlled": "$(PROGRAMS)/pod.py" in pod.command,
            }
            for pod in self.cluster.pods
        }
        self.state.update(
            ready=True,
            directory=self.directory,
            rate=self.options.rate,
            broken=self.broken,
            manifests=self.path(lab_state.MANIFESTS),
            truth=self.path(lab_state.TRUTH),
            history=self.path(lab_state.HISTORY),
            nodes=nodes,
            pods=pods,
            outside={
                "netns": self.outside,
                "home": self.home(OUTSIDE),
                "customers": CUSTOMERS,
                "proxy": COMPANY_PROXY,
                "scanner": SCANNER,
                "partner": PARTNER,
            },
        )
        lab_state.write(self.directory, self.state)

    def write_manifests(self) -> None:
        """Puts the objects into force for readers: the file itself, and a copy that is named after the moment."""
        write_atomically(self.path(lab_state.HISTORY, f"{time.time_ns()}.yaml"), self.objects)
        write_atomically(self.path(lab_state.MANIFESTS), self.objects)

    def set_objects(self, objects: list) -> None:
        self.objects, self.cluster = objects, Cluster(objects)
        self.write_manifests()

    def enforce(self) -> None:
        """Gives each node its rules; one node's change at once."""
        mirror = (network.MIRROR[0], network.MIRROR[2]) if self.options.mirror else None
        for node in self.cluster.nodes:
            rules = dataplane.ruleset(self.cluster, node, mirror, not self.options.no_masquerade)
            self.net.exec(self.net.nodes[node.name][0], "nft", "-f", "-", input=rules)

    def add_pod(self, pod: Pod) -> None:
        self._add_pods([pod])

    def remove_pod(self, pod: Pod) -> None:
        self.net.remove_pod(self.namespace_of.pop(pod))
        self.interface_of.pop(pod)
        shutil.rmtree(self.home(pod.full_name), ignore_errors=True)

    def home(self, name: str) -> str:
        return self.path("pods", name.replace("/", "."))

    def start_program(self, pod: Pod) -> None:
        home = self._make_home(pod.full_name, pod.env)
        with open(os.path.join(home, "services.hosts"), "w", encoding="utf-8") as file:
            for service in self.cluster.of("Service"):
                meta = service["metadata"]
                file.write(f"{service['spec']['clusterIP']} {meta['name']}.{meta['namespace']}.svc.cluster.local\n")
        command = [expand(word, {"LAB": home, "PROGRAMS": PROGRAMS, **pod.env}) for word in pod.command]
        self._spawn(self.namespace_of[pod], command, home, pod.full_name, pod.ip)

    def _start_outside(self) -> None:
        home = self._make_home(OUTSIDE, {})
        balanced = [
            item["ip"]
            for service in self.cluster.of("Service")
            for item in service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        ]
        command = ["/usr/bin/python3", "-S", "-E", f"{PROGRAMS}/pod.py", "--listen", f"http:443:{PARTNER}"]
        command += ["--every", f"rate:customer:http://{balanced[0]}"] if balanced else []
        command += ["--every", f"3:scan:{','.join([*(p.ip for p in self.cluster.pods), *balanced])}"]
        self._spawn(self.outside, command, home, OUTSIDE, ",".join(ADDRESSES))

    def _make_home(self, name: str, variables: dict) -> str:
        home = self.home(name)
        os.makedirs(os.path.join(home, "tmp"))
        for file_name in os.listdir(f"{PROGRAMS}/conf"):
            with open(f"{PROGRAMS}/conf/{file_name}", encoding="utf-8") as source:
                text = expand(source.read(), variables)
            with open(os.path.join(home, file_name), "w", encoding="utf-8") as target:
                target.write(text)
        return home

    def _spawn(self, namespace: str, command: list, home: str, name: str, addresses: str) -> None:
        rate = self.options.rate
        env = {
            **os.environ,
            "LAB_POD": name,
            "LAB_IP": addresses,
            "LAB_DIR": home,
            "LAB_TRUTH": self.path(lab_state.TRUTH),
            "LAB_RESOLVER": self.cluster.service_ip("kube-dns"),
            "LAB_BACKGROUND": "1" if rate > 0 else "0",
            "LAB_RATE": str(rate if rate > 0 else 1),
        }
        with open(self.path("logs", os.path.basename(home) + ".log"), "ab") as log:
            self.net.spawn(namespace, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

    def _add_pods(self, pods: list) -> None:
        for pod, (namespace, interface) in self.net.add_pods(pods, self.cluster.service_ip("kube-dns")).items():
            self.namespace_of[pod], self.interface_of[pod] = namespace, interface

    def _add_outside(self) -> None:
        via = {node.pod_cidr: node.name for node in self.cluster.nodes}
        for service in self.cluster.of("Service"):
            backends = self.cluster.backends(service)
            for item in service.get("status", {}).get("loadBalancer", {}).get("ingress", []):
                via[item["ip"]] = backends[0].node if backends else self.cluster.nodes[0].name
        self.outside = self.net.add_outside(ADDRESSES, via)


def serve(lab: Lab) -> None:
    """Does what the control socket asks for, until a signal ends the lab."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with lab_state.short_path(lab.directory, lab_state.CONTROL) as path, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print(f"ready {lab.path(lab_state.FILE)}", flush=True)
        while True:
            readable, _, _ = select.select([listener, wake_read], [], [])
            if wake_read in readable:
                return
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                _answer(lab, peer)


def _answer(lab: Lab, peer: socket.socket) -> None:
    peer.settimeout(5)
    with peer.makefile("rw", encoding="utf-8") as stream:
        request = json.loads(stream.readline() or "{}")
        try:
            answer = {"result": faults.do(lab, request.get("fault", []))}
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            answer = {"error": str(error) or repr(error)}
        stream.write(json.dumps(answer) + "\n")
