"""Compares flow records of level 0 with what the lab's programs recorded themselves.

A connection is expected at a node once for each end that lives there: `src` with the egress verdict, `dst` with the
ingress one. Each expectation is looked up by its tuple after DNAT; records of one tuple and reporter are added up.
Whatever does not agree is one Disagreement; its kind says what to look at.
"""

import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))

import dataplane  # noqa: E402
import truth  # noqa: E402
from manifests import Cluster  # noqa: E402

SOURCES = ("ebpf", "conntrack", "afpacket", "pcap")
# IP header and that of the protocol. TCP's options are bounded by what Linux sends: timestamps, SACK blocks, SYN's.
LEAST_HEADER = {"tcp": 40, "udp": 28, "icmp": 28}
MOST_HEADER = {"tcp": 80, "udp": 28, "icmp": 28}
MTU = 1500
SUPER_PACKET = 65_536  # what a kernel sends, and sends again, as one packet before it is cut into segments
PACKET_SOURCES = ("pcap", "afpacket", "ebpf")
PORT_UNREACHABLE = 3 << 8 | 3
LATE_S = 20  # a record may stand in a window this much later than its connection


@dataclass(frozen=True)
class Disagreement:
    kind: str  # missing, extra, untranslated, count, outcome, bytes, verdict, policy, name, service, nat, process, time
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass
class Expectation:
    """What one end of a connection should have been reported as."""

    connection: dict
    reporter: str
    backend: dict
    verdict: dict

    @property
    def key(self) -> tuple:
        src = self.connection["src"]
        return (
            self.reporter,
            self.connection["protocol"],
            src["ip"],
            src["port"],
            self.backend["ip"],
            self.backend["port"],
        )

    @property
    def payload(self) -> tuple:
        """Bytes (towards the reporting side, from it)."""
        sent, received = self.connection["bytes_sent"], self.connection["bytes_received"]
        return (received, sent) if self.reporter == "src" else (sent, received)

    @property
    def is_denied(self) -> bool:
        return "deny" in [v["action"] for v in self.connection["expected"].values() if v]

    @property
    def is_denied_at_client(self) -> bool:
        """By the client's own node: its connection tracker then never had the connection."""
        egress = self.connection["expected"]["egress"]
        at_same_node = self.backend["node"] == self.connection["src"]["node"]
        return self.is_denied and (at_same_node or bool(egress and egress["action"] == "deny"))

    def outcome(self, source: str) -> str:
        """As `source` can know it. The connection tracker has no event for an ICMP error, so that a refused datagram
        and one that nobody answered are the same to it."""
        told, protocol = self.connection["outcome"], self.connection["protocol"]
        return "timeout" if source == "conntrack" and (protocol, told) == ("udp", "refused") else told


class Truth:
    def __init__(self, path: str, manifests: str) -> None:
        """`path`: what the programs wrote, or the joined file; `manifests`: a file, with its history beside it if it
        is a lab's."""
        folder = os.path.dirname(os.path.abspath(manifests))
        self.history = truth.History(folder if os.path.isdir(os.path.join(folder, "history")) else manifests)
        records = truth.read(path)
        raw = any("kind" in r for r in records)
        self.connections = truth.join(records, self.history) if raw else records


def read_records(paths: list) -> list:
    records = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            records += [json.loads(line) for line in file]
    return records


def expectations(connections: list, node: str) -> list:
    found = []
    for connection in connections:
        expected, backend = connection["expected"], connection["backends"][0]
        if not is_backend_known(connection):
            continue
        if connection["src"]["node"] == node and expected["egress"]:
            found.append(Expectation(connection, "src", backend, expected["egress"]))
        if backend["node"] == node and expected["ingress"]:
            found.append(Expectation(connection, "dst", backend, expected["ingress"]))
    return found


def is_backend_known(connection: dict) -> bool:
    """Nobody accepted it, and its service has several pods: it went to any of them. If it was denied where it was to be
    translated, even to several: each SYN is a new connection to the node, for which it chooses anew."""
    addresses = {(b["ip"], b["port"]) for b in connection["backends"]}
    return "accepted" in connection or len(addresses) == 1


def record_key(record: dict) -> tuple:
    return (
        record["reporter"],
        record["proto"],
        record["source_ip"],
        record["source_port"] or 0,
        record["dest_ip"],
        record["dest_port"] or 0,
    )


