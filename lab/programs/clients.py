"""Clients of the lab's pods. Each connection is written to the ground truth by the side that made it.

Source ports are bound one after the other, so that a tuple does not come back while anybody may still remember it. They start
anywhere, so that the next pod with the same address has others.
"""

import asyncio
import errno
import json
import os
import random
import socket
import struct
import time
import urllib.parse

FIRST_PORT, LAST_PORT = 10_000, 31_999  # below the ports that the kernel gives away
CHUNK = 65_536


class Truth:
    """The ground-truth file: many programs append to it, one write a line."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, record: dict) -> None:
        os.write(self.descriptor, json.dumps(record, separators=(",", ":")).encode() + b"\n")


class Failed(Exception):
    """A connection that did not work out; its outcome is in the ground truth."""


class Client:
    """What one pod (or the world outside) needs to make connections."""

    def __init__(self, name: str, addresses: list, truth: Truth, resolver: str) -> None:
        self.name, self.addresses, self.truth, self.resolver = name, addresses, truth, resolver
        self.open = 0
        self._number = 0
        self._ports: dict = {}
        self._first_port = random.randint(FIRST_PORT, LAST_PORT)

    def next_id(self) -> str:
        self._number += 1
        return f"{self.name}.{os.getpid()}.{self._number}"

    def next_port(self, protocol: str, source: str) -> int:
        port = self._ports.get((protocol, source), self._first_port - 1) + 1
        if port > LAST_PORT:
            port = FIRST_PORT
        self._ports[protocol, source] = port
        return port


class Record:
    """One connection's line in the ground truth, written when it ends."""

    def __init__(
        self, client: Client, protocol: str, dest: tuple, name: str, source: str, port: int | None = None
    ) -> None:
        self.client, self.outcome = client, "timeout"
        self.sent = self.received = 0
        self.source = source or client.addresses[0]
        self.port = client.next_port(protocol, self.source) if port is None else port
        self.fields = {
            "kind": "client",
            "id": client.next_id(),
            "pod": client.name,
            "protocol": protocol,
            "src_ip": self.source,
            "src_port": self.port,
            "dst_ip": dest[0],
            "dst_port": dest[1],
            "dst_name": name,
            "start": 0,
            "pid": os.getpid(),
            "process": "python3",
        }

    def __enter__(self) -> "Record":
        self.client.open += 1
        self.fields["start"] = time.time_ns()
        return self

    def __exit__(self, kind, error, _) -> bool:
        self.client.open -= 1
        if isinstance(error, OSError):
            self.outcome = self._outcome_of(error)
        self.client.truth.write(
            {
                **self.fields,
                "end": time.time_ns(),
                "bytes_sent": self.sent,
                "bytes_received": self.received,
                "outcome": self.outcome,
            }
        )
        if isinstance(error, OSError):
            raise Failed(f"{self.fields['dst_ip']}:{self.fields['dst_port']}: {self.outcome}") from error
        return False

    def _outcome_of(self, error: OSError) -> str:
        if error.errno == errno.ECONNREFUSED:
            return "refused"
        if self.outcome == "established":
            return "reset" if error.errno in (errno.ECONNRESET, errno.EPIPE) else "stalled"
        return "unreachable" if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH) else "timeout"


class Stream:
    """A TCP connection whose payload is counted. Use with `async with`."""

    def __init__(self, client: Client, dest: tuple, name: str = "", source: str = "", timeout: float = 3) -> None:
        self.record, self.dest, self.timeout = Record(client, "tcp", dest, name, source), dest, timeout

    async def __aenter__(self) -> "Stream":
        self.record.__enter__()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((self.record.source, self.record.port))
            connect = asyncio.get_running_loop().sock_connect(self.socket, self.dest)
            await asyncio.wait_for(connect, self.timeout)
            self.record.outcome = "established"
        except BaseException as error:
            self.socket.close()
            self.record.__exit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, kind, error, trace) -> bool:
        self.socket.close()
        return self.record.__exit__(kind, error, trace)

    @property
    def id(self) -> str:
        return self.record.fields["id"]

    async def send(self, data: bytes) -> None:
        loop, view = asyncio.get_running_loop(), memoryview(data)
        for at in range(0, len(data), CHUNK):
            await asyncio.wait_for(loop.sock_sendall(self.socket, view[at : at + CHUNK]), 20)
            self.record.sent += len(view[at : at + CHUNK])

    async def receive(self) -> bytes:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, CHUNK), 20)
        self.record.received += len(data)
        return data

    async def receive_until_closed(self) -> bytes:
        parts = []
        while data := await self.receive():
            parts.append(data)
        return b"".join(parts)


async def resolve(client: Client, name: str, timeout: float = 2) -> str:
    """The name's address: asks the cluster's DNS once."""
    try:
        socket.inet_aton(name)
        return name
    except OSError:
        pass
    number = os.getpid() * 31 + client._number & 0xFFFF
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
    query = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question
    answer = await datagram(client, (client.resolver, 53), query, "", timeout, lookup=name)
    count, at = struct.unpack_from(">H", answer, 6)[0], 12 + len(question)
    for _ in range(count):
        # The server repeats the question's name as a pointer of two bytes.
        kind, _, _, size = struct.unpack_from(">HHIH", answer, at + 2)
        if kind == 1:
            return socket.inet_ntoa(answer[at + 12 : at + 16])
        at += 12 + size
    raise Failed(f"{name}: no such name")


