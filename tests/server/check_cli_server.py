#!/usr/bin/env python3
"""The commands that ask a server give the rows of the files that it was sent; exports are whole after interruptions.

usage: check_cli_server.py --weir BINARY --fixture testdata/shop
"""
import argparse
import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from servers import Server

FAILURES = []


def expect(name, holds, detail=""):
    if not holds:
        FAILURES.append(name)
        print(f"FAIL {name}: {str(detail)[:600]}")


def run(weir, *words, code=0, **environment):
    done = subprocess.run([weir, *words], capture_output=True, timeout=120, text=True,
                          env=dict(os.environ, TZ="UTC", **environment))
    if done.returncode != code:
        expect(" ".join(words), False, f"exit code {done.returncode}, expected {code}: {done.stderr}")
    return done.stdout, done.stderr


def comparable(lines):
    """Rows without what the server adds, in any order."""
    rows = []
    for line in lines:
        record = json.loads(line)
        record.pop("host", None)
        rows.append(json.dumps(record, sort_keys=True))
    return sorted(rows)


def make_records(weir, fixture, folder):
    """The fixture's lines, with start times of the last minutes: within retention, whenever this runs."""
    run(weir, "replay", str(fixture / "shop.pcap"), "--cluster", str(fixture / "manifests.yaml"), "--interval", "5s",
        "--flows", str(folder / "old.log"), "--dns", str(folder / "dns.log"))
    lines = []
    shift = None
    for name in ("old.log", "dns.log"):
        shifted = []
        for line in (folder / name).read_text().splitlines():
            record = json.loads(line)
            shift = shift if shift is not None else int(time.time()) - 600 - record["start_time"]
            record["start_time"] += shift
            record["end_time"] += shift
            shifted.append(json.dumps(record, separators=(",", ":")))
        lines.append(shifted)
    (folder / "flows.log").write_text("\n".join(lines[0]) + "\n")
    return lines


def check_rows(weir, server, folder, flows, dns):
    files = ["--input-file", str(folder / "flows.log")]
    asked = ["--server", server.url, "--all-reporters"]
    for flags in ([], ["-n", "shop", "--verdict", "DROPPED"], ["--not", "-n", "kube-system"], ["--pod", "shop/frontend"],
                  ["-l", "app in (cart,catalog)"], ["--filter", "bytes_in > 1000 OR num_flows_refused > 0"],
                  ["--ip", "203.0.113.0/24"], ["--to-fqdn", "*.example"], ["--verdict", "AUDIT"]):
        want = run(weir, "observe", *files, "--all", "-o", "json", *flags)[0].splitlines()
        got = run(weir, "observe", *asked, "--all", "-o", "json", *flags)[0].splitlines()
        expect("rows of the server " + " ".join(flags), comparable(got) == comparable(want), f"{len(got)}, expected {len(want)}")
    expect("all were compared", len(flows) > 50)
    got = run(weir, "observe", *asked, "--last", "5", "-o", "json")[0].splitlines()
    times = [json.loads(line)["start_time"] for line in got]
    newest = sorted(json.loads(line)["start_time"] for line in flows)[-5:]
    expect("the last, oldest first", times == newest, times)
    got = run(weir, "observe", "--first", "3", "-o", "json", "--all-reporters", WEIR_SERVER=server.url)[0].splitlines()
    expect("the first, of $WEIR_SERVER", [json.loads(l)["start_time"] for l in got] == sorted(json.loads(l)["start_time"] for l in flows)[:3])
    one = run(weir, "observe", "--server", server.url, "--all", "-o", "json")[0].splitlines()
    want = [l for l in flows for r in [json.loads(l)]
            if r["reporter"] == "dst" or (r["reporter"] == "src" and (r["action"] == "deny" or r["dest_type"] != "wep"))]
    expect("one record of a connection", comparable(one) == comparable(want), f"{len(one)}, expected {len(want)}")
    got = run(weir, "dns", "--server", server.url, "--all", "-o", "json", "--failed")[0].splitlines()
    expect("dns", comparable(got) == comparable(l for l in dns if json.loads(l)["rcode"] != "NoError"), len(got))
    _, errors = run(weir, "observe", "--server", "127.0.0.1:1", code=1)
    expect("nobody answers", "no server answers at http://127.0.0.1:1" in errors and len(errors.splitlines()) == 1, errors)


