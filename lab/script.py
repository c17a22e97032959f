"""A bounded, seeded script of connections, all of them recorded: what an end-to-end comparison needs."""

import argparse
import asyncio
import json
import os
import random
import time
from dataclasses import dataclass, field

import dataplane
import state as lab_state
import truth
from manifests import Cluster, Pod

WEIGHTS = {
    "http": 30,
    "post": 6,
    "direct": 8,
    "dns": 8,
    "redis": 5,
    "postgres": 5,
    "udp": 6,
    "udp_unanswered": 3,
    "udp_refused": 2,
    "refused": 4,
    "denied_egress": 5,
    "denied_ingress": 5,
    "icmp": 3,
    "icmp_denied": 2,
    "big_down": 1,
    "big_up": 1,
    "long": 1,
    "external_in": 5,
    "nodeport": 2,
    "external_direct": 2,
    "scan": 2,
    "external_out": 3,
}
BIG = 1_000_000
SCANNER = 4  # of the addresses outside
CLOSED_PORT = 9999
PARTNER_PORT = 443


@dataclass
class Action:
    client: str
    verb: str
    argument: str
    options: dict = field(default_factory=dict)
    kind: str = ""


@dataclass(frozen=True)
class Target:
    """Where a connection may go: a port of a pod, as it is, or as its service has it."""

    pod: Pod
    speaks: str  # http, postgres, echo, sink, redis; "" if nobody listens
    protocol: str
    port: int
    service: str = ""  # address:port, empty if none
    name: str = ""  # the same by the service's name