async def datagram(
    client: Client,
    dest: tuple,
    data: bytes | None,
    source: str = "",
    timeout: float = 1,
    name: str = "",
    lookup: str = "",
) -> bytes:
    """Sends one datagram and waits for the answer. Without data, sends the connection's own id."""
    record = Record(client, "udp", dest, name, source)
    record.fields["lookup"] = lookup
    if data is None:
        data = record.fields["id"].encode().ljust(64)
    with record, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.setblocking(False)
        endpoint.bind((record.source, record.port))
        endpoint.connect(dest)
        endpoint.send(data)
        record.sent = len(data)
        answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(endpoint, CHUNK), timeout)
        record.received, record.outcome = len(answer), "established"
        return answer


async def ping(client: Client, dest: str, source: str = "", timeout: float = 1) -> None:
    """One ICMP echo. Its identifier stands for a source port."""
    own = source or client.addresses[0]
    # Two that ping each other have odd and even identifiers: else both would be one conversation.
    number = client.next_port("icmp", own) * 2 + (own < dest)
    record = Record(client, "icmp", (dest, 8 << 8), "", source, number)
    payload = record.fields["id"].encode().ljust(56)[:56]
    with record, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as endpoint:
        endpoint.setblocking(False)
        endpoint.bind((record.source, 0))
        head = struct.pack(">BBHHH", 8, 0, 0, number, 1)
        checksum = _checksum(head + payload)
        endpoint.sendto(struct.pack(">BBHHH", 8, 0, checksum, number, 1) + payload, (dest, 0))
        record.sent = len(payload)
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(endpoint, CHUNK), max(left, 0))
            if (
                answer[20] == 0
                and answer[24:26] == struct.pack(">H", number)
                and socket.inet_ntoa(answer[12:16]) == dest
            ):
                record.received, record.outcome = len(answer) - 28, "established"
                return


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


async def http(
    client: Client,
    url: str,
    source: str = "",
    timeout: float = 3,
    upload: int = 0,
    headers: tuple = (),
    host: str = "",
) -> int:
    """GET, or POST of `upload` bytes. Returns the status."""
    parts = urllib.parse.urlsplit(url)
    address = await resolve(client, parts.hostname)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    async with Stream(client, (address, parts.port or 80), parts.hostname, source, timeout) as stream:
        lines = [f"{'POST' if upload else 'GET'} {path} HTTP/1.1", f"Host: {host or parts.netloc}", *headers]
        lines += [f"X-Lab-Id: {stream.id}", "User-Agent: lab", "Connection: close"]
        if upload:
            lines.append(f"Content-Length: {upload}")
        await stream.send("\r\n".join([*lines, "", ""]).encode() + b"x" * upload)
        answer = await stream.receive_until_closed()
    if not answer.startswith(b"HTTP/1."):
        raise Failed(f"{url}: no HTTP answer")
    return int(answer.split(b" ", 2)[1])


async def curl(client: Client, url: str, timeout: float = 3) -> int:
    """The same by the real program, which tells what it did. Returns curl's exit code."""
    parts = urllib.parse.urlsplit(url)
    address, port = await resolve(client, parts.hostname), parts.port or 80
    record = Record(client, "tcp", (address, port), parts.hostname, "")
    with record:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-s", "-o", os.devnull, "--max-time", str(timeout), "--local-port", str(record.port)),
            *("--resolve", f"{parts.hostname}:{port}:{address}", "-H", f"X-Lab-Id: {record.fields['id']}"),
            *("-w", "%{size_request} %{size_upload} %{size_header} %{size_download}", url),
            stdout=asyncio.subprocess.PIPE,
        )
        record.fields.update(process="curl", pid=process.pid)
        told = (await process.communicate())[0].split()
        if process.returncode == 7:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        if process.returncode == 0:
            request, upload, head, body = (int(word) for word in told)
            record.sent, record.received, record.outcome = request + upload, head + body, "established"
    return process.returncode


async def tcp(client: Client, host: str, port: int, source: str = "", timeout: float = 1) -> None:
    """Connects and closes: what a scanner does."""
    async with Stream(client, (await resolve(client, host), port), host, source, timeout):
        pass


async def redis(client: Client, host: str, port: int, requests: int = 1, pause: float = 0, timeout: float = 3) -> None:
    async with Stream(client, (await resolve(client, host), port), host, "", timeout) as stream:
        for _ in range(requests):
            await stream.send(b"*2\r\n$4\r\nINCR\r\n$5\r\ncarts\r\n")
            if not (await stream.receive()).startswith(b":"):
                raise Failed("redis: unexpected answer")
            await asyncio.sleep(pause)


async def postgres(client: Client, host: str, port: int, rows: int = 3, timeout: float = 3) -> None:
    """A session of PostgreSQL's protocol, version 3: start, one simple query, end."""
    async with Stream(client, (await resolve(client, host), port), host, "", timeout) as stream:
        settings = f"user\0shop\0database\0shop\0application_name\0{stream.id}\0\0".encode()
        await stream.send(struct.pack(">II", len(settings) + 8, 196_608) + settings)
        await _until_ready(stream)
        query = f"SELECT name FROM items LIMIT {rows}".encode() + b"\0"
        await stream.send(b"Q" + struct.pack(">I", len(query) + 4) + query)
        await _until_ready(stream)
        await stream.send(b"X" + struct.pack(">I", 4))


async def _until_ready(stream: Stream) -> None:
    """Reads the server's messages up to ReadyForQuery."""
    data = b""
    while True:
        got = await stream.receive()
        if not got:
            raise ConnectionResetError(errno.ECONNRESET, "closed early")
        data += got
        while len(data) >= 5 and len(data) > (size := struct.unpack_from(">I", data, 1)[0]):
            kind, data = data[:1], data[size + 1 :]
            if kind == b"Z":
                return
