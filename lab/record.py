"""Records the demo capture: real programs talk in network namespaces that are built from the manifests.

usage: lab/lab.py record [--manifests testdata/shop/manifests.yaml] [--out testdata/shop/shop.pcap] [--keep-logs]

Needs root and the Debian packages that ./dev lists as lab_packages. Touches only
namespaces of its own, and removes them.
"""

import argparse
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import dataplane
import network
from manifests import Cluster, Pod, expand

LAB = os.path.dirname(os.path.abspath(__file__))
PROGRAM_FILES = os.path.join(LAB, "shop")
NODE = "node"

# Outside the cluster: customers, a company proxy with more of them behind it, a scanner, the payment partner.
CUSTOMERS = ["203.0.113.50", "203.0.113.51", "203.0.113.52"]
COMPANY_PROXY, SCANNER, PARTNER = "203.0.113.61", "203.0.113.99", "198.51.100.20"
BROWSER = ("-A", "Mozilla/5.0 (X11; Linux x86_64) demo")
SHOP = "http://192.0.2.80"


class Shop:
    """The running cluster."""

    def __init__(self, cluster: Cluster, net: network.Network, directory: str) -> None:
        self.cluster, self.net, self.directory = cluster, net, directory
        self.outside = ""
        self.namespace_of: dict[Pod, str] = {}
        self.log = open(os.path.join(directory, "programs.log"), "w", encoding="utf-8")

    def build(self) -> None:
        net, cluster = self.net, self.cluster
        pods = [dataclasses.replace(pod, node=NODE) for pod in cluster.pods]
        net.add_nodes([(NODE, cluster.node_ip, cluster.nodes[0].pod_cidr)])
        made = net.add_pods(pods, cluster.service_ip("kube-dns"))
        self.namespace_of = {pod: made[on_node][0] for pod, on_node in zip(cluster.pods, pods)}
        via = {cluster.nodes[0].pod_cidr: NODE, SHOP.removeprefix("http://"): NODE}
        self.outside = net.add_outside([*CUSTOMERS, COMPANY_PROXY, SCANNER, PARTNER], via)
        rules = dataplane.ruleset(cluster, None, (network.MIRROR[0], network.MIRROR[2]))
        net.exec(net.nodes[NODE][0], "nft", "-f", "-", input=rules)

    def start_servers(self) -> None:
        for pod, namespace in self.namespace_of.items():
            if pod.ready_port:
                self.net.spawn(namespace, self._command(pod), stdout=self.log, stderr=self.log)
        self._start_partner()
        for pod, namespace in self.namespace_of.items():
            if pod.ready_port:
                self.net.wait_for_port(namespace, pod.ready_port)

    def run_job(self, app: str) -> subprocess.Popen:
        pod = self.cluster.pod(app)
        return self.net.spawn(self.namespace_of[pod], self._command(pod), stdout=self.log, stderr=self.log)

    def _command(self, pod: Pod) -> list:
        home = os.path.join(self.directory, pod.name)
        shutil.copytree(PROGRAM_FILES, home)
        os.makedirs(os.path.join(home, "tmp"), exist_ok=True)
        with open(os.path.join(home, "services.hosts"), "w", encoding="utf-8") as file:
            for service in self.cluster.of("Service"):
                meta = service["metadata"]
                file.write(f"{service['spec']['clusterIP']} {meta['name']}.{meta['namespace']}.svc.cluster.local\n")
        return [expand(word, {"LAB": home}) for word in pod.command]

    def _start_partner(self) -> None:
        home = os.path.join(self.directory, "partner")
        shutil.copytree(PROGRAM_FILES, home)
        os.makedirs(os.path.join(home, "tmp"))
        network.run(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "7",
            "-subj",
            "/CN=api.partner.example",
            "-keyout",
            f"{home}/partner.key",
            "-out",
            f"{home}/partner.crt",
        )
        self.net.spawn(
            self.outside, ["nginx", "-e", "stderr", "-p", home, "-c", "partner.conf"], stdout=self.log, stderr=self.log
        )

    def visit(self, path: str, source: str, *options: str) -> None:
        subprocess.run(
            [
                "ip",
                "netns",
                "exec",
                self.outside,
                "curl",
                "-s",
                "-o",
                os.devnull,
                "--max-time",
                "12",
                "--interface",
                source,
                "-H",
                "Host: shop.example",
                *options,
                SHOP + path,
            ],
            check=False,
        )

    def knock(self, address: str, port: int) -> subprocess.Popen:
        return self.net.spawn(self.outside, ["nc", "-z", "-w", "2", "-s", SCANNER, address, str(port)])


