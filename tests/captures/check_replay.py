#!/usr/bin/env python3
"""Holds `weir replay` to what an independent decoder found in every shared capture.

usage: check_replay.py --weir BINARY --data SHARED/data/captures [--only ID] [--verbose]

For each capture, at level 0 in one window: packets and IP bytes per direction of every 5-tuple, inner and (--outer)
outer; DNS responses by name, type and rcode and unanswered queries on port 53; forwarded client addresses. What differs
must be in disagreements.txt with its packet-level reason, and nothing may be listed there that agrees.
"""
import argparse
import collections
import concurrent.futures
import ipaddress
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROTOCOLS = {"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "rsvp": 46, "gre": 47,
             "esp": 50, "ah": 51, "icmpv6": 58, "icmp6": 58, "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115,
             "sctp": 132, "udplite": 136}
WITH_PORTS = {6, 17, 132, 136, 33}
TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB",
         24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP",
         46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 99: "SPF",
         249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA"}
RCODES = ["NoError", "FormErr", "ServFail", "NXDomain", "NotImp", "Refused", "YXDomain", "YXRRSet", "NXRRSet", "NotAuth",
          "NotZone"]


def address(text):
    ip = ipaddress.ip_address(text)
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def protocol_number(name):
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    return int(name.removeprefix("ip"))


def add(flows, proto, a, b, forward, reverse):
    """Sums (packets, bytes) each way under the unordered pair of ends."""
    if proto not in WITH_PORTS:
        a, b = (a[0], None), (b[0], None)
    if (b[0], b[1] or 0) < (a[0], a[1] or 0):
        a, b, forward, reverse = b, a, reverse, forward
    if a == b:
        # Both ends alike (a host talking to itself on one port): directions cannot be told apart.
        forward, reverse = [forward[0] + reverse[0], forward[1] + reverse[1]], [0, 0]
    row = flows[(proto, a, b)]
    for i, value in enumerate([*forward, *reverse]):
        row[i] += value


def expected_flows(section):
    column = {name: i for i, name in enumerate(section["columns"])}

    def read(layer):
        flows = collections.defaultdict(lambda: [0, 0, 0, 0])
        for row in layer["rows"]:
            get = lambda name: row[column[name]]
            add(flows, protocol_number(get("proto")), (address(get("a_addr")), get("a_port")), (address(get("b_addr")), get("b_port")),
                [get("pkts_ab") + get("fragpkts_ab"), get("ipbytes_ab") + get("fragipbytes_ab")],
                [get("pkts_ba") + get("fragpkts_ba"), get("ipbytes_ba") + get("fragipbytes_ba")])
        return flows, layer["orphan_fragments"]

    outer = read(section["outer"])
    inner = outer if section["inner"] == "same as outer" else read(section["inner"])
    return inner, outer


def replayed_flows(lines):
    flows = collections.defaultdict(lambda: [0, 0, 0, 0])
    orphans = 0
    for line in lines:
        record = json.loads(line)
        proto = protocol_number(record["proto"])
        ports = record["source_port"], record["dest_port"]
        if proto in WITH_PORTS and ports == (0, 0):
            orphans += record["packets_out"] + record["packets_in"]
            continue
        add(flows, proto, (address(record["source_ip"]), ports[0]), (address(record["dest_ip"]), ports[1]),
            [record["packets_out"], record["bytes_out"]], [record["packets_in"], record["bytes_in"]])
    return flows, orphans


def compare_flows(what, want, got):
    differences = []
    for key in sorted(set(want[0]) | set(got[0]), key=str):
        if want[0].get(key) != got[0].get(key):
            differences.append(f"{what} {key}: expected {want[0].get(key)}, got {got[0].get(key)}")
    if want[1] != got[1]:
        differences.append(f"{what} orphan fragments: expected {want[1]}, got {got[1]}")
    return differences


def plain_name(text):
    """One form for both sides: bytes that are no printable ASCII, which each prints in its own way, become one '*'."""
    text = "." if text == "<Root>" else text.rstrip(".") if text != "." else text
    # Overlong UTF-8 of an ASCII character, which one side shows as that character.
    text = re.sub(r"\\19([23])\\(1[2-8][0-9]|19[01])", lambda m: chr((int(m[1]) - 2 << 6) | (int(m[2]) & 63)), text)
    text = re.sub(r"\\u[0-9a-f]{4}|\\[0-9]{3}|\\[abfnrtv\\]?|[^\x20-\x7e]", "*", text.lower())
    return re.sub(r"\*+", "*", text)


def expected_dns(dns):
    """Responses by (name, type, rcode), and lookups that nobody answered within 5 s, on port 53.

    A query with the ends, id and question of one that still waits, at most 30 s after it, is a retry of it.
    """
    column = {name: i for i, name in enumerate(dns["columns"])}
    responses, lookups = collections.Counter(), collections.defaultdict(list)
    for row in dns["rows"]:
        get = lambda name: row[column[name]]
        if 53 not in (get("sport"), get("dport")):
            continue
        now = float(get("ts"))
        question = get("questions")[0] if get("questions") else None
        what = ("-", "-") if question is None else (plain_name(question[0]), TYPES.get(question[1], f"TYPE{question[1]}"))
        ends = [(get("src"), get("sport")), (get("dst"), get("dport"))]
        waiting = lookups[(*(reversed(ends) if get("qr") else ends), get("id"), *what)]
        if get("qr"):
            rcode = get("rcode")
            responses[(*what, RCODES[rcode] if rcode < len(RCODES) else f"RCODE{rcode}")] += 1
            if waiting and waiting[-1]["sent"] > 0:
                waiting[-1]["answered"] |= now - waiting[-1]["first"] < 5
                waiting[-1]["sent"] -= 1
        elif question is not None:
            if not waiting or waiting[-1]["sent"] == 0 or now - waiting[-1]["newest"] >= 30:
                waiting.append({"first": now, "sent": 0, "answered": False})
            waiting[-1].update(newest=now, sent=waiting[-1]["sent"] + 1)
    unanswered = collections.Counter(key[3:] for key, all_of_key in lookups.items() for one in all_of_key if not one["answered"])
    return responses, unanswered


