#!/usr/bin/env python3
"""The comparison with the ground truth itself, on records made by hand: right ones agree, each wrong one is told."""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import ground_truth  # noqa: E402

MANIFESTS = os.path.normpath(os.path.join(HERE, "..", "..", "testdata", "lab", "manifests.yaml"))
START = 1_795_529_700
FRONTEND, CART, REPORT = "frontend-6f5b7c8d9-h4vnl", "cart-5b8d7f6c9-n6tlc", "report-29832190-k5dwx"
INGRESS = "ingress-nginx-controller-7c6b8f9d54-m2xkq"


def client(
    number: int, pod: str, source: str, dest: str, port: int, outcome: str, sent=0, received=0, protocol="tcp"
) -> dict:
    return {
        "kind": "client",
        "id": f"id{number}",
        "pod": pod,
        "protocol": protocol,
        "src_ip": source,
        "src_port": 10_000 + number,
        "dst_ip": dest,
        "dst_port": port,
        "dst_name": "",
        "start": (START + number) * 10**9,
        "end": (START + number + 1) * 10**9,
        "pid": 7,
        "process": "python3",
        "bytes_sent": sent,
        "bytes_received": received,
        "outcome": outcome,
    }


def server(of: dict, pod: str, address: str, port: int, peer: tuple | None = None) -> dict:
    return {
        "kind": "server",
        "id": of["id"],
        "pod": pod,
        "protocol": of["protocol"],
        "peer_ip": (peer or (of["src_ip"],))[0],
        "peer_port": (peer or (0, of["src_port"]))[1],
        "local_ip": address,
        "local_port": port,
        "start": of["start"],
        "end": of["end"],
        "bytes_received": of["bytes_sent"],
        "bytes_sent": of["bytes_received"],
    }


def truth() -> list:
    to_cart = client(0, f"shop/{FRONTEND}", "10.244.1.21", "10.96.30.3", 80, "established", 100, 5000)
    to_partner = client(1, "shop/payment-6b7f8c5d9-j9rkv", "10.244.1.61", "198.51.100.20", 443, "established", 90, 80)
    return [
        to_cart,
        server(to_cart, f"shop/{CART}", "10.244.1.41", 8080),
        to_partner,
        server(to_partner, "outside", "198.51.100.20", 443, ("192.168.50.11", 40_000)),
        client(2, f"shop/{FRONTEND}", "10.244.1.21", "10.96.30.5", 80, "timeout"),  # egress: no rule of shop/frontend
        client(3, f"analytics/{REPORT}", "10.244.1.81", "10.244.1.41", 9091, "refused"),
        client(4, f"analytics/{REPORT}", "10.244.1.81", "10.244.1.2", 2048, "established", 56, 56, "icmp"),
        client(5, "outside", "203.0.113.99", "10.244.1.41", 6379, "timeout"),  # ingress: no rule of shop/cart
        # What nginx makes of a customer's request, which the other node's frontend saw coming.
        {**server(client(6, "", "10.244.1.10", "", 0, "", 200, 300), "shop/frontend", "10.244.2.22", 8080), "id": ""},
    ]


def record(reporter: str, number: int, source: tuple, dest: tuple, policy: str, **fields) -> dict:
    """`source`: (namespace, name, address), `dest`: with the port. A refused connection, unless `fields` say more."""
    action, rule = policy.split("|")[1:3]
    tier = "__PROFILE__" if policy.startswith("__PROFILE__") else "default"
    result = {
        "start_time": START,
        "end_time": START + 300,
        "action": action,
        "reporter": reporter,
        "proto": "tcp",
        "verdict_source": "dataplane",
        "source_port": 10_000 + number,
        "dest_port": dest[3],
        "dest_service_namespace": "-",
        "dest_service_name": "-",
        "dest_service_port_name": "-",
        "dest_service_port_num": 0,
        "num_flows": 1,
        "num_flows_started": 1,
        "num_flows_completed": 0,
        "num_flows_established": 0,
        "num_flows_refused": 0,
        "num_flows_unanswered": 0,
        "packets_in": 0,
        "packets_out": 0,
        "bytes_in": 0,
        "bytes_out": 0,
        "nat_outgoing_ports": None,
        "policies": {"enforced_policies": [f"0|{tier}|{policy.split('|')[0]}|{action}|{rule}"]},
        "process_name": "-",
        "tcp_total_retransmissions": 0,
    }
    for side, end in (("source", source), ("dest", dest)):
        kind = "wep" if "." not in end[1] else "ns"
        result.update(
            {
                f"{side}_type": kind,
                f"{side}_namespace": end[0],
                f"{side}_name": end[1].lstrip("."),
                f"{side}_ip": end[2],
            }
        )
    return {**result, **fields}


