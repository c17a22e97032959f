#!/usr/bin/env python3
"""weir observe, dns, top and graph over real log files: those that `weir replay` writes of a fixture.

Rows are compared with predicates in Python over all records of the files; formats are read back by other parsers.

usage: check_observe.py --weir BINARY --fixture testdata/shop
"""
import argparse
import csv
import io
import ipaddress
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

FAILURES = []


def expect(name, holds, detail=""):
    if not holds:
        FAILURES.append(name)
        print(f"FAIL {name}: {str(detail)[:600]}")


def ends(record, what):
    """Values of both ends: of `what` in the names of flows.log."""
    return [record["source_" + what], record["dest_" + what]]


def labels(record, end):
    return (record[end + "_labels"] or {}).get("labels") or []


def same_end(record, test):
    return any(test(record, end) for end in ("source", "dest"))


def in_block(text, block):
    return text is not None and ipaddress.ip_address(text) in ipaddress.ip_network(block)


def pod(namespace, prefix):
    return lambda r, end: r[end + "_namespace"] == namespace and (
        r[end + "_name"].startswith(prefix) or r[end + "_name_aggr"].startswith(prefix))


# Flags, and what they mean, told in another language.
CASES = [
    ("everything", [], lambda r: True),
    ("namespace", ["-n", "analytics"], lambda r: "analytics" in ends(r, "namespace")),
    ("two namespaces", ["-n", "analytics", "--namespace", "ingress-nginx"],
     lambda r: {"analytics", "ingress-nginx"} & set(ends(r, "namespace"))),
    ("from and to", ["--from-namespace", "shop", "--to-namespace", "kube-system"],
     lambda r: r["source_namespace"] == "shop" and r["dest_namespace"] == "kube-system"),
    ("not", ["--not", "-n", "kube-system"], lambda r: "kube-system" not in ends(r, "namespace")),
    ("two nots", ["--not", "--protocol", "udp", "--not", "--protocol", "icmp"], lambda r: r["proto"] == "tcp"),
    ("verdict", ["--verdict", "DROPPED"], lambda r: r["action"] == "deny"),
    ("verdicts", ["--verdict", "DROPPED", "--verdict", "FORWARDED"], lambda r: True),
    ("pod", ["--pod", "shop/frontend"], lambda r: same_end(r, pod("shop", "frontend"))),
    ("pod in a namespace", ["-n", "shop", "--pod", "cart", "--pod", "redis"],
     lambda r: same_end(r, pod("shop", "cart")) or same_end(r, pod("shop", "redis"))),
    ("pod in the default namespace", ["--pod", "frontend"], lambda r: False),
    ("to a pod", ["--to-pod", "shop/redis", "--verdict", "DROPPED"],
     lambda r: pod("shop", "redis")(r, "dest") and r["action"] == "deny"),
    ("label", ["-l", "app=catalog"], lambda r: same_end(r, lambda q, end: "app=catalog" in labels(q, end))),
    ("labels of one end", ["-l", "app in (catalog,cart),tier=backend"],
     lambda r: same_end(r, lambda q, end: {"app=catalog", "app=cart"} & set(labels(q, end)) and "tier=backend" in labels(q, end))),
    ("not a label", ["--from-label", "!app"],
     lambda r: not any(pair.startswith("app=") for pair in labels(r, "source"))),
    ("workload", ["--from-workload", "deployment/checkout"],
     lambda r: r["source_workload"] == "checkout" and r["source_workload_kind"] == "Deployment"),
    ("port", ["--to-port", "8080", "--to-port", "53"], lambda r: r["dest_port"] in (8080, 53)),
    ("protocol", ["--protocol", "ICMP"], lambda r: r["proto"] in ("icmp", "icmp6")),
    ("address", ["--ip", "203.0.113.0/24"],
     lambda r: any(in_block(ip, "203.0.113.0/24") for end in ("source", "dest")
                   for ip in [r[end + "_ip"]] + (r[end + "_external_ips"] or []))),
    ("service", ["--service", "shop/catalog"],
     lambda r: r["dest_service_name"] == "catalog" and r["dest_service_namespace"] == "shop"),
    ("domain", ["--to-fqdn", "*.example"], lambda r: any(d.endswith(".example") for d in r["dest_domains"] or [])),
    ("direction", ["--traffic-direction", "ingress"], lambda r: r["reporter"] == "dst"),
    ("type", ["-t", "trace:from-endpoint"], lambda r: r["reporter"] == "src" and r["action"] == "allow"),
    ("world", ["--identity", "world"], lambda r: {"net", "ns"} & set(ends(r, "type"))),
    ("expression", ["--filter", "bytes_in > 1000 OR num_flows_refused > 0"],
     lambda r: r["bytes_in"] > 1000 or r["num_flows_refused"] > 0),
    ("flags and expression", ["-n", "shop", "--filter", "packets_in > 10 or packets_out > 10"],
     lambda r: "shop" in ends(r, "namespace") and (r["packets_in"] > 10 or r["packets_out"] > 10)),
]

