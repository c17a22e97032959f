"""Network namespaces of one lab: a node that routes, a namespace a pod, one for the world outside.

All names carry the process id, all devices live inside the namespaces, and close() removes everything again.
"""

import os
import shutil
import signal
import subprocess
import time

GATEWAY = "169.254.1.1"
GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
MIRROR = ("mirror0", "169.254.99.1/30", "169.254.99.2", "02:00:00:00:99:02")


def run(*command: str, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done


class Network:
    def __init__(self) -> None:
        self.prefix = f"weirlab-{os.getpid()}"
        self.node = f"{self.prefix}-node"
        self.namespaces: list[str] = []
        self.processes: list[subprocess.Popen] = []
        self.made_etc_netns = not os.path.isdir("/etc/netns")  # iproute2's place for a namespace's own resolv.conf

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
        self.namespaces.clear()
        if self.made_etc_netns and not os.listdir("/etc/netns"):
            os.rmdir("/etc/netns")

    def exec(self, namespace: str, *command: str, **options) -> subprocess.CompletedProcess:
        return run("ip", "netns", "exec", namespace, *command, **options)

    def spawn(self, namespace: str, command: list, **options) -> subprocess.Popen:
        """Starts a program that close() ends."""
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], start_new_session=True, **options)
        self.processes.append(process)
        return process

    def add_node(self, address: str) -> None:
        self._add_namespace(self.node)
        device, own, peer, mac = MIRROR
        self._ip(
            self.node,
            f"link add {device} type veth peer name mirror1",
            f"link set {device} up",
            "link set mirror1 up",
            f"addr add {own} dev {device}",
            f"neigh add {peer} lladdr {mac} dev {device}",
        )
        self.exec(
            self.node,
            "sysctl",
            "-qw",
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
            "net.ipv4.conf.all.send_redirects=0",
            "net.ipv6.conf.all.disable_ipv6=1",
        )
        self.node_address = address

    def add_pod(self, number: int, ip: str, resolver: str, search: str) -> str:
        name = self._leg(f"pod{number}", f"pod{number}", ip)
        os.makedirs(f"/etc/netns/{name}", exist_ok=True)
        with open(f"/etc/netns/{name}/resolv.conf", "w", encoding="utf-8") as file:
            file.write(f"nameserver {resolver}\nsearch {search}\noptions ndots:5\n")
        return name

    def add_outside(self, addresses: list) -> str:
        """The rest of the world: one namespace that owns all the addresses outside the cluster."""
        name = self._leg("outside", "uplink", addresses[0])
        self._ip(name, *(f"addr add {address}/32 dev eth0" for address in addresses[1:]))
        self._ip(
            self.node,
            *(f"route add {address} dev uplink" for address in addresses[1:]),
            f"addr add {self.node_address}/32 dev uplink",
            f"route add default via {addresses[0]} dev uplink onlink",
        )
        return name

    def _leg(self, suffix: str, device: str, ip: str) -> str:
        """A namespace joined to the node by a veth pair, routed like a pod: a /32 and a link-local gateway."""
        name = f"{self.prefix}-{suffix}"
        self._add_namespace(name)
        self._ip(
            self.node,
            f"link add {device} address {GATEWAY_MAC} type veth peer name eth0 netns {name}",
            f"link set {device} up",
            f"route add {ip} dev {device}",
        )
        self._ip(
            name,
            "link set eth0 up",
            f"addr add {ip}/32 dev eth0",
            f"route add {GATEWAY} dev eth0 scope link",
            f"neigh add {GATEWAY} lladdr {GATEWAY_MAC} dev eth0 nud permanent",
            f"route add default via {GATEWAY} src {ip}",
        )
        # Frames as they go over a wire: whole checksums, no segments above the MTU.
        self.exec(name, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        return name

    def _add_namespace(self, name: str) -> None:
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        self._ip(name, "link set lo up")

    def _ip(self, namespace: str, *commands: str) -> None:
        run("ip", "-n", namespace, "-batch", "-", input="\n".join(commands) + "\n")

    def wait_for_port(self, namespace: str, port: int) -> None:
        deadline = time.monotonic() + 10
        while (
            subprocess.run(
                ["ip", "netns", "exec", namespace, "nc", "-z", "127.0.0.1", str(port)], check=False, capture_output=True
            ).returncode
            != 0
        ):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{namespace}: nothing listens on port {port}")
            time.sleep(0.05)