def traffic(packets_in: int, bytes_in: int, packets_out: int, bytes_out: int, **fields) -> dict:
    return {
        "packets_in": packets_in,
        "bytes_in": bytes_in,
        "packets_out": packets_out,
        "bytes_out": bytes_out,
        **fields,
    }


def right_records() -> list:
    """What node-1 should report of all that."""
    frontend, report = ("shop", FRONTEND, "10.244.1.21"), ("analytics", REPORT, "10.244.1.81")
    cart, payment = ("shop", CART, "10.244.1.41"), ("shop", "payment-6b7f8c5d9-j9rkv", "10.244.1.61")
    done = {"num_flows_completed": 1, "num_flows_established": 1}
    service = {"dest_service_namespace": "shop", "dest_service_name": "cart"}
    service.update(dest_service_port_name="http", dest_service_port_num=80)
    coredns = ("kube-system", "coredns-5d78c9869d-t8wzp", "10.244.1.2", 2048)
    ping = {"proto": "icmp", "num_flows_established": 1}
    to_partner, scanner = ("shop", ".partner-payments", "198.51.100.20", 443), ("-", ".known-scanners", "203.0.113.99")
    nginx, other = ("ingress-nginx", INGRESS, "10.244.1.10"), ("shop", "frontend-6f5b7c8d9-zq7rt", "10.244.2.22", 8080)
    cart_http, cart_admin, cart_redis = (*cart, 8080), (*cart, 9091), (*cart, 6379)
    to_payment, to_frontend = ({**service, "dest_service_name": name} for name in ("payment", "frontend"))
    refused = {"num_flows_refused": 1}
    return [
        record("src", 0, frontend, cart_http, "shop/knp.default.frontend|allow|0", **traffic(6, 5320, 6, 420), **done)
        | {**service, "process_name": "/usr/bin/python3.11"},
        record("dst", 0, frontend, cart_http, "knp:shop/cart|allow|0", **traffic(6, 420, 6, 5320), **done, **service),
        record("src", 1, payment, to_partner, "shop/knp.default.payment|allow|0", **traffic(5, 348, 6, 410), **done)
        | {"nat_outgoing_ports": [40_000]},
        record("src", 2, frontend, (*payment, 8080), "shop/knp.default.default-deny|deny|-1", **traffic(0, 0, 2, 120))
        | {**to_payment, "num_flows_unanswered": 1},
        record("src", 3, report, cart_admin, "__PROFILE__.kns.analytics|allow|0", **traffic(1, 40, 1, 60), **refused),
        record("dst", 3, report, cart_admin, "shop/knp.default.cart|allow|1", **traffic(1, 60, 1, 40), **refused),
        record("src", 4, report, coredns, "__PROFILE__.kns.analytics|allow|0", **traffic(1, 84, 1, 84), **ping),
        record("dst", 4, report, coredns, "pro:kns.kube-system|allow|0", **traffic(1, 84, 1, 84), **ping),
        record("dst", 5, scanner, cart_redis, "shop/knp.default.metrics|deny|-1", **traffic(1, 60, 0, 0)),
        record(
            "src", 6, nginx, other, "pro:kns.ingress-nginx|allow|0", **traffic(5, 560, 6, 512), **done, **to_frontend
        ),
    ]