BAD = [
    (["observe", "--not"], "--not at the end"),
    (["observe", "--not", "--not", "-n", "a"], "--not --not"),
    (["observe", "--pod", "a/b", "--from-pod", "a/c"], "filters --pod and --from-pod cannot be combined"),
    (["observe", "--first", "3", "--last", "3"], "--first"),
    (["observe", "--tcp-flags", "syn"], "--tcp-flags cannot be answered"),
    (["observe", "--verdict", "TRACED"], "'TRACED' is not a verdict"),
    (["observe", "--filter", "sorce_ip = 1"], "did you mean source_ip?"),
    (["observe", "--since", "yesterday"], "'yesterday' is no time"),
    (["observe", "--since", "1m", "--until", "2m"], "--since is not before --until"),
    (["observe", "-o", "xml"], "xml"),
    (["observe", "-o", "table", "-f"], "-o table and --follow cannot be combined"),
    (["observe", "--field-mask", "action"], "--field-mask goes with -o json, jsonpb or csv"),
    (["observe", "--time-format", "short"], "'short' is no time format"),
    (["dns", "--slower-than", "long"], "'long' is not a duration"),
    (["dns", "-o", "jsonpb"], "jsonpb"),
    (["top", "everything"], "everything"),
    (["top", "--by", "size"], "size"),
    (["graph", "-o", "png"], "png"),
    (["completion"], "shell"),
]


class Weir:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def run(self, *words, stdin=None, code=0):
        env = dict(os.environ, TZ="UTC")
        done = subprocess.run([self.binary, *words], input=stdin, capture_output=True, timeout=60, env=env)
        if done.returncode != code:
            expect(" ".join(words), False, f"exit code {done.returncode}, expected {code}: {done.stderr.decode()}")
        return done.stdout.decode(), done.stderr.decode()

    def rows(self, *words):
        return self.run(*words, "-o", "json")[0].splitlines()


def write_logs(weir, fixture):
    folder = weir.folder / "node"
    folder.mkdir()
    weir.run("replay", str(fixture / "shop.pcap"), "--cluster", str(fixture / "manifests.yaml"), "--interval", "5s",
             "--flows", str(folder / "all.log"), "--dns", str(folder / "dns.log"))
    lines = (folder / "all.log").read_text().splitlines()
    (folder / "all.log").unlink()
    # As the agent leaves them: rotated files, and a last line that is still being written.
    third = len(lines) // 3
    (folder / "flows.log.2").write_text("\n".join(lines[:third]) + "\n")
    (folder / "flows.log.1").write_text("\n".join(lines[third:2 * third]) + "\n")
    (folder / "flows.log").write_text("\n".join(lines[2 * third:]) + "\n" + lines[0][:50])
    (folder / "agent.log").write_text(json.dumps({
        "start_time": 0, "end_time": 4102444800, "node": "node-7", "version": "1",
        "sources": [{"name": "ebpf", "events": 1, "packets": 1, "lost": [{"name": "ring", "count": 17}]}]}) + "\n")
    return folder, lines


