"""Joins what clients and servers of the lab recorded to one line a connection, with what its policies make of it."""

import bisect
import json
import os
from collections import Counter
from dataclasses import dataclass

import dataplane
import state as lab_state
from manifests import Cluster, Pod, port_number

CHANGE_NS = 500_000_000  # within this of a change of the manifests, either version may have decided


@dataclass
class Version:
    since: int
    cluster: Cluster


class History:
    """The manifests in force at each time."""

    def __init__(self, directory: str) -> None:
        """`directory`: of the lab's state, or of a file of manifests that never changed."""
        if os.path.isdir(directory):
            folder = os.path.join(directory, lab_state.HISTORY)
            times = sorted(int(name.removesuffix(".yaml")) for name in os.listdir(folder))
            self.versions = [Version(t, Cluster(os.path.join(folder, f"{t}.yaml"))) for t in times]
        else:
            self.versions = [Version(0, Cluster(directory))]

    def at(self, time_ns: int) -> list:
        """The cluster at that time; two if it was just changing, the newer one first."""
        index = max(bisect.bisect_right([v.since for v in self.versions], time_ns) - 1, 0)
        found = [self.versions[index].cluster]
        if index > 0 and time_ns - self.versions[index].since < CHANGE_NS:
            found.append(self.versions[index - 1].cluster)
        return found


def read(path: str, offset: int = 0) -> list:
    with open(path, "rb") as file:
        file.seek(offset)
        return [json.loads(line) for line in file]


def join(records: list, history: History) -> list:
    """Connections in the order of their start."""
    by_id: dict = {}
    by_peer: dict = {}
    for record in records:
        if record["kind"] == "server":
            # A client that only connects, or is no program of ours, names no id: then its address tells.
            index, key = (by_id, record["id"]) if record["id"] else (by_peer, (record["peer_ip"], record["peer_port"]))
            index.setdefault((record["protocol"], key), []).append(record)
    joined = []
    for record in records:
        if record["kind"] == "client":
            accepted = by_id.get((record["protocol"], record["id"]), [])
            accepted = accepted or _at_that_time(
                by_peer.get((record["protocol"], (record["src_ip"], record["src_port"])), []), record
            )
            joined.append(_from_client(record, accepted.pop(0) if accepted else None, history))
    for unclaimed in by_peer.values():
        joined += [c for c in (_from_server(record, history) for record in unclaimed) if c["src"]["name"]]
    return sorted(joined, key=lambda c: c["start"])


def _at_that_time(accepted: list, record: dict) -> list:
    """The list itself if its first is of the client's connection: ports are used in turn, so in order of time."""
    return accepted if accepted and record["start"] <= accepted[0]["start"] <= record["end"] else []


def _from_client(record: dict, accepted: dict | None, history: History) -> dict:
    connection = {key: record[key] for key in ("id", "protocol", "start", "end", "process", "pid", "outcome")}
    connection["src"] = {"name": record["pod"], "ip": record["src_ip"], "port": record["src_port"]}
    connection["dst"] = {"name": record["dst_name"], "ip": record["dst_ip"], "port": record["dst_port"]}
    connection.update(bytes_sent=record["bytes_sent"], bytes_received=record["bytes_received"], nat_port=0)
    connection["lookup"] = record.get("lookup", "")  # the name that the cluster's DNS was asked for
    if accepted:
        connection["accepted"] = {
            k: accepted[k] for k in ("pod", "local_ip", "local_port", "bytes_received", "bytes_sent")
        }
        if accepted["peer_ip"] != record["src_ip"]:
            connection["nat_port"] = accepted["peer_port"]
    return _with_expectation(connection, accepted, history)


def _from_server(record: dict, history: History) -> dict:
    """A connection of a client that is no program of ours: the ingress's, to what its manifest calls UPSTREAM."""
    pod = history.at(record["start"])[0].pod_at(record["peer_ip"])
    upstream = pod.env.get("UPSTREAM", "") if pod else ""
    address, port = upstream.rsplit(":", 1) if upstream else (record["local_ip"], record["local_port"])
    connection = {
        "id": "",
        "protocol": record["protocol"],
        "start": record["start"],
        "end": record["end"],
        "process": "",
        "pid": 0,
    }
    connection["outcome"] = "established"
    connection["src"] = {"name": pod.full_name if pod else "", "ip": record["peer_ip"], "port": record["peer_port"]}
    connection["dst"] = {"name": "", "ip": address, "port": int(port)}
    connection.update(bytes_sent=record["bytes_received"], bytes_received=record["bytes_sent"], nat_port=0)
    connection["accepted"] = {k: record[k] for k in ("pod", "local_ip", "local_port", "bytes_received", "bytes_sent")}
    return _with_expectation(connection, record, history)