# Which record, what is changed in it, the kind of disagreement.
WRONG = (
    (0, {"source_port": 5}, "missing"),
    (0, {"source_port": 5}, "extra"),
    (0, {"dest_ip": "10.96.30.3", "dest_port": 80}, "untranslated"),
    (0, {"num_flows_started": 2}, "count"),
    (0, {"num_flows_completed": 0}, "count"),
    (0, {"num_flows_completed": 2}, "count"),
    (0, {"num_flows_established": 0}, "outcome"),
    (0, {"num_flows_unanswered": 1}, "outcome"),
    (3, {"num_flows_established": 1}, "outcome"),
    (4, {"num_flows_refused": 0}, "outcome"),
    (0, {"bytes_in": 5000}, "bytes"),
    (0, {"bytes_in": 6000}, "bytes"),
    (0, {"bytes_out": 0, "packets_out": 0}, "bytes"),
    (3, {"bytes_in": 60, "packets_in": 1}, "bytes"),
    (6, {"bytes_in": 85}, "bytes"),
    (0, {"action": "deny"}, "verdict"),
    (3, {"action": "allow"}, "verdict"),
    (0, {"policies": None}, "policy"),
    (0, {"policies": {"enforced_policies": ["0|default|shop/knp.default.frontend|allow|1"]}}, "policy"),
    (0, {"policies": {"enforced_policies": ["0|default|shop/knp.default.cart|allow|0"]}}, "policy"),
    (3, {"policies": {"enforced_policies": ["0|default|shop/knp.default.payment|deny|-1"]}}, "policy"),
    (0, {"source_name": "frontend-6f5b7c8d9-zq7rt"}, "name"),
    (1, {"dest_namespace": "analytics"}, "name"),
    (2, {"dest_type": "net", "dest_namespace": "-", "dest_name": "-"}, "name"),
    (0, {"dest_service_name": "-"}, "service"),
    (6, {"dest_service_name": "kube-dns"}, "service"),
    (2, {"nat_outgoing_ports": None}, "nat"),
    (0, {"nat_outgoing_ports": [1]}, "nat"),
    (0, {"process_name": "/usr/sbin/nginx"}, "process"),
    (0, {"start_time": START + 900, "end_time": START + 1200}, "time"),
)