def traffic(shop: Shop) -> None:
    """Some seconds in the shop's life."""
    report = shop.run_job("report")
    for customer in CUSTOMERS:
        for path in ("/", "/catalog/items.json", "/cart", "/"):
            shop.visit(path, customer, *BROWSER)
            time.sleep(0.1)
    knocks = [
        shop.knock(shop.cluster.pod(app).ip, port)
        for app, port in (
            ("ingress-nginx", 22),
            ("ingress-nginx", 8443),
            ("frontend", 22),
            ("redis", 6379),
            ("payment", 8080),
        )
    ]
    # The company's proxy names the employee behind it.
    for employee in ("192.0.2.131", "192.0.2.132"):
        for path in ("/", "/catalog/prices.json", "/cart"):
            shop.visit(path, COMPANY_PROXY, *BROWSER, "-H", f"X-Forwarded-For: {employee}")
            time.sleep(0.1)
    shop.visit("/checkout", COMPANY_PROXY, *BROWSER, "-H", "X-Forwarded-For: 192.0.2.131")
    shop.visit("/checkout", CUSTOMERS[0], *BROWSER)
    shop.visit("/admin/refunds", CUSTOMERS[1], "-A", "curl/7.88.1")
    shop.visit("/missing", CUSTOMERS[1], "-A", "curl/7.88.1")
    for process in (report, *knocks):
        process.wait(30)
    time.sleep(5.5)  # a lookup counts as unanswered after 5 s: let the capture go on for longer than that
    shop.visit("/", CUSTOMERS[2], *BROWSER)


def record(options: argparse.Namespace, directory: str) -> None:
    net = network.Network(f"weirlab-record{os.getpid()}", on_the_wire=True, mirror=True)
    try:
        shop = Shop(Cluster(options.manifests), net, directory)
        shop.build()
        shop.start_servers()
        out = os.path.join(directory, "shop.pcap")
        tcpdump = net.spawn(
            net.nodes[NODE][0],
            [
                "tcpdump",
                "-i",
                network.MIRROR[0],
                "-Q",
                "out",
                "-U",
                "--immediate-mode",
                "-Z",
                "root",
                "-s",
                "0",
                "-w",
                out,
                "ip",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        while "listening on" not in tcpdump.stderr.readline():
            if tcpdump.poll() is not None:
                raise RuntimeError("tcpdump did not start")
        traffic(shop)
        time.sleep(0.5)  # the kernel hands the last packets over
        tcpdump.terminate()
        summary = tcpdump.communicate()[1]
        if "\n0 packets dropped by kernel" not in summary:
            raise RuntimeError(f"tcpdump lost packets: {summary}")
        shutil.move(out, options.out)
        print(f"{options.out}: {os.path.getsize(options.out)} bytes")
    finally:
        net.close()
        if options.keep_logs:
            print(f"program logs: {directory}")


def add_options(parser: argparse.ArgumentParser) -> None:
    data = os.path.join(LAB, "..", "testdata", "shop")
    parser.add_argument("--manifests", default=os.path.normpath(os.path.join(data, "manifests.yaml")))
    parser.add_argument("--out", default=os.path.normpath(os.path.join(data, "shop.pcap")))
    parser.add_argument("--keep-logs", action="store_true", help="leave the programs' logs behind")


def main(options: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leave through the clean-up below
    directory = tempfile.mkdtemp(prefix="weirlab-")
    try:
        record(options, directory)
    finally:
        if not options.keep_logs:
            shutil.rmtree(directory, ignore_errors=True)