class Comparison:
    def __init__(self, records: list, truth_: Truth, node: str, source: str, ignore_extra: bool = False) -> None:
        self.truth, self.node, self.source, self.ignore_extra = truth_, node, source, ignore_extra
        self.records = defaultdict(list)
        for record in records:
            self.records[record_key(record)].append(record)
        self.found: list[Disagreement] = []
        self.compared = 0
        # Of connections that went to any of several backends: whether this node's records have it at one of them. It
        # must be so at one of the backends' nodes; a node alone cannot tell.
        self.undecided: dict[str, bool] = {}

    def run(self) -> list:
        wanted = defaultdict(list)
        for expectation in expectations(self.truth.connections, self.node):
            wanted[self._present_key(expectation)].append(expectation)
        for connection in self.truth.connections:
            if not is_backend_known(connection):
                for expectation in self._any_backend(connection):
                    wanted[expectation.key].append(expectation)
        for key, members in wanted.items():
            records = self.records.pop(key, [])
            self.compared += len(members)
            for some, theirs in self._by_pods(members, records):
                if theirs:
                    self._compare(some, theirs)
                else:
                    self._missing(some)
        if not self.ignore_extra:
            errors = self._icmp_errors()
            for key, records in self.records.items():
                if key[1:] in errors and self.source in PACKET_SOURCES:
                    continue
                self._say("extra", _tuple_text(key), f"{len(records)} records, nobody made such a connection")
        return self.found

    def _icmp_errors(self) -> set:
        """ "Port unreachable" from who refused a datagram: a connection of its own to who looks at packets."""
        return {
            ("icmp", address, 0, c["src"]["ip"], PORT_UNREACHABLE)
            for c in self.truth.connections
            if c["protocol"] == "udp" and c["outcome"] == "refused"
            for address in (c["dst"]["ip"], *(backend["ip"] for backend in c["backends"]))
        }

    def _say(self, kind: str, where: str, what: str) -> None:
        self.found.append(Disagreement(kind, f"{where}: {what}"))

    def _by_pods(self, members: list, records: list) -> list:
        """Members and records of one tuple, apart by the pods: one that has taken another's address may repeat it."""
        groups: dict = {}
        for expectation in members:
            groups.setdefault(self._wanted_names(expectation), ([], []))[0].append(expectation)
        for record in records:
            told = tuple(_told_name(record, side) for side in ("source", "dest"))
            groups.get(told, next(iter(groups.values())))[1].append(record)
        return list(groups.values())

    def _wanted_names(self, expectation: Expectation) -> tuple:
        src, dst = expectation.connection["src"], expectation.backend
        cluster = self.truth.history.at(expectation.connection["start"])[0]
        return (
            endpoint(cluster, src["name"], src["ip"], dst["name"]),
            endpoint(cluster, dst["name"], dst["ip"], src["name"]),
        )

    def _present_key(self, expectation: Expectation) -> tuple:
        """A service with several pods may have sent an unaccepted connection to any of them."""
        for backend in expectation.connection["backends"]:
            candidate = Expectation(expectation.connection, expectation.reporter, backend, expectation.verdict)
            if candidate.key in self.records:
                expectation.backend = backend
                return candidate.key
        return expectation.key

    def _any_backend(self, connection: dict) -> list:
        """Expectations for those backends that records are there for. The client's node must have one."""
        found: dict = {}
        expected = connection["expected"]
        for backend in connection["backends"]:
            for reporter, node, verdict in (
                ("src", connection["src"]["node"], expected["egress"]),
                ("dst", backend["node"], expected["ingress"]),
            ):
                expectation = Expectation(connection, reporter, backend, verdict)
                if node != self.node or not verdict:
                    continue
                if reporter == "dst":
                    self.undecided.setdefault(connection["id"], False)
                if expectation.key in self.records:
                    found.setdefault(expectation.key, expectation)
                    if reporter == "dst":
                        self.undecided[connection["id"]] = True
        if connection["src"]["node"] == self.node and expected["egress"]:
            if not any(key[0] == "src" for key in found):
                self._missing([Expectation(connection, "src", connection["backends"][0], expected["egress"])])
        return list(found.values())

    def _missing(self, members: list) -> None:
        for expectation in members:
            dst = expectation.connection["dst"]
            before = (*expectation.key[:4], dst["ip"], dst["port"])
            if before != expectation.key and self.records.pop(before, None):
                self._say(
                    "untranslated", _text(expectation), f"only reported before DNAT, as {dst['ip']}:{dst['port']}"
                )
            else:
                self._say("missing", _text(expectation), f"no record; it was {expectation.connection['outcome']}")

    def _compare(self, members: list, records: list) -> None:
        where = _text(members[0])
        self._counts(where, members, records)
        self._bytes(where, members, records)
        self._times(where, members, records)
        for record in records:
            expectation = members[-1]
            if not expectation.connection["ambiguous"]:
                self._verdict(where, expectation, record)
                self._names(where, expectation, record)
            self._service(where, expectation, record)
            self._process(where, members, record)
        self._nat(where, members, records)

    def _counts(self, where: str, members: list, records: list) -> None:
        count = len(members)
        started = _sum(records, "num_flows_started")
        if started != count:
            self._say("count", where, f"{started} connections started, made {count}")
        completed = _sum(records, "num_flows_completed")
        ended = sum(e.connection["protocol"] == "tcp" and e.connection["outcome"] == "established" for e in members)
        if not ended <= completed <= count:
            self._say("count", where, f"{completed} connections completed, {ended} were closed of {count}")
        outcomes_made = [e.outcome(self.source) for e in members]
        # A connection of several windows may count as established in each.
        for field, outcomes in (
            ("num_flows_established", ("established", "reset", "stalled")),
            ("num_flows_refused", ("refused",)),
        ):
            made, told = sum(outcome in outcomes for outcome in outcomes_made), _sum(records, field)
            if told < made or (made == 0 and told) or any(r[field] > r["num_flows"] for r in records):
                self._say(
                    "outcome",
                    where,
                    f"{field} is {told}, made {made} ({', '.join(outcomes_made)})",
                )
        unanswered = _sum(records, "num_flows_unanswered")
        if unanswered > sum(outcome in ("timeout", "unreachable") for outcome in outcomes_made):
            self._say("outcome", where, f"num_flows_unanswered is {unanswered}")

    def _bytes(self, where: str, members: list, records: list) -> None:
        protocol = members[0].connection["protocol"]
        # One retransmission is a packet as the source sees it.
        most_again = SUPER_PACKET if self.source in ("afpacket", "pcap") else MTU
        retransmitted = _sum(records, "tcp_total_retransmissions") * most_again
        # The connection tracker counts packets that are sent again, and does not tell: a big transfer may have some.
        if self.source == "conntrack" and protocol == "tcp":
            retransmitted = 2 * SUPER_PACKET * sum(max(e.payload) >= SUPER_PACKET for e in members)
        for index, direction in enumerate(("in", "out")):
            payload = sum(e.payload[index] for e in members)
            counted, packets = _sum(records, f"bytes_{direction}"), _sum(records, f"packets_{direction}")
            forward = (direction == "out") == (members[0].reporter == "src")
            if all(e.is_denied for e in members) and not forward:
                if counted or packets:
                    self._say("bytes", where, f"denied, but {packets} packets of {counted} bytes came back")
                continue
            if any(e.connection["outcome"] in ("reset", "stalled") for e in members):
                continue  # how much of the payload arrived is not known
            if not forward and protocol == "udp" and all(e.connection["outcome"] == "refused" for e in members):
                continue  # the answer is an ICMP error: of the connection or not, as one likes
            # Segments may have been counted as they leave a pod: many as one, with one header.
            headers = min(packets, 2) if protocol == "tcp" else packets
            least = payload + LEAST_HEADER[protocol] * headers
            most = payload + MOST_HEADER[protocol] * packets + retransmitted
            if not least <= counted <= most or (forward and not packets):
                self._say(
                    "bytes",
                    where,
                    f"bytes_{direction} {counted} in {packets} packets; payload {payload}, so {least} to {most}",
                )

    def _times(self, where: str, members: list, records: list) -> None:
        first = min(e.connection["start"] for e in members) / 1e9
        start, end = min(r["start_time"] for r in records), max(r["end_time"] for r in records)
        if not start - LATE_S <= first + 1 or not end >= first - 1:
            self._say("time", where, f"windows from {start} to {end}, started at {first:.1f}")

    def _verdict(self, where: str, expectation: Expectation, record: dict) -> None:
        wanted = expectation.verdict
        if record["action"] != wanted["action"]:
            self._say("verdict", where, f"action {record['action']}, the data plane decided {wanted['action']}")
            return
        trace = (record.get("policies") or {}).get("enforced_policies") or []
        last = parse_policy(max(trace, key=lambda t: int(t.split("|")[0]))) if trace else None
        told = {(name, wanted["action"], wanted["rule"]) for name in wanted["policies"] or [wanted["profile"]]}
        if last not in told:
            self._say("policy", where, f"enforced_policies {trace}, the data plane decided by {sorted(told)}")

    def _names(self, where: str, expectation: Expectation, record: dict) -> None:
        for side, wanted in zip(("source", "dest"), self._wanted_names(expectation)):
            if (told := _told_name(record, side)) != wanted:
                self._say("name", where, f"{side} is {told}, it was {wanted}")

    def _service(self, where: str, expectation: Expectation, record: dict) -> None:
        if self.source == "pcap":
            return  # after DNAT there is no knowing
        connection, service = expectation.connection, expectation.connection["service"]
        wanted = ("-", "-", "-", 0)
        translated_here = connection["src"]["node"] in (self.node, "") or expectation.reporter == "src"
        if service and translated_here:
            wanted = (service["namespace"], service["name"], service["port_name"], service["port"])
        told = tuple(record[f"dest_service_{f}"] for f in ("namespace", "name", "port_name", "port_num"))
        if told == ("-", "-", "-", 0) and expectation.is_denied_at_client and self.source == "conntrack":
            return  # a kernel without NETFILTER_NETLINK_GLUE_CT does not tell what a denied packet had addressed
        if told == ("-", "-", "-", 0) and expectation.is_denied and not is_backend_known(connection):
            return  # nor where a second SYN went: only the first one's backend is known to be the service's
        if told != wanted:
            self._say("service", where, f"service {told}, addressed was {wanted}")

    def _process(self, where: str, members: list, record: dict) -> None:
        name = os.path.basename(record["process_name"])
        made = {e.connection["process"] for e in members}
        if record["reporter"] != "src" or name in ("-", "*") or made == {""}:
            return
        if not any(name.startswith(process) for process in made):
            self._say("process", where, f"process {record['process_name']}, it was {sorted(made)}")

    def _nat(self, where: str, members: list, records: list) -> None:
        made = {e.connection["nat_port"] for e in members} - {0}
        told = {port for r in records for port in r["nat_outgoing_ports"] or []}
        if members[0].reporter == "src" and (told - made if made else told):
            self._say("nat", where, f"nat_outgoing_ports {sorted(told)}, they were {sorted(made)}")
        elif members[0].reporter == "src" and made - told and self.source == "conntrack":
            self._say("nat", where, f"nat_outgoing_ports {sorted(told)} lacks some of {sorted(made)}")