def run(folder: str, records: list, node: str = "node-1") -> tuple:
    flows, path = os.path.join(folder, "flows.log"), os.path.join(folder, "truth.ndjson")
    for name, lines in ((flows, records), (path, truth())):
        with open(name, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    words = ["--truth", path, "--flows", flows, "--node", node, "--manifests", MANIFESTS, "--source", "conntrack"]
    done = subprocess.run(
        [sys.executable, os.path.join(HERE, "compare.py"), *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def reused_address(made: ground_truth.Truth) -> list:
    """Two pods had one address and made the same tuple: each has its own record."""
    cluster, records = made.history.versions[0].cluster, right_records()
    again = json.loads(json.dumps(made.connections[0]))
    again["src"]["name"] = "shop/frontend-new"
    both = ground_truth.Truth.__new__(ground_truth.Truth)
    both.history, both.connections = made.history, [*made.connections, again]
    theirs = [{**record, "source_name": "frontend-new"} for record in records[:2]]
    assert cluster.pod_at("10.244.1.21").full_name != again["src"]["name"]
    for added, wanted in ((theirs, set()), ([], {"missing"}), (records[:2], {"missing", "count", "bytes"})):
        found = {d.kind for d in ground_truth.Comparison(records + added, both, "node-1", "conntrack").run()}
        if not found >= wanted or (found and not wanted):
            return [f"an address of two pods: {found}, not {wanted}"]
    return []


def more(folder: str, extra: dict) -> ground_truth.Truth:
    path = os.path.join(folder, "more.ndjson")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in [*truth(), extra])
    return ground_truth.Truth(path, MANIFESTS)


def kinds_of(records: list, made: ground_truth.Truth, source: str) -> tuple:
    comparison = ground_truth.Comparison(records, made, "node-1", source)
    return {d.kind for d in comparison.run()}, comparison.undecided


def any_backend(folder: str) -> list:
    """Denied on the way to a service with a pod on each node: its client's node has it at one of them, or at both."""
    problems = []
    made = more(folder, client(7, f"analytics/{REPORT}", "10.244.1.81", "10.96.30.1", 80, "timeout"))
    report, deny = ("analytics", REPORT, "10.244.1.81"), "shop/knp.default.frontend|deny|-1"
    pods = [("shop", FRONTEND, "10.244.1.21", 8080), ("shop", "frontend-6f5b7c8d9-zq7rt", "10.244.2.22", 8080)]
    service = {"dest_service_namespace": "shop", "dest_service_name": "frontend", "dest_service_port_name": "http"}
    service["dest_service_port_num"] = 80
    allow, syn = "__PROFILE__.kns.analytics|allow|0", traffic(0, 0, 1, 60)
    sent = [record("src", 7, report, pod, allow, **syn, **service) for pod in pods]
    met = record("dst", 7, report, pods[0], deny, **traffic(1, 60, 0, 0), **service)
    for added, wanted, seen in (
        (sent[:1], set(), False),
        (sent[1:], set(), False),
        ([*sent, met], set(), True),
        ([sent[0], {**met, "action": "allow"}], {"verdict"}, True),
        ([met], {"missing"}, True),
        ([sent[0], sent[0]], {"count"}, False),
    ):
        found, undecided = kinds_of(right_records() + added, made, "conntrack")
        if found != wanted or undecided != {"id7": seen}:
            problems.append(f"denied at any backend: {found} and {undecided}, not {wanted} and {seen}")
    return problems


def known_to_conntrack(folder: str) -> list:
    """What the connection tracker cannot know is no disagreement, and of other sources it is one."""
    problems = []
    made = more(folder, client(8, f"analytics/{REPORT}", "10.244.1.81", "10.244.2.31", 9999, "refused", 64, 0, "udp"))
    report, catalog = ("analytics", REPORT, "10.244.1.81"), ("shop", "catalog-7d9c5b6f4-w8m2s", "10.244.2.31", 9999)
    told = record("src", 8, report, catalog, "__PROFILE__.kns.analytics|allow|0", **traffic(0, 0, 1, 92), proto="udp")
    for fields, source, wanted in (
        ({"num_flows_unanswered": 1}, "conntrack", set()),
        ({"num_flows_refused": 1}, "conntrack", {"outcome"}),
        ({"num_flows_unanswered": 1}, "ebpf", {"outcome"}),
        ({"num_flows_refused": 1}, "ebpf", set()),
    ):
        found, _ = kinds_of([*right_records(), {**told, **fields}], made, source)
        if found != wanted:
            problems.append(f"a refused datagram, {fields} of {source}: {found}, not {wanted}")
    return problems


def main() -> int:
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        code, told = run(folder, right_records())
        if code != 0 or '"compared": 10' not in told:
            problems.append(f"right records: exit code {code}\n{told}")
        code, told = run(folder, [], "node-9")
        if code != 1 or "nothing to compare" not in told:
            problems.append(f"a node without connections: exit code {code}\n{told}")
        if run(folder, right_records()[1:])[0] != 1:
            problems.append("a missing record: exit code 0")
        made = ground_truth.Truth(os.path.join(folder, "truth.ndjson"), MANIFESTS)
        problems += any_backend(folder) + known_to_conntrack(folder)
    problems += reused_address(made)
    for index, change, kind in WRONG:
        records = right_records()
        records[index] = {**records[index], **change}
        found = ground_truth.Comparison(records, made, "node-1", "conntrack").run()
        if kind not in {d.kind for d in found}:
            problems.append(f"record {index} with {change}: no {kind}, but {[str(d) for d in found]}")
    print("\n".join(problems) or f"{len(WRONG)} wrong records told")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