def check_rows(weir, folder, lines):
    records = [json.loads(line) for line in lines]
    for name, flags, predicate in CASES:
        want = [line for line, record in zip(lines, records) if predicate(record)]
        got = weir.rows("observe", "--input-file", str(folder), "--all", *flags)
        expect("rows: " + name, got == want, f"{len(got)} rows, expected {len(want)}")
        got = weir.rows("observe", "--input-file", str(folder), "--last", "3", *flags)
        expect("last rows: " + name, got == want[-3:], got)
        text = weir.run("observe", "--print-raw-filters", *flags)[0].strip()
        if text:
            got = weir.rows("observe", "--input-file", str(folder), "--all", "--filter", text)
            expect("the printed filter is the flags: " + name, got == want, text)
    expect("the last 20 are the default", weir.rows("observe", "--input-file", str(folder)) == lines[-20:])
    expect("the first", weir.rows("observe", "--input-file", str(folder), "--first", "2") == lines[:2])
    middle = sorted(record["start_time"] for record in records)[len(records) // 2]
    got = weir.rows("observe", "--input-file", str(folder), "--since", f"@{middle}")
    expect("since", got == [line for line, r in zip(lines, records) if r["start_time"] >= middle], len(got))
    got = weir.rows("observe", "--input-file", str(folder), "--until", f"@{middle}")
    expect("until", got == [line for line, r in zip(lines, records) if r["start_time"] < middle], len(got))
    got = weir.run("observe", "--input-file", "-", "--last", "2", "-o", "json", stdin="\n".join(lines).encode())[0]
    expect("standard input", got.splitlines() == lines[-2:])
    expect("the node's own name", len(weir.rows("observe", "--input-file", str(folder), "--all", "--node-name", "node-*")) == len(lines))
    expect("another node", weir.rows("observe", "--input-file", str(folder), "--all", "--node-name", "other") == [])


def check_formats(weir, folder, lines):
    read = ["observe", "--input-file", str(folder), "--all"]
    out, errors = weir.run(*read)
    expect("compact: a line a record", len(out.splitlines()) == len(lines))
    expect("losses are told", "EVENTS LOST: node-7: ebpf ring 17" in errors, errors)
    expect("table: a header and a row a record", len(weir.run(*read, "-o", "table")[0].splitlines()) == len(lines) + 1)
    expect("dict: a separator between records", weir.run(*read, "-o", "dict")[0].count("------------\n") == len(lines) - 1)
    responses = [json.loads(line) for line in weir.run(*read, "-o", "jsonpb")[0].splitlines()]
    expect("jsonpb: a response a record", len(responses) == len(lines) and all("flow" in r and "time" in r for r in responses))
    expect("jsonpb: ids differ", len({r["flow"]["uuid"] for r in responses}) == len({*lines}))
    expect("jsonpb: verdicts", [r["flow"]["verdict"] == "DROPPED" for r in responses] == [json.loads(l)["action"] == "deny" for l in lines])
    table = list(csv.DictReader(io.StringIO(weir.run(*read, "-o", "csv")[0], newline="")))
    expect("csv: every value reads back", len(table) == len(lines) and all(
        row["dest_port"] == ("" if r["dest_port"] is None else str(r["dest_port"])) and row["source_name"] == r["source_name"]
        and json.loads(row["policies"]) == r["policies"] for row, r in zip(table, map(json.loads, lines))))
    masked = weir.run(*read, "-o", "json", "--field-mask", "action,policies.enforced_policies")[0].splitlines()
    expect("field mask", [json.loads(m) for m in masked] == [
        {"action": r["action"], "policies": {"enforced_policies": r["policies"]["enforced_policies"]}} for r in map(json.loads, lines)])


def check_follow(weir, folder, lines):
    active = folder / "flows.log"
    process = subprocess.Popen([weir.binary, "observe", "--input-file", str(folder), "-f", "--last", "1", "-o", "json"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        got = [process.stdout.readline().strip()]
        # The torn line is finished, then a rotation between two lines.
        with active.open("a") as log:
            log.write(lines[0][50:] + "\n")
        got.append(process.stdout.readline().strip())
        active.rename(folder / "flows.log.0")
        for number in (2, 1, 0):
            (folder / f"flows.log.{number}").rename(folder / f"flows.log.{number + 1}")
        active.write_text(lines[1] + "\n")
        got.append(process.stdout.readline().strip())
        expect("follow", got == [lines[-1], lines[0], lines[1]], [g[:80] for g in got])
    finally:
        process.kill()
        process.communicate()


def check_dns(weir, folder):
    lines = (folder / "dns.log").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    cases = [
        ([], lambda r: True),
        (["--failed"], lambda r: r["rcode"] != "NoError"),
        (["-n", "shop", "--qtype", "a"], lambda r: r["client_namespace"] == "shop" and r["qtype"] == "A"),
        (["--fqdn", "*.cluster.local", "--not", "--rcode", "nxdomain"],
         lambda r: r["qname"].endswith(".cluster.local") and r["rcode"] != "NXDomain"),
        (["--slower-than", "1ms"], lambda r: r["latency_max"] > 1_000_000),
        (["--answer", "10.96.*"], lambda r: any(d.startswith("10.96.") for s in r["rrsets"] for d in s["rdata"])),
        (["--nameserver", "10.96.0.10"], lambda r: any(s["ip"] == "10.96.0.10" for s in r["servers"])),
    ]
    for flags, predicate in cases:
        want = [line for line, record in zip(lines, records) if predicate(record)]
        got = weir.rows("dns", "--input-file", str(folder), "--all", *flags)
        expect("dns " + " ".join(flags), got == want, f"{len(got)} rows, expected {len(want)}")
    for output in ("compact", "csv", "table"):
        shown = weir.run("dns", "--input-file", str(folder), "--all", "-o", output)[0].splitlines()
        expect("dns: a line a record, " + output, len(shown) == len(lines) + (output != "compact"))


def check_sums(weir, folder, lines):
    """Every edge of the graph against sums over the records, from either end."""
    def end(r, which):
        workload = r[which + "_workload"]
        return (r[which + "_namespace"], workload if workload != "-" else r[which + "_name_aggr"])

    denied, reported = {}, {}
    for r in map(json.loads, lines):
        key = (end(r, "source"), end(r, "dest"), r["proto"], r["dest_port"])
        if r["action"] == "deny":
            denied[key] = denied.get(key, 0) + r["num_flows"]
        sent = r["bytes_in"] if r["reporter"] == "dst" else r["bytes_out"]
        sums = reported.setdefault(key, {})
        sums[r["reporter"]] = sums.get(r["reporter"], 0) + sent
    graph = json.loads(weir.run("graph", "--input-file", str(folder), "-o", "json")[0])
    got = {}
    for edge in graph["edges"]:
        key = tuple((edge[which]["namespace"], edge[which]["workload"]) for which in ("source", "dest")) + (edge["protocol"], None if edge["port"] < 0 else edge["port"])
        got[key] = edge
    expect("graph: the edges", set(got) == set(reported), set(got) ^ set(reported))
    for key, edge in got.items():
        expect(f"graph: denied of {key}", edge["flows_denied"] == denied.get(key, 0), edge)
        expect(f"graph: bytes of {key}", edge["bytes_to_dest"] == max(reported[key].values()), edge)
    for output, begin in (("tree", ""), ("dot", "digraph"), ("mermaid", "flowchart LR")):
        text = weir.run("graph", "--input-file", str(folder), "-o", output)[0]
        expect("graph: " + output, text.startswith(begin) and "frontend" in text, text[:80])
    top = [json.loads(line) for line in weir.run("top", "dest", "--input-file", str(folder), "-o", "json", "--count", "100", "--by", "denied")[0].splitlines()]
    expect("top: all that was denied", sum(row["flows_denied"] for row in top) == sum(denied.values()), top)
    expect("top: largest first", [row["flows_denied"] for row in top] == sorted((row["flows_denied"] for row in top), reverse=True))
    for what in ("source", "pair", "namespace", "port", "policy", "domain"):
        expect("top " + what, len(weir.run("top", what, "--input-file", str(folder))[0].splitlines()) > 1)


def check_damage(weir, folder, lines):
    damaged = folder / "damaged.json"
    damaged.write_text(lines[0] + "\nnot json\n" + lines[1] + "\n")
    out, errors = weir.run("observe", "--input-file", str(damaged), "--all", "-o", "json", code=1)
    expect("damaged: the others are shown", out.splitlines() == lines[:2])
    expect("damaged: it is told where", "1 lines are no records" in errors and f"byte {len(lines[0]) + 1}" in errors, errors)
    expect("damaged: silent", "no records" not in weir.run("observe", "--input-file", str(damaged), "-s", code=1)[1])
    errors = weir.run("observe", "--input-file", str(folder / "none.log"), code=1)[1]
    expect("missing file", "none.log: No such file or directory" in errors, errors)
    for words, text in BAD:
        _, errors = weir.run(*words, code=2)
        expect("usage: " + " ".join(words), len(errors.splitlines()) == 1 and text in errors, errors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--fixture", required=True, type=pathlib.Path)
    args = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        weir = Weir(args.weir, pathlib.Path(folder))
        logs, lines = write_logs(weir, args.fixture)
        check_rows(weir, logs, lines)
        check_formats(weir, logs, lines)
        check_dns(weir, logs)
        check_sums(weir, logs, lines)
        check_damage(weir, logs, lines)
        check_follow(weir, logs, lines)
    print(f"{len(lines)} records, {len(CASES)} filters: {len(FAILURES)} failures, {time.monotonic() - begun:.1f} s")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
