"""A server under test, its log files and what it has stored."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request


class Server:
    """`weir server` on a port of the kernel's choice; its data stays when it is started again, and so does its port."""

    def __init__(self, weir: str, folder: str, *options: str) -> None:
        self.weir, self.folder, self.options = weir, folder, options
        self.listen = "127.0.0.1:0"
        self.process: subprocess.Popen | None = None
        self.notes: list[str] = []

    def start(self) -> "Server":
        words = [self.weir, "server", "--data", os.path.join(self.folder, "data"), "--listen", self.listen, *self.options]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        self.process = process
        ready = threading.Event()

        def read() -> None:
            for line in process.stderr:
                self.notes.append(line.rstrip())
                found = re.search(r"listening at (https?://\S+)", line)
                if found:
                    self.url = found[1]
                    self.listen = found[1].split("//")[1]
                    ready.set()
            ready.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        if not ready.wait(60) or process.poll() is not None:
            raise AssertionError(f"the server did not start: {self.notes[-3:]}")
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server does not end") from None

    def get(self, path: str, **headers: str) -> tuple[int, dict, bytes]:
        return self.call("GET", path, None, **headers)

    def call(self, method: str, path: str, body: bytes | None, **headers: str) -> tuple[int, dict, bytes]:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60, context=getattr(self, "tls", None)) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def json(self, path: str, **headers: str) -> dict:
        status, _, body = self.get(path, **headers)
        assert status == 200, f"{path}: {status} {body[:300]!r}"
        return json.loads(body)

    def rows(self, log: str = "flows", query: str = "") -> list[dict]:
        """All rows of a log, whenever they are from."""
        dedupe = "&dedupe=false" if log == "flows" else ""
        path = f"/api/v1/{log}?from=0&to=4000000000&limit=100000{dedupe}{query}"
        status, _, body = self.get(path, Accept="application/x-ndjson")
        assert status == 200, f"{path}: {status} {body[:300]!r}"
        return [json.loads(line) for line in body.splitlines()]


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="weir-server-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def server(weir: str, path: str, *options: str):
    made = Server(weir, path, *options).start()
    try:
        yield made
        code = made.end()
        assert code == 0, f"the server: exit code {code}, {made.notes[-3:]}"
    finally:
        if made.process.poll() is None:
            made.kill()


def flow(number: int, now: int, **fields) -> dict:
    """A record as an agent writes it, which tells its number by its flows."""
    record = {
        "start_time": now - 15, "end_time": now, "action": "allow", "reporter": "dst", "proto": "tcp",
        "source_name": "-", "source_name_aggr": f"client-{number % 7}-*", "source_namespace": "shop", "source_type": "wep",
        "dest_name": "-", "dest_name_aggr": "web-*", "dest_namespace": "shop", "dest_type": "wep", "dest_port": 80,
        "num_flows": number, "num_flows_started": 1, "num_flows_completed": 1, "bytes_in": 100, "bytes_out": 200,
        "packets_in": 1, "packets_out": 2,
    }
    return {**record, **fields}


def eventually(condition, seconds: float = 30):
    """What `condition` gives once it is true; the last of it if that does not come."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