class Writer:
    """Chooses actions. Who may do what is taken from the policies, so that each kind has the outcome in its name."""

    def __init__(self, cluster: Cluster, state: dict, seed: int) -> None:
        self.cluster, self.state, self.random = cluster, state, random.Random(seed)
        self.clients = [p for p in cluster.pods if state["pods"][p.full_name]["controlled"]]
        self.targets = [t for pod in cluster.pods for t in self._targets(pod)]
        self.pairs: dict = {}

    def verdict(self, client: Pod, address: str, protocol: str, port: int) -> str:
        receiver = self.cluster.pod_at(address)
        egress = dataplane.decide(self.cluster, client, dataplane.EGRESS, address, protocol, port)
        if egress.action == "deny":
            return "denied_egress"
        if not receiver:
            return "allowed"
        ingress = dataplane.decide(self.cluster, receiver, dataplane.INGRESS, client.ip, protocol, port)
        return "allowed" if ingress.action == "allow" else "denied_ingress"

    def actions(self, count: int, weights: dict) -> list:
        kinds = self.random.choices(list(weights), list(weights.values()), k=count)
        actions = []
        for kind in kinds:
            action = getattr(self, f"_{kind}")()
            action.kind = kind
            actions.append(action)
        return actions

    def _targets(self, pod: Pod) -> list:
        words = list(pod.command)
        listens = [tuple(words[i + 1].split(":")[:2]) for i, word in enumerate(words) if word == "--listen"]
        listens += [("redis", "6379")] if words[:1] == ["redis-server"] else []
        found = [self._target(pod, kind, int(port)) for kind, port in listens]
        closed = [Target(pod, "", protocol, CLOSED_PORT) for protocol in ("tcp", "udp")]
        for service in self.cluster.of("Service"):
            for item in service["spec"]["ports"]:
                if pod not in self.cluster.backends(service) or item.get("protocol", "TCP") != "TCP":
                    continue
                if isinstance(item["targetPort"], int) and item["targetPort"] not in [t.port for t in found] + [53]:
                    closed.append(self._target(pod, "", item["targetPort"]))
        return found + closed

    def _target(self, pod: Pod, speaks: str, port: int) -> Target:
        protocol = "udp" if speaks in ("echo", "sink") else "tcp"
        for service in self.cluster.of("Service"):
            meta, address = service["metadata"], service["spec"]["clusterIP"]
            for item in service["spec"]["ports"]:
                if (pod.ip, port) in truth.service_at(self.cluster, address, item["port"], protocol)[1]:
                    name = f"{meta['name']}.{meta['namespace']}.svc.cluster.local:{item['port']}"
                    return Target(pod, speaks, protocol, port, f"{address}:{item['port']}", name)
        return Target(pod, speaks, protocol, port)

    def _pair(self, verdict: str, *speaks: str, protocol: str = "") -> tuple:
        """A random (client, target) with that verdict. A service with several pods is no target to be sure of one."""
        key = (verdict, speaks, protocol)
        if key not in self.pairs:
            self.pairs[key] = [
                (c, t)
                for c in self.clients
                for t in self.targets
                if t.speaks in speaks
                and c != t.pod
                and protocol in ("", t.protocol)
                and self.verdict(c, t.pod.ip, t.protocol, t.port) == verdict
                # A pod must not come out at itself, which a node only solves with source NAT.
                and not (t.service and c.app == t.pod.app)
            ]
        if not self.pairs[key]:
            raise RuntimeError(f"no pods for {verdict} {'/'.join(speaks)}: give that kind the weight 0")
        return self.random.choice(self.pairs[key])

    def _where(self, target: Target) -> str:
        """By the service's address mostly, sometimes by its name, and by the pod's address if there is no service."""
        if not target.service:
            return f"{target.pod.ip}:{target.port}"
        return target.name if self.random.random() < 0.2 else target.service

    def _get(self, target: Target, path: str, **options) -> tuple:
        return "http", f"http://{self._where(target)}{path}", options

    def _size(self) -> int:
        return self.random.choice((0, 1, 100, 1448, 1449, 5000, 20_000))

    def _http(self) -> Action:
        client, target = self._pair("allowed", "http")
        return Action(client.full_name, *self._get(target, f"/bytes?n={self._size()}"))

    def _post(self) -> Action:
        client, target = self._pair("allowed", "http")
        return Action(client.full_name, *self._get(target, "/metrics", upload=1 + self._size()))

    def _direct(self) -> Action:
        client, target = self._pair("allowed", "http")
        return Action(client.full_name, "http", f"http://{target.pod.ip}:{target.port}/bytes?n={self._size()}")

    def _big_down(self) -> Action:
        client, target = self._pair("allowed", "http")
        return Action(client.full_name, *self._get(target, f"/bytes?n={BIG}"))

    def _big_up(self) -> Action:
        client, target = self._pair("allowed", "http")
        return Action(client.full_name, *self._get(target, "/metrics", upload=BIG))

    def _long(self) -> Action:
        client, target = self._pair("allowed", "http")
        path = f"/slow?ms={self.random.randint(1500, 4000)}&n=500&chunks=8"
        return Action(client.full_name, *self._get(target, path))

    def _dns(self) -> Action:
        client, service = self.random.choice(self.clients), self.random.choice(self.cluster.of("Service"))
        meta = service["metadata"]
        return Action(client.full_name, "dns", f"{meta['name']}.{meta['namespace']}.svc.cluster.local")

    def _redis(self) -> Action:
        client, target = self._pair("allowed", "redis")
        options = {"requests": self.random.randint(1, 20), "pause": self.random.choice((0, 0.01))}
        return Action(client.full_name, "redis", self._where(target), options)

    def _postgres(self) -> Action:
        client, target = self._pair("allowed", "postgres")
        return Action(client.full_name, "postgres", self._where(target), {"rows": self.random.randint(1, 500)})

    def _udp(self) -> Action:
        client, target = self._pair("allowed", "echo")
        return Action(client.full_name, "udp", self._where(target))

    def _udp_unanswered(self) -> Action:
        client, target = self._pair("allowed", "sink")
        return Action(client.full_name, "statsd", self._where(target))

    def _udp_refused(self) -> Action:
        client, target = self._pair("allowed", "", protocol="udp")
        return Action(client.full_name, "udp", self._where(target))

    def _refused(self) -> Action:
        client, target = self._pair("allowed", "", protocol="tcp")
        return Action(client.full_name, "tcp", self._where(target))

    def _denied(self, verdict: str) -> Action:
        client, target = self._pair(verdict, "http", "postgres", "redis", "echo", "sink", "")
        options = {"timeout": self.random.choice((0.3, 1.4))}
        return Action(client.full_name, "udp" if target.protocol == "udp" else "tcp", self._where(target), options)

    def _denied_egress(self) -> Action:
        return self._denied("denied_egress")

    def _denied_ingress(self) -> Action:
        return self._denied("denied_ingress")

    def _ping(self, verdicts: tuple, timeout: float) -> Action:
        pairs = [
            (c, p)
            for c in self.clients
            for p in self.cluster.pods
            if c != p and self.verdict(c, p.ip, "icmp", 2048) in verdicts
        ]
        client, pod = self.random.choice(pairs)
        return Action(client.full_name, "ping", pod.ip, {"timeout": timeout})

    def _icmp(self) -> Action:
        return self._ping(("allowed",), 1)

    def _icmp_denied(self) -> Action:
        return self._ping(("denied_egress", "denied_ingress"), 0.3)

    def _customer(self, address: str) -> Action:
        options = {"source": self.random.choice([*self.state["outside"]["customers"], self.state["outside"]["proxy"]])}
        if options["source"] == self.state["outside"]["proxy"]:
            options["headers"] = [f"X-Forwarded-For: 192.0.2.{self.random.randint(130, 139)}"]
        return Action("outside", "http", f"http://{address}/bytes?n={self._size()}", options)

    def _ingress_service(self) -> dict:
        return next(s for s in self.cluster.of("Service") if s["spec"].get("type") == "LoadBalancer")

    def _external_in(self) -> Action:
        return self._customer(self._ingress_service()["status"]["loadBalancer"]["ingress"][0]["ip"])

    def _nodeport(self) -> Action:
        service = self._ingress_service()
        node = self.cluster.backends(service)[0].node
        address = next(n.ip for n in self.cluster.nodes if n.name == node)
        return self._customer(f"{address}:{service['spec']['ports'][0]['nodePort']}")

    def _from_outside(self, action: str) -> Target:
        scanner = self.state["outside"]["scanner"]
        return self.random.choice(
            [
                t
                for t in self.targets
                if t.protocol == "tcp"
                and dataplane.decide(self.cluster, t.pod, dataplane.INGRESS, scanner, "tcp", t.port).action == action
            ]
        )

    def _external_direct(self) -> Action:
        target, source = self._from_outside("allow"), self.state["outside"]["scanner"]
        return Action("outside", "tcp", f"{target.pod.ip}:{target.port}", {"source": source})

    def _scan(self) -> Action:
        target, source = self._from_outside("deny"), self.state["outside"]["scanner"]
        return Action("outside", "tcp", f"{target.pod.ip}:{target.port}", {"source": source, "timeout": 0.4})

    def _external_out(self) -> Action:
        partner = self.state["outside"]["partner"]
        allowed = [c for c in self.clients if self.verdict(c, partner, "tcp", PARTNER_PORT) == "allowed"]
        url = f"http://{partner}:{PARTNER_PORT}/bytes?n={self._size()}"
        return Action(self.random.choice(allowed).full_name, "http", url)


