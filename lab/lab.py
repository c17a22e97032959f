#!/usr/bin/python3
"""A small Kubernetes cluster out of network namespaces: two nodes, a shop's pods, the world outside.

usage: lab/lab.py up [--name N] [--state DIR] [--manifests FILE] [--rate R]   until SIGTERM, SIGINT or `down`
       lab/lab.py run --state DIR --connections N [--concurrency C] [--seed S] [--mix KIND=WEIGHT,...]
       lab/lab.py fault --state DIR kill-pod POD | replace-pod POD [NAME] | apply FILE | delete FILE |
                                        break-dns | drop-acks SRC DST | heal
       lab/lab.py truth --state DIR [--out FILE]     every connection so far, with what policy says of it
       lab/lab.py down --state DIR                   also what a crashed lab left
       lab/lab.py record [--manifests FILE] [--out FILE]    records the demo capture of testdata/shop

Needs root and the Debian packages that ./dev lists as lab_packages. Touches only namespaces of its own.
"""

import argparse
import os
import re
import signal
import sys

import record

LAB = os.path.dirname(os.path.abspath(__file__))


def up(options: argparse.Namespace) -> None:
    import live
    import state

    if not re.fullmatch(r"[A-Za-z0-9_]{1,32}", options.name):
        raise RuntimeError(f"--name {options.name}: letters, digits and _ only")
    options.state = os.path.abspath(options.state or f"/tmp/weirlab-{options.name}")
    if os.path.exists(os.path.join(options.state, state.FILE)):
        if state.is_running(state.read(options.state)):
            raise RuntimeError(f"{options.state}: a lab runs there; end it with `down`")
        state.down(options.state)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))  # leave through the clean-up below
    lab = live.Lab(options)
    try:
        lab.up()
        live.serve(lab)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        lab.close()


def down(options: argparse.Namespace) -> None:
    import state

    state.down(os.path.abspath(options.state))


def fault(options: argparse.Namespace) -> None:
    import state

    words = options.words
    if words[:1] in (["apply"], ["delete"]):
        words = [words[0], *(os.path.abspath(word) for word in words[1:])]
    print(state.ask(os.path.abspath(options.state), {"fault": words})["result"])


def run(options: argparse.Namespace) -> None:
    import script

    script.run(os.path.abspath(options.state), options)


def truth(options: argparse.Namespace) -> None:
    import state
    import truth as ground

    directory = os.path.abspath(options.state)
    state.read(directory)
    print(ground.write(directory, options.out or os.path.join(directory, state.CONNECTIONS)))


def parse(words: list) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("up", help="build a lab and keep it running")
    one.add_argument("--name", default=str(os.getpid()))
    one.add_argument("--state", help="where its files are (default /tmp/weirlab-NAME)")
    one.add_argument(
        "--manifests", default=os.path.normpath(os.path.join(LAB, "..", "testdata", "lab", "manifests.yaml"))
    )
    one.add_argument("--rate", type=float, default=2, help="customers' requests a second; 0: no traffic of its own")
    one.add_argument("--on-the-wire", action="store_true", help="whole checksums and no segments above the MTU")
    one.add_argument("--mirror", action="store_true", help="nodes copy what they forward to their device mirror0")
    one.add_argument("--no-masquerade", action="store_true", help="pods keep their address when they leave the cluster")
    one.add_argument(
        "--time-wait",
        type=int,
        help="seconds that the nodes' connection tracker keeps a closed connection: less "
        "than the kernel's 120 for runs of many thousands a second, whose table would be full",
    )
    one.add_argument(
        "--keep-files", action="store_true", help="leave manifests, ground truth and logs behind at the end"
    )
    one.set_defaults(run=up)
    recorder = commands.add_parser(
        "record", help="record the demo capture: a shop on one node, some seconds of its life"
    )
    record.add_options(recorder)
    recorder.set_defaults(run=record.main)
    for name, verb, text in (
        ("down", down, "end a lab and remove what it made"),
        ("fault", fault, "break or change something"),
        ("run", run, "a bounded script of connections, all of them recorded"),
        ("truth", truth, "join what both sides recorded"),
    ):
        other = commands.add_parser(name, help=text)
        other.add_argument("--state", required=True)
        other.set_defaults(run=verb)
        if name == "fault":
            other.add_argument("words", nargs="+", metavar="WORD")
        elif name == "truth":
            other.add_argument("--out")
        elif name == "run":
            other.add_argument("--connections", type=int, default=200)
            other.add_argument("--concurrency", type=int, default=10)
            other.add_argument("--seed", type=int, default=1)
            other.add_argument("--mix", default="", help="weights, as http=10,denied_egress=2; others keep theirs")
            other.add_argument("--out", help="joined ground truth (default connections.ndjson in the state directory)")
    return parser.parse_args(words)


def main() -> int:
    options = parse(sys.argv[1:])
    if os.geteuid() != 0:
        print("lab/lab.py: needs root, for network namespaces", file=sys.stderr)
        return 1
    try:
        options.run(options)
    except (RuntimeError, OSError) as error:
        print(f"lab/lab.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
