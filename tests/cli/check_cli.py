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
        ("full disk", ["replay", str(capture), "--flows", "/dev/full"], 1, "No space left on device", False),
        ("unwritable output", ["replay", str(capture), "--flows", str(folder / "no/such/flows.log")], 1, "No such file", False),
        ("eval without manifests", ["policy", "eval"], 2, "--cluster", False),
        ("eval of nothing", ["policy"], 2, "subcommand", False),
    ]


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
    """`weir demo` shows flows, denials with their policy, DNS lookups and the size."""
    code, out, error = run(weir, "demo", "--data", str(fixture))
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
    results.append(check_demo(options.weir, options.fixture))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