class Pods:
    """The control sockets of the lab's programs."""

    def __init__(self, state: dict) -> None:
        self.homes = {name: pod["home"] for name, pod in state["pods"].items() if pod["controlled"]}
        self.homes["outside"] = state["outside"]["home"]
        self.streams: dict = {}
        self.waiting: dict = {}
        self.readers: list = []
        self.number = 0

    async def open(self) -> None:
        for name, home in self.homes.items():
            with lab_state.short_path(home, lab_state.CONTROL) as path:
                reader, writer = await asyncio.open_unix_connection(path)
            self.streams[name] = writer
            self.readers.append(asyncio.create_task(self._read(reader)))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            answer = json.loads(line)
            self.waiting.pop(answer["number"]).set_result(answer["result"])

    async def ask(self, name: str, request: dict):
        self.number += 1
        future = self.waiting[self.number] = asyncio.get_running_loop().create_future()
        self.streams[name].write(json.dumps({"number": self.number, **request}).encode() + b"\n")
        return await future

    async def ask_all(self, request: dict) -> list:
        return await asyncio.gather(*(self.ask(name, request) for name in self.streams))

    async def wait_until_quiet(self, timeout: float = 30) -> None:
        deadline, quiet = time.monotonic() + timeout, 0
        while quiet < 3:
            quiet = quiet + 1 if sum(await self.ask_all({"busy": True})) == 0 else 0
            if time.monotonic() > deadline:
                raise RuntimeError("the lab's programs do not become quiet")
            await asyncio.sleep(0.1)


async def _perform(state: dict, actions: list, concurrency: int, truth_path: str) -> int:
    """Returns where in the ground-truth file the script's records begin."""
    pods = Pods(state)
    await pods.open()
    await pods.ask_all({"background": False})
    await pods.wait_until_quiet()
    offset = os.path.getsize(truth_path)
    slots = asyncio.Semaphore(concurrency)

    async def perform(action: Action) -> None:
        async with slots:
            request = {"verb": action.verb, "argument": action.argument, "options": action.options}
            await pods.ask(action.client, request)

    await asyncio.gather(*(perform(action) for action in actions))
    await pods.wait_until_quiet()
    await pods.ask_all({"background": state["rate"] > 0})
    for task in pods.readers:
        task.cancel()
    return offset


def weights_of(mix: str) -> dict:
    weights = dict(WEIGHTS)
    for item in filter(None, mix.split(",")):
        kind, _, weight = item.partition("=")
        if kind not in weights or not weight.isdigit():
            raise RuntimeError(f"--mix {item}: KIND=WEIGHT, with a kind of {', '.join(weights)}")
        weights[kind] = int(weight)
    return weights


def run(directory: str, options: argparse.Namespace) -> None:
    state = lab_state.read(directory)
    if not state["ready"] or not lab_state.is_running(state):
        raise RuntimeError(f"{directory}: the lab does not run")
    actions = Writer(Cluster(state["manifests"]), state, options.seed).actions(
        options.connections, weights_of(options.mix)
    )
    start = time.time_ns()
    offset = asyncio.run(_perform(state, actions, options.concurrency, state["truth"]))
    out = options.out or os.path.join(directory, lab_state.CONNECTIONS)
    summary = json.loads(truth.write(directory, out, offset))
    print(json.dumps({"start": start, "end": time.time_ns(), "actions": len(actions), **summary}))
    if summary["contradictions"] and not state["broken"]:
        raise RuntimeError(f"{len(summary['contradictions'])} connections did not fare as the policies say")