def check_sums(weir, server, folder):
    words = ["--group-by", "dest_namespace,action", "--metrics", "sum(num_flows),count", "-o", "json"]
    from_server = run(weir, "observe", "--server", server.url, "--all-reporters", *words)[0].splitlines()
    from_files = run(weir, "observe", "--input-file", str(folder / "flows.log"), *words)[0].splitlines()
    expect("groups of files are those of the server", from_server == from_files and len(from_files) > 3, (from_server, from_files))
    sums = {}
    for line in (folder / "flows.log").read_text().splitlines():
        record = json.loads(line)
        key = (record["dest_namespace"], record["action"])
        sums[key] = sums.get(key, 0) + record["num_flows"]
    got = {(r["dest_namespace"], r["action"]): r["sum(num_flows)"] for r in map(json.loads, from_files)}
    expect("groups are sums", got == sums, (got, sums))
    edges = [json.loads(run(weir, "graph", *source, "-o", "json")[0])["edges"] for source in
             (["--server", server.url], ["--input-file", str(folder / "flows.log")])]
    keys = [{(e["source"]["workload"], e["dest"]["workload"], e["protocol"], e["port"]): e["flows_denied"] for e in g} for g in edges]
    expect("graphs have the same edges", keys[0] == keys[1], (set(keys[0].items()) ^ set(keys[1].items())))
    for what in ("source", "policy"):
        expect("top " + what, len(run(weir, "top", what, "--server", server.url)[0].splitlines()) > 1)


def check_export(weir, server, folder, flows):
    for kind in ("json", "csv"):
        out = folder / ("out." + kind)
        run(weir, "export", str(out), "-o", kind, "--server", server.url, "--all-reporters")
        text = out.read_bytes().decode()
        rows = text.split("\n")[:-1] if kind == "json" else list(csv.DictReader(io.StringIO(text, newline="")))
        expect("export: every record, " + kind, len(rows) == len(flows), len(rows))
        _, errors = run(weir, "export", str(out), "--server", server.url, code=2)
        expect("export: does not overwrite", "--overwrite" in errors, errors)
        expect("export: complete", not pathlib.Path(str(out) + ".resume").exists())
    # 30,000 rows more: several pages, interrupted after the first.
    batch = []
    for i in range(30_000):
        record = json.loads(flows[i % len(flows)])
        record["source_port"] = i % 60_000
        record["process_id"] = str(i)
        batch.append(json.dumps(record))
    for begin in range(0, len(batch), 5_000):
        status, _, body = server.call("POST", "/api/v1/ingest/flows", ("\n".join(batch[begin:begin + 5_000]) + "\n").encode(),
                                      Content_Type="application/x-ndjson")
        expect("ingest", status == 200, body)
    out = folder / "big.json"
    words = [weir, "export", str(out), "--server", server.url, "--all-reporters"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    resume = pathlib.Path(str(out) + ".resume")
    end = time.monotonic() + 60
    while not resume.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if resume.exists():
        _, errors = run(weir, "export", str(out), "--server", server.url, code=2)
        expect("export: says that it was not finished", "--resume" in errors, errors)
        with out.open("a") as torn:
            torn.write('{"torn')
        run(weir, "export", str(out), "--server", server.url, "--resume")
    else:
        expect("export: it was interrupted", process.returncode != 0, "it ended before it could be")
    got = comparable(out.read_text().splitlines())
    expect("export: every record once after an interruption", got == comparable(flows + batch), f"{len(got)}, expected {len(flows) + len(batch)}")


def check_follow(weir, server, flows):
    process = subprocess.Popen([weir, "observe", "-f", "--server", server.url, "--all-reporters", "-o", "json"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        time.sleep(1)
        for line in flows[:3]:
            server.call("POST", "/api/v1/ingest/flows", (line + "\n").encode(), Content_Type="application/x-ndjson")
        got = [process.stdout.readline() for _ in range(3)]
        expect("follow", comparable(got) == comparable(flows[:3]), got)
        # Across a restart of the server: nothing is missed, nothing comes twice.
        server.end()
        server.start()
        server.call("POST", "/api/v1/ingest/flows", (flows[3] + "\n").encode(), Content_Type="application/x-ndjson")
        expect("follow: after a restart", comparable([process.stdout.readline()]) == comparable([flows[3]]))
    finally:
        process.kill()
        process.communicate()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--fixture", required=True, type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        flows, dns = make_records(args.weir, args.fixture, folder)
        server = Server(args.weir, name).start()
        try:
            for log, lines in (("flows", flows), ("dns", dns)):
                status, _, body = server.call("POST", f"/api/v1/ingest/{log}", ("\n".join(lines) + "\n").encode(),
                                              Content_Type="application/x-ndjson")
                expect("ingest " + log, status == 200, body)
            check_rows(args.weir, server, folder, flows, dns)
            check_sums(args.weir, server, folder)
            check_export(args.weir, server, folder, flows)
            check_follow(args.weir, server, flows)
        finally:
            server.end()
    print(f"{len(flows)} flows, {len(dns)} lookups: {len(FAILURES)} failures")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
