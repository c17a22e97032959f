#!/usr/bin/env python3
"""Bad input and wrong flags get one clear error and the documented exit code; what was read before is still reported.

usage: check_cli.py --weir BINARY --fixture testdata/shop
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile


def run(weir, *words, stdin=None):
    done = subprocess.run([weir, *words], input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def cases(folder, capture, manifests):
    """name, words, exit code, what the one error line holds, whether flows come out all the same."""
    good = capture.read_bytes()

    def write(name, data):
        path = folder / name
        path.write_bytes(data)
        return str(path)

    # A record that claims more bytes than there can be, behind the first 3,000 bytes of good ones.
    records, at = 0, 24
    while at < 3000:
        at += 16 + struct.unpack_from("<I", good, at + 8)[0]
        records += 1
    huge = good[:at] + struct.pack("<IIII", 0, 0, 0x7FFFFFFF, 0x7FFFFFFF) + good[at:]
    bad_yaml = write("bad.yaml", b"kind: Pod\napiVersion: v1\nmetadata: [\n")
    bad_pod = write("pod.yaml", b"apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: c, ports: [{containerPort: many}]}]}\n")
    return [
        ("no file", ["replay"], 2, "FILE", False),
        ("unknown command", ["replya"], 2, "unknown command 'replya'", False),
        ("unknown flag", ["replay", str(capture), "--levle", "2"], 2, "--levle", False),
        ("level out of range", ["replay", str(capture), "--level", "4"], 2, "'4' is not a number from 0 to 3", False),
        ("bad interval", ["replay", str(capture), "--interval", "often"], 2, "'often' is not a duration", False),
        ("unknown option", ["replay", str(capture), "--set", "colour=blue"], 2, "unknown option 'colour'", False),
        ("bad filter", ["replay", str(capture), "--exclude", "sorce_ip = 1"], 2, "sorce_ip", False),
        ("missing capture", ["replay", str(folder / "none.pcap")], 1, "none.pcap: No such file", False),
        ("a folder", ["replay", str(folder)], 1, "it is a directory", False),
        ("empty file", ["replay", write("empty.pcap", b"")], 1, "empty.pcap", False),
        ("not a capture", ["replay", write("text.pcap", b"hello, this is no capture\n" * 9)], 1, "text.pcap", False),
        ("only a header", ["replay", write("header.pcap", good[:24])], 0, "", False),
        ("truncated record", ["replay", write("cut.pcap", good[: at + 10])], 1, "cut.pcap", True),
        ("absurd length", ["replay", write("huge.pcap", huge)], 1, "huge.pcap", True),
        ("one damaged, one good", ["replay", write("cut2.pcap", good[: at + 10]), str(capture)], 1, "cut2.pcap", True),
        ("missing manifests", ["replay", str(capture), "--cluster", str(folder / "none.yaml")], 1, "none.yaml", False),
        ("malformed YAML", ["replay", str(capture), "--cluster", bad_yaml], 1, "bad.yaml", False),
        ("malformed object", ["replay", str(capture), "--cluster", bad_pod], 1, "containerPort", False),
        ("unknown node", ["replay", str(capture), "--cluster", str(manifests), "--node", "nowhere"], 1, "nowhere", False),
        ("too many ports", ["replay", str(capture), "--set", "vxlan_ports=1,2,3"], 2, "at most 2 are possible", False),
        ("full disk", ["replay", str(capture), "--flows", "/dev/full"], 1, "No space left on device", False),
        ("unwritable output", ["replay", str(capture), "--flows", str(folder / "no/such/flows.log")], 1, "No such file", False),
        ("eval without manifests", ["policy", "eval"], 2, "--cluster", False),
        ("eval of nothing", ["policy"], 2, "subcommand", False),
        ("trace without a port", ["policy", "trace", "a/b", "c/d", "--cluster", str(manifests)], 2, "wants a port", False),
        ("trace of a wrong time", ["policy", "trace", "a/b", "c/d:1", "--cluster", str(manifests), "--at", "noon"], 2, "'noon'",
         False),
        ("trace of nobody", ["policy", "trace", "a/b", "c/d:1", "--cluster", str(manifests)], 1, "no pod a/b", False),
        ("lint of a bad object", ["policy", "lint", "--cluster", bad_pod], 1, "containerPort", False),
        ("lint without manifests", ["policy", "lint"], 2, "--cluster", False),
    ]


def command_cases(folder):
    """Of the other commands: name, words, standard input, exit code, texts on standard output, text of the error line."""
    def write(name, text):
        (folder / name).write_text(text)
        return str(folder / name)

    good = write("good.yaml", "flush_interval: 15s\nsources: [ebpf, conntrack]\n")
    unknown = write("unknown.yaml", "flush_interval: 15s\nflush: 1\n")
    broken = write("broken.yaml", "flush_interval: [\n")
    filters = write("filter.yaml", "exclude:\n- sorce_ip = 1\n")
    felix = write("felix.yaml", "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\n"
                  "spec: {flowLogsFlushInterval: 15m, flowLogsFileMaxFiles: 3, bpfEnabled: true}\n")
    environment = b"FELIX_FLOWLOGSFLUSHINTERVAL=60\n"
    return [
        ("config without a command", ["config"], b"", 2, [], "subcommand"),
        ("config check: good", ["config", "check", "--config", good], b"", 0, ["ok: 2 options set"], ""),
        ("config check: defaults", ["config", "check"], b"", 0, ["ok: 0 options set"], ""),
        ("config check: unknown option", ["config", "check", "--config", unknown], b"", 1, [], "unknown.yaml:2: unknown option 'flush'"),
        ("config check: no YAML", ["config", "check", "--config", broken], b"", 1, [], "broken.yaml:2: "),
        ("config check: bad filter", ["config", "check", "--config", filters], b"", 1, [], "sorce_ip"),
        ("config check: not for an agent", ["config", "check", "--set", "flush_interval=0"], b"", 1, [], "at least 1s"),
        ("config check: three ports", ["config", "check", "--set", "vxlan_ports=1,2,3"], b"", 1, [], "vxlan_ports: 3 values, at most 2"),
        ("config check: missing file", ["config", "check", "--config", str(folder / "none.yaml")], b"", 1, [], "none.yaml: No such file"),
        ("config show", ["config", "show", "--config", good, "--set", "dns_limit=7"], b"", 0,
         [f"flush_interval: 15s  # {good}:1", "dns_limit: 7  # --set", "l7_limit: 1500  # default"], ""),
        ("import-felix: object", ["config", "import-felix", felix], b"", 0, ["log_max_files: 3  # flowLogsFileMaxFiles", "bpfEnabled"], "note: flowLogsFlushInterval: 15m"),
        ("import-felix: environment", ["config", "import-felix", "-"], environment, 0, ["flush_interval: 1m"], ""),
        ("import-felix: something else", ["config", "import-felix", "-"], b"kind: Pod\n", 1, [], "neither a FelixConfiguration"),
        ("import-felix: nothing named", ["config", "import-felix"], b"", 2, [], "FILE"),
        ("doctor: bad option", ["doctor", "--set", "sources=pcap"], b"", 2, [], "'pcap' is not one of"),
        ("status: nobody answers", ["status", "--address", "127.0.0.1:1"], b"", 1, [], "no agent answers at 127.0.0.1:1: Connection refused"),
        ("status: no address", ["status", "--address", "here"], b"", 2, [], "'here'"),
        ("demo: bad duration", ["demo", "--duration", "soon"], b"", 2, [], "'soon' is not a duration"),
        ("doctor: bad format", ["doctor", "-o", "xml"], b"", 2, [], "xml"),
    ]


def check_command(weir, case):
    name, words, stdin, want_code, want_out, want_error = case
    code, out, error = run(weir, *words, stdin=stdin)
    lines = [line for line in error.splitlines() if line]
    problems = [f"exit code {code}, expected {want_code}"] if code != want_code else []
    problems += [f"the output should hold {text!r}" for text in want_out if text not in out]
    if len(lines) != bool(want_error) or want_error not in error:
        problems.append(f"one error line with {want_error!r} is wanted" if want_error else "no error line is wanted")
    if problems:
        print(f"FAIL {name}: {'; '.join(problems)}\n    stdout: {out.strip()[:400]}\n    stderr: {error.strip()[:400]}")
    return not problems


def check_round_trip(weir, folder):
    """What `config show` writes, `config check` accepts, and shows again."""
    first = run(weir, "config", "show", "--set", "exclude=port IN {53, 80}", "--set", "node_name=a: \"b\" # c")[1]
    (folder / "shown.yaml").write_text(first)
    second = run(weir, "config", "show", "--config", str(folder / "shown.yaml"))[1]

    def values(text):
        return [line.rsplit("  # ", 1)[0] for line in text.splitlines()]

    ok = len(values(first)) > 60 and values(first) == values(second)
    if not ok:
        print("FAIL config show is not read back as it was written")
    return ok


def check_doctor(weir, folder):
    """Text and JSON tell the same; a log folder that cannot be is exit code 1."""
    code, text, _ = run(weir, "doctor", "--set", f"log_directory={folder}")
    _, json_text, _ = run(weir, "doctor", "-o", "json", "--set", f"log_directory={folder}")
    told = json.loads(json_text)
    (folder / "plain").write_text("")
    bad_code, bad_text, _ = run(weir, "doctor", "--set", f"log_directory={folder}/plain")
    problems = []
    if code != (0 if told["ok"] else 1):
        problems.append(f"exit code {code}, but ok is {told['ok']}")
    if bad_code != 1 or "is no directory" not in bad_text:
        problems.append(f"exit code {bad_code} for a log folder that is a file")
    problems += [f"{row['name']} is not in the text" for row in told["checks"] + told["sources"] if row["name"] not in text]
    if [row["name"] for row in told["sources"]] != ["ebpf", "conntrack", "afpacket", "nflog", "nat"]:
        problems.append("not all sources are told of")
    if problems:
        print(f"FAIL doctor: {'; '.join(problems)}")
    return not problems


def check(weir, case):
    name, words, want_code, want_error, want_flows = case
    code, out, error = run(weir, *words, stdin=b"")
    problems = []
    if code != want_code:
        problems.append(f"exit code {code}, expected {want_code}")
    lines = [line for line in error.splitlines() if line]
    if want_error and (not lines or want_error not in error):
        problems.append(f"the error should hold {want_error!r}")
    if want_error and len([line for line in lines if line.startswith("weir")]) != 1:
        problems.append("exactly one error line is wanted")
    flows = [json.loads(line) for line in out.splitlines()]
    if bool(flows) != want_flows:
        problems.append(f"{len(flows)} flows came out")
    if problems:
        print(f"FAIL {name}: {'; '.join(problems)}\n    stderr: {error.strip()[:400]}")
    return not problems


def check_demo(weir, fixture):
    """`weir demo --replay` shows flows, denials with their policy, DNS lookups and the size."""
    code, out, error = run(weir, "demo", "--replay", "--data", str(fixture))
    missing = [text for text in ("Flows", "Denied, and by which policy", "shop/knp.default.default-deny|deny|-1", "unanswered",
                                 "DNS lookups", "slow.example", "Timeout", "Size: ") if text not in out]
    if code != 0 or missing:
        print(f"FAIL demo: exit code {code}, without {missing}\n    stderr: {error.strip()[:400]}")
    return code == 0 and not missing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--fixture", required=True, type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [check(options.weir, case)
                   for case in cases(pathlib.Path(folder), options.fixture / "shop.pcap", options.fixture / "manifests.yaml")]
        results += [check_command(options.weir, case) for case in command_cases(pathlib.Path(folder))]
        results.append(check_round_trip(options.weir, pathlib.Path(folder)))
        results.append(check_doctor(options.weir, pathlib.Path(folder)))
    results.append(check_demo(options.weir, options.fixture))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
