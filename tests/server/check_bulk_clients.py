#!/usr/bin/env python3
"""Real clients through /_bulk: the official Elasticsearch and OpenSearch clients (npm) with their bulk helpers, and rsyslog
(imfile, omelasticsearch) that tails a node's rotated log.

usage: check_bulk_clients.py --weir BINARY [--client NAME]...
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import servers  # noqa: E402

SKIP = 77


def missing(what: str) -> None:
    """Skips where the program is not there; fails in CI."""
    print(f"{what} is missing")
    sys.exit(1 if os.environ.get("WEIR_CI") == "1" else SKIP)


def node_modules() -> str:
    """The pinned clients, in a cache of the user's."""
    if not shutil.which("npm") or not shutil.which("node"):
        missing("npm")
    with open(HERE + "/clients/package.json", encoding="utf-8") as file:
        pins = json.load(file)["dependencies"]
    name = "-".join(f"{k.split('/')[-1]}@{v}" for k, v in sorted(pins.items()))
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "weir", "bulk-clients", name)
    if not os.path.exists(cache + "/complete"):
        os.makedirs(cache, exist_ok=True)
        shutil.copy(HERE + "/clients/package.json", cache)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev"], cwd=cache, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            print(done.stderr[-500:])
            missing("the npm registry, or a client in it,")
        with open(cache + "/complete", "w", encoding="ascii"):
            pass
    return cache


def helper(cache: str, kind: str, server, index: str, count: int, offset: int, *more: str) -> dict:
    shutil.copy(HERE + "/clients/bulk.js", cache + "/bulk.js")
    done = subprocess.run(["node", "bulk.js", kind, server.url, index, str(count), str(offset), *more], cwd=cache, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{kind}: {done.stderr}"
    return json.loads(done.stdout)


def numbers(server, host: str) -> list:
    return sorted(r["num_flows"] for r in server.rows() if r["host"] == host)


def check_official(server, kind: str) -> str:
    """Every good document is stored once, bad ones are told of one by one; with ids, all of it again stores nothing."""
    cache = node_modules()
    index = "tigera_secure_ee_flows.cluster.20260101"
    said = helper(cache, kind, server, index, 1000, 1)
    assert (said["total"], said["successful"], said["failed"]) == (1000, 980, 20), said
    assert {(d["status"], d["type"]) for d in said["dropped"]} == {(400, "mapper_parsing_exception")}, said["dropped"][:2]
    want = [n for n in range(1, 1001) if n % 50 != 0]
    assert numbers(server, kind) == want
    said = helper(cache, kind, server, index, 200, 100_001, "with-ids")
    assert said["successful"] == 196, said
    again = helper(cache, kind, server, index, 200, 100_001, "with-ids")
    assert again["successful"] == 0 and {d["status"] for d in again["dropped"]} == {400, 409}, again
    assert numbers(server, kind) == want + [100_000 + n for n in range(1, 201) if n % 50 != 0]
    return f"{kind}: 1000 documents, 20 of them bad, and 200 twice"


CONFIGURATION = """
global(workDirectory="{folder}/rsyslog")
module(load="imfile" mode="inotify")
module(load="omelasticsearch")
template(name="line" type="string" string="%msg%")
input(type="imfile" file="{folder}/logs/flows.log" tag="flows" ruleset="ship" reopenOnTruncate="on" readTimeout="0")
ruleset(name="ship" queue.type="linkedList" queue.size="100000") {{
  action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" searchIndex="flows" searchType="" bulkmode="on"
         template="line" errorFile="{folder}/rsyslog/errors" action.resumeRetryCount="-1" action.resumeInterval="1")
}}
"""


def check_rsyslog(server, folder: str) -> str:
    """It tails a log that is rotated; a line that is no record is refused alone."""
    program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
    if not os.path.exists(program) or not os.path.exists("/usr/lib/x86_64-linux-gnu/rsyslog/omelasticsearch.so"):
        missing("rsyslog with omelasticsearch")
    logs = folder + "/logs"
    os.makedirs(logs)
    os.makedirs(folder + "/rsyslog")
    with open(folder + "/rsyslog.conf", "w", encoding="utf-8") as file:
        file.write(CONFIGURATION.format(folder=folder, port=server.url.rsplit(":", 1)[1]))
    now = int(time.time())

    def write(first: int, last: int) -> None:
        with open(logs + "/flows.log", "a", encoding="utf-8") as file:
            for number in range(first, last):
                file.write(json.dumps(servers.flow(number, now, host="rsyslog")) + "\n")

    write(1, 500)
    process = subprocess.Popen([program, "-n", "-i", folder + "/rsyslog/pid", "-f", folder + "/rsyslog.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        have = lambda count: servers.eventually(lambda: len(numbers(server, "rsyslog")) >= count)  # noqa: E731
        assert have(499), f"{len(numbers(server, 'rsyslog'))} of 499 came"
        with open(logs + "/flows.log", "a", encoding="utf-8") as file:
            file.write('{"start_time":"no time"}\n')
        write(500, 600)
        assert have(599), "after a bad line"
        os.rename(logs + "/flows.log", logs + "/flows.log.1")
        write(600, 800)
        assert have(799), f"after a rotation: {len(numbers(server, 'rsyslog'))} of 799"
        server.kill()
        write(800, 1000)
        time.sleep(1)
        server.start()
        assert have(999), f"after the server was away: {len(numbers(server, 'rsyslog'))} of 999"
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()
    # At least once is what it promises; what came while the server died may have come twice.
    assert sorted(set(numbers(server, "rsyslog"))) == list(range(1, 1000))
    with open(folder + "/rsyslog/errors", encoding="utf-8") as file:
        assert "no time" in file.read(), "the bad line is told of"
    return "rsyslog: 999 lines of a rotated log, a bad one, and a server that is away"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--client", action="append", choices=("elasticsearch", "opensearch", "rsyslog"))
    args = parser.parse_args()
    with servers.folder() as folder, servers.server(args.weir, folder) as server:
        for client in args.client or ("elasticsearch", "opensearch", "rsyslog"):
            print(check_rsyslog(server, folder) if client == "rsyslog" else check_official(server, client))
    return 0


if __name__ == "__main__":
    sys.exit(main())