def _with_expectation(connection: dict, accepted: dict | None, history: History) -> dict:
    answers = []
    for cluster in history.at(connection["start"]):
        answers += _expectations(cluster, connection, accepted)
    first = answers[0]
    connection["src"]["node"] = first["src_node"]
    connection["service"] = first["service"]
    # Usually one; several if a service has several pods and nobody of them accepted.
    connection["backends"] = [
        b for i, b in enumerate(a["backend"] for a in answers) if b not in [x["backend"] for x in answers[:i]]
    ]
    expected = [a["expected"] for a in answers]
    connection["expected"] = expected[0]
    connection["ambiguous"] = any(e != expected[0] for e in expected)
    return connection


def _expectations(cluster: Cluster, connection: dict, accepted: dict | None) -> list:
    """For each possible receiver: who it is, and what its node and the sender's decide."""
    source = _named(cluster, connection["src"])
    dst, protocol = connection["dst"], connection["protocol"]
    service, backends = service_at(cluster, dst["ip"], dst["port"], protocol)
    backends = backends or [(dst["ip"], dst["port"])]
    if accepted:
        backends = [(accepted["local_ip"], accepted["local_port"])]
    found = []
    for address, port in backends:
        receiver = cluster.pod_at(address)
        expected: dict = {"egress": None, "ingress": None}
        allowed = True
        if source and source != receiver:
            verdict = dataplane.decide(cluster, source, dataplane.EGRESS, address, protocol, port)
            expected["egress"], allowed = verdict.as_json(), verdict.action == "allow"
        if receiver and source != receiver and allowed:
            verdict = dataplane.decide(cluster, receiver, dataplane.INGRESS, connection["src"]["ip"], protocol, port)
            expected["ingress"] = verdict.as_json()
        backend = {
            "name": receiver.full_name if receiver else "",
            "ip": address,
            "port": port,
            "node": receiver.node if receiver else "",
        }
        found.append(
            {"src_node": source.node if source else "", "service": service, "backend": backend, "expected": expected}
        )
    return found


def _named(cluster: Cluster, end: dict) -> Pod | None:
    """The pod that made the connection; its own word counts more than who has the address."""
    return next((p for p in cluster.pods if p.full_name == end["name"]), None) or cluster.pod_at(end["ip"])


def service_at(cluster: Cluster, ip: str, port: int, protocol: str) -> tuple:
    """(the service's port as flow logs name it, or None; (address, port) of each pod behind it)"""
    node_ips = [n.ip for n in cluster.nodes]
    for service in cluster.of("Service"):
        addresses = list(service["spec"].get("clusterIPs", []))
        addresses += [i["ip"] for i in service.get("status", {}).get("loadBalancer", {}).get("ingress", [])]
        for item in service["spec"]["ports"]:
            if item.get("protocol", "TCP").lower() != protocol:
                continue
            if not (ip in addresses and port == item["port"]) and not (ip in node_ips and port == item.get("nodePort")):
                continue
            target = item.get("targetPort", item["port"])
            behind = [(p.ip, port_number(p, target, item.get("protocol", "TCP"))) for p in cluster.backends(service)]
            meta = service["metadata"]
            named = {
                "namespace": meta["namespace"],
                "name": meta["name"],
                "port_name": item.get("name", "-"),
                "port": port,
            }
            return named, behind
    return None, []


def contradictions(connections: list) -> list:
    """Where what happened is not what the policies say: the lab itself would be wrong."""
    found = []
    for c in connections:
        verdicts = [v["action"] for v in c["expected"].values() if v]
        denied = "deny" in verdicts
        if c["ambiguous"] or (denied and c["outcome"] in ("timeout", "unreachable")):
            continue
        if denied or (c["outcome"] == "timeout" and "accepted" not in c):
            found.append(
                f"{c['id']}: {c['src']['ip']} -> {c['dst']['ip']}:{c['dst']['port']} {c['protocol']} "
                f"{c['outcome']}, {verdicts}"
            )
    return found


def write(directory: str, out: str, offset: int = 0) -> str:
    """Writes the joined connections, one JSON object a line. Returns a line about them."""
    connections = join(read(os.path.join(directory, lab_state.TRUTH), offset), History(directory))
    with open(out, "w", encoding="utf-8") as file:
        for connection in connections:
            file.write(json.dumps(connection, separators=(",", ":")) + "\n")
    outcomes = Counter(c["outcome"] for c in connections)
    verdicts = Counter(
        "deny" if "deny" in [v["action"] for v in c["expected"].values() if v] else "allow" for c in connections
    )
    summary = {"connections": len(connections), "outcomes": outcomes, "verdicts": verdicts, "file": out}
    summary["contradictions"] = contradictions(connections)
    return json.dumps(summary)
