"""Network namespaces of one lab: nodes that route, a namespace a pod, one for the world outside.

All names carry the lab's prefix, all devices live inside the namespaces, and close() removes everything again; remove()
does so by the prefix alone, when the process that built the lab is gone.
"""

import contextlib
import ctypes
import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import time

GATEWAY = "169.254.1.1"
GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
OUTSIDE_GATEWAY = "192.168.50.1"
MIRROR = ("mirror0", "169.254.99.1/30", "169.254.99.2", "02:00:00:00:99:02")
NETNS = "/run/netns"
ETC_NETNS = "/etc/netns"  # iproute2's place for a namespace's own resolv.conf

NODE_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
    "net/netfilter/nf_conntrack_acct": 1,
    "net/netfilter/nf_conntrack_timestamp": 1,
}
EVERYWHERE = {
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
    # Each datagram to a closed port is refused, however many there are.
    "net/ipv4/icmp_ratelimit": 0,
    "net/ipv4/icmp_msgs_per_sec": 100_000,
}
LIBC = ctypes.CDLL(None, use_errno=True)


def run(*command: str, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done


def host_interface(namespace: str, pod: str) -> str:
    """The name that Calico gives the node's end of a pod's veth pair."""
    return "cali" + hashlib.sha1(f"{namespace}.{pod}".encode()).hexdigest()[:11]


@contextlib.contextmanager
def inside(namespace: str):
    """Moves the calling thread into a network namespace. /proc/sys/net and /proc/self/net are then the namespace's."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        other = os.open(f"{NETNS}/{namespace}", os.O_RDONLY)
        try:
            _setns(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            _setns(own)
    finally:
        os.close(own)


def _setns(descriptor: int) -> None:
    if LIBC.setns(descriptor, 0x40000000) != 0:
        raise RuntimeError(f"setns: {os.strerror(ctypes.get_errno())}")


def processes_in(namespace: str) -> list:
    return [int(pid) for pid in run("ip", "netns", "pids", namespace).stdout.split()]


def namespaces_of(prefix: str) -> list:
    names = os.listdir(NETNS) if os.path.isdir(NETNS) else []
    return [name for name in names if name.startswith(prefix + "-")]


def remove_namespace(name: str) -> None:
    """Ends every program in the namespace, and removes it with its devices."""
    deadline = time.monotonic() + 5
    number = signal.SIGTERM
    while pids := processes_in(name):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)  # a stopped program would not see it
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name}: processes {pids} do not end")
        time.sleep(0.02)
        number = signal.SIGTERM if time.monotonic() < deadline - 4 else signal.SIGKILL
    run("ip", "netns", "del", name)
    shutil.rmtree(f"{ETC_NETNS}/{name}", ignore_errors=True)


def remove(prefix: str) -> None:
    """Removes what a lab of this prefix has left, however it ended."""
    for name in namespaces_of(prefix):
        remove_namespace(name)
    with contextlib.suppress(OSError):
        for name in os.listdir(ETC_NETNS):
            if name.startswith(prefix + "-"):
                shutil.rmtree(f"{ETC_NETNS}/{name}", ignore_errors=True)
        os.rmdir(ETC_NETNS)  # only succeeds when nobody uses it


class Network:
    def __init__(
        self, prefix: str, on_the_wire: bool = False, mirror: bool = False, sysctls: dict | None = None
    ) -> None:
        """`on_the_wire`: frames have whole checksums and no segments above the MTU. `mirror`: a copy of what a node
        forwards leaves by its device MIRROR. `sysctls`: more of them for the nodes."""
        self.prefix, self.on_the_wire, self.mirror = prefix, on_the_wire, mirror
        self.sysctls = {**NODE_SYSCTLS, **(sysctls or {})}
        self.nodes: dict = {}  # name -> (namespace, address)
        self.processes: list[subprocess.Popen] = []

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                for number in (signal.SIGTERM, signal.SIGCONT):
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, number)
        for process in self.processes:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        remove(self.prefix)

    def exec(self, namespace: str, *command: str, **options) -> subprocess.CompletedProcess:
        return run("ip", "netns", "exec", namespace, *command, **options)

    def spawn(self, namespace: str, command: list, **options) -> subprocess.Popen:
        """Starts a program that close() ends."""
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], start_new_session=True, **options)
        self.processes.append(process)
        return process

    def reap(self) -> None:
        self.processes = [p for p in self.processes if p.poll() is None]

    def add_nodes(self, nodes: list) -> None:
        """`nodes`: (name, address, block of its pods). Each is linked to each other."""
        for name, address, _ in nodes:
            namespace = self._add_namespace(name, self.sysctls)
            self.nodes[name] = (namespace, address)
            if self.mirror:
                device, own, peer, mac = MIRROR
                self._ip(
                    namespace,
                    f"link add {device} type veth peer name mirror1",
                    f"link set {device} up",
                    "link set mirror1 up",
                    f"addr add {own} dev {device}",
                    f"neigh add {peer} lladdr {mac} dev {device}",
                )
        for (one, one_ip, one_pods), (other, other_ip, other_pods) in itertools.combinations(nodes, 2):
            here, there = self.nodes[one][0], self.nodes[other][0]
            self._ip(here, f"link add {f'to-{other}'[:15]} type veth peer name {f'to-{one}'[:15]} netns {there}")
            self._join(here, f"to-{other}"[:15], one_ip, other_ip, other_pods)
            self._join(there, f"to-{one}"[:15], other_ip, one_ip, one_pods)

    def add_pods(self, pods: list, resolver: str) -> dict:
        """`pods`: objects with namespace, name, ip and node. Returns (namespace, interface at the node) of each."""
        made = {}
        for node, members in itertools.groupby(sorted(pods, key=lambda p: p.node), key=lambda p: p.node):
            members = list(members)
            for pod in members:
                name = self._add_namespace(f"{pod.namespace}.{pod.name}")
                made[pod] = (name, host_interface(pod.namespace, pod.name))
                self._write_resolver(name, pod, resolver)
            self._ip(
                self.nodes[node][0],
                *(
                    line
                    for name, device, ip in ((*made[pod], pod.ip) for pod in members)
                    for line in (
                        f"link add {device} address {GATEWAY_MAC} type veth peer name eth0 netns {name}",
                        f"link set {device} up",
                        f"route replace {ip} dev {device}",
                    )
                ),
            )
            for pod in members:
                self._finish_pod(made[pod][0], pod.ip)
        return made

    def remove_pod(self, namespace: str) -> None:
        remove_namespace(namespace)
        self.reap()

    def add_outside(self, addresses: list, via: dict) -> str:
        """The rest of the world: one namespace that owns all the addresses outside the cluster.

        `via`: what of the cluster is reached through which node, block or address -> name of the node.
        """
        name = self._add_namespace("outside")
        for node, (namespace, address) in self.nodes.items():
            device = f"to-{node}"[:15]
            self._ip(name, f"link add {device} type veth peer name uplink netns {namespace}")
            self._ip(
                name,
                f"link set {device} up",
                f"addr add {OUTSIDE_GATEWAY}/32 dev {device}",
                f"route add {address} dev {device} src {OUTSIDE_GATEWAY}",
                *(f"route add {what} via {address} dev {device} onlink" for what, at in via.items() if at == node),
            )
            self._ip(
                namespace,
                "link set uplink up",
                f"addr add {address}/32 dev uplink",
                f"route add {OUTSIDE_GATEWAY} dev uplink src {address}",
                f"route add default via {OUTSIDE_GATEWAY} dev uplink onlink",
            )
            self._offloads(name, device)
            self._offloads(namespace, "uplink")
        self._ip(name, *(f"addr add {address}/32 dev lo" for address in addresses))
        return name

    def listens(self, namespace: str, port: int) -> bool:
        """Whether a TCP server has the port."""
        rows = []
        with inside(namespace):
            for name in ("tcp", "tcp6"):
                with open(f"/proc/self/net/{name}", encoding="ascii") as file:
                    rows += [line.split() for line in file.readlines()[1:]]
        return any(row[3] == "0A" and int(row[1].split(":")[1], 16) == port for row in rows)

    def wait_for_port(self, namespace: str, port: int) -> None:
        deadline = time.monotonic() + 10
        while not self.listens(namespace, port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{namespace}: nothing listens on port {port}")
            time.sleep(0.01)

    def _join(self, namespace: str, device: str, own: str, peer: str, peer_pods: str) -> None:
        self._ip(
            namespace,
            f"link set {device} up",
            f"addr add {own}/32 dev {device}",
            f"route add {peer} dev {device} src {own}",
            f"route add {peer_pods} via {peer} dev {device} onlink",
        )
        self._offloads(namespace, device)

    def _finish_pod(self, name: str, ip: str) -> None:
        """Routed as with Calico: a /32 and a link-local gateway."""
        self._ip(
            name,
            "link set eth0 up",
            f"addr add {ip}/32 dev eth0",
            f"route add {GATEWAY} dev eth0 scope link",
            f"neigh add {GATEWAY} lladdr {GATEWAY_MAC} dev eth0 nud permanent",
            f"route add default via {GATEWAY} src {ip}",
        )
        self._offloads(name, "eth0")

    def _write_resolver(self, name: str, pod, resolver: str) -> None:
        os.makedirs(f"{ETC_NETNS}/{name}", exist_ok=True)
        with open(f"{ETC_NETNS}/{name}/resolv.conf", "w", encoding="utf-8") as file:
            search = f"{pod.namespace}.svc.cluster.local svc.cluster.local cluster.local"
            file.write(f"nameserver {resolver}\nsearch {search}\noptions ndots:5\n")

    def _offloads(self, namespace: str, device: str) -> None:
        if self.on_the_wire:
            self.exec(namespace, "ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off")

    def _add_namespace(self, suffix: str, sysctls: dict | None = None) -> str:
        name = f"{self.prefix}-{suffix}"
        run("ip", "netns", "add", name)
        with inside(name):
            for key, value in {**EVERYWHERE, **(sysctls or {})}.items():
                if key in EVERYWHERE and not os.path.exists(f"/proc/sys/{key}"):
                    continue  # a kernel without IPv6, or with one limit for all namespaces
                with open(f"/proc/sys/{key}", "w", encoding="ascii") as file:
                    file.write(str(value))
        self._ip(name, "link set lo up")
        return name

    def _ip(self, namespace: str, *commands: str) -> None:
        run("ip", "-n", namespace, "-batch", "-", input="\n".join(commands) + "\n")