def replayed_dns(lines):
    responses, unanswered = collections.Counter(), collections.Counter()
    for line in lines:
        record = json.loads(line)
        what = (plain_name(record["qname"]), record["qtype"])
        if record["rcode"] == "Timeout":
            unanswered[what] += record["count"]
        else:
            responses[(*what, record["rcode"])] += record["count"]
    return responses, unanswered


def compare_counters(what, want, got):
    return [f"{what} {key}: expected {want[key]}, got {got[key]}"
            for key in sorted(set(want) | set(got), key=str) if want[key] != got[key]]


def expected_forwarded(http):
    """The rightmost address of X-Forwarded-For, by the connection that carried it."""
    column = {name: i for i, name in enumerate(http["request_columns"])}
    found = collections.defaultdict(set)
    for row in http["request_rows"]:
        headers = row[column["forwarded_headers"]] or []
        values = [value for name, value in headers if name.lower() == "x-forwarded-for"]
        values = ",".join(values).split(",") if values else [v for n, v in headers if n.lower() == "x-real-ip"]
        for text in reversed(values):
            try:
                client = address(text.strip())
            except ValueError:
                continue
            ends = tuple(sorted([(row[column["src"]], row[column["sport"]]), (row[column["dst"]], row[column["dport"]])], key=str))
            found[ends].add(client)
            break
    return found


def replayed_forwarded(lines):
    found = collections.defaultdict(set)
    for line in lines:
        record = json.loads(line)
        if record["original_source_ips"]:
            ends = tuple(sorted([(record["source_ip"], record["source_port"]), (record["dest_ip"], record["dest_port"])], key=str))
            found[ends].update(address(ip) for ip in record["original_source_ips"])
    return found


def replay(weir, capture, *options):
    run = subprocess.run([weir, "replay", str(capture), "--level", "0", "--interval", "0", "--set", "original_source_ips_limit=10000",
                          *options], capture_output=True, text=True, timeout=120)
    return run.stdout.splitlines(), run.returncode, run.stderr


def check(weir, data, expected_path):
    want = json.loads(expected_path.read_text())
    capture = data / want["file"]
    damaged = want["tshark_read"]["rc"] != 0
    with tempfile.TemporaryDirectory() as folder:
        dns_path, l7_path = pathlib.Path(folder, "dns"), pathlib.Path(folder, "l7")
        ports = ["--set", "vxlan_ports=8472"] if want["oracle"]["extra_options"] else []
        flows, code, stderr = replay(weir, capture, "--dns", str(dns_path), "--dns-level", "0", "--l7", str(l7_path),
                                     "--l7-level", "0", *ports)
        outer, _, _ = replay(weir, capture, "--outer", *ports)
        differences = []
        if code != (1 if damaged else 0):
            differences.append(f"exit code {code}: {stderr.strip()[:300]}")
        expected_inner, expected_outer = expected_flows(want["flows"])
        differences += compare_flows("inner", expected_inner, replayed_flows(flows))
        differences += compare_flows("outer", expected_outer, replayed_flows(outer))
        dns_lines = dns_path.read_text().splitlines() if dns_path.exists() else []
        wanted_dns = expected_dns(want["dns"]) if want["dns"] else (collections.Counter(), collections.Counter())
        got_dns = replayed_dns(dns_lines)
        differences += compare_counters("dns response", wanted_dns[0], got_dns[0])
        differences += compare_counters("dns unanswered", wanted_dns[1], got_dns[1])
        if want["http"]:
            forwarded, got = expected_forwarded(want["http"]), replayed_forwarded(flows)
            differences += [f"original_source_ips {key}: expected {sorted(forwarded.get(key, ()))}, got {sorted(got.get(key, ()))}"
                            for key in sorted(set(forwarded) | set(got), key=str) if forwarded.get(key) != got.get(key)]
            l7 = collections.Counter(json.loads(line)["method"] for line in l7_path.read_text().splitlines())
            del l7["-"]  # responses whose request was not seen
            column = want["http"]["request_columns"].index("method")
            methods = collections.Counter(row[column] for row in want["http"]["request_rows"])
            differences += compare_counters("l7 method", methods, l7)
    return want["id"], differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    explained = {}
    for line in (HERE / "disagreements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            capture, _, reason = line.partition(":")
            explained[capture.strip()] = reason.strip()
    paths = sorted((options.data / "expected").glob((options.only or "*") + ".expected.json"))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for capture, differences in pool.map(lambda path: check(options.weir, options.data, path), paths):
            if bool(differences) != (capture in explained):
                failed += 1
                print(f"FAIL {capture}: " + ("agrees, but disagreements.txt lists it" if not differences else f"{len(differences)} differences"))
            if differences and (options.verbose or capture not in explained):
                print("\n".join("    " + text for text in differences[: 1000 if options.verbose else 6]))
    print(f"{len(paths) - failed} passed, {failed} failed")
    print(f"of them {len(explained)} with an explained disagreement")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