def parse_policy(entry: str) -> tuple:
    """(namespace/name or kns.NAMESPACE, action, rule) of an entry in either naming."""
    _, _, name, action, rule = entry.split("|")
    for prefix in ("knp:", "pro:", "__PROFILE__."):
        name = name.removeprefix(prefix)
    return name.replace("/knp.default.", "/"), action, int(rule)


def endpoint(cluster: Cluster, name: str, address: str, peer: str) -> tuple:
    """(type, namespace, name) that an end should have. `name` and that of its peer: namespace/pod if it is a pod."""
    if "/" in name:
        namespace, pod = name.split("/")
        return "wep", namespace, pod
    peer_namespace = peer.split("/")[0] if "/" in peer else ""
    sets = []
    for item in cluster.of("NetworkSet") + cluster.of("GlobalNetworkSet"):
        namespace = item["metadata"].get("namespace", "-")
        fitting = [
            n for n in item["spec"]["nets"] if dataplane.Rule(0, (n,), (), None, None).matches(address, "tcp", 0)
        ]
        if fitting:
            length = max(int((n + "/32").split("/")[1]) for n in fitting)
            rank = 0 if namespace == peer_namespace else 1 if item["kind"] == "GlobalNetworkSet" else 2
            sets.append((rank, -length, item["metadata"]["name"], namespace))
    if sets:
        _, _, set_name, namespace = min(sets)
        return "ns", namespace, set_name
    return "net", "-", "-"


def _told_name(record: dict, side: str) -> tuple:
    return record[f"{side}_type"], record[f"{side}_namespace"], record[f"{side}_name"]


def _sum(records: list, field: str) -> int:
    return sum(record[field] for record in records)


def _tuple_text(key: tuple) -> str:
    reporter, protocol, source, source_port, dest, dest_port = key
    return f"{reporter} {protocol} {source}:{source_port} -> {dest}:{dest_port}"


def _text(expectation: Expectation) -> str:
    connection = expectation.connection
    names = f"{connection['src']['name']} -> {expectation.backend['name'] or connection['dst']['name'] or 'outside'}"
    return f"{_tuple_text(expectation.key)} ({names}, {connection['id'] or 'by server'})"
