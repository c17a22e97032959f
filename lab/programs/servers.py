"""Servers of the lab's pods. They too write to the ground truth: so it is known who really served."""

import asyncio
import json
import re
import struct
import time
import urllib.parse

import clients


class Session:
    """An accepted connection whose payload is counted."""

    def __init__(self, server: "Servers", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.id, self.start = "", time.time_ns()
        self.received = self.sent = 0

    async def read_until(self, end: bytes) -> bytes:
        data = await self.reader.readuntil(end)
        self.received += len(data)
        return data

    async def read(self, size: int) -> bytes:
        data = await self.reader.readexactly(size)
        self.received += len(data)
        return data

    async def write(self, data: bytes) -> None:
        self.sent += len(data)
        self.writer.write(data)
        await self.writer.drain()

    async def finish(self) -> None:
        """Closes after the client has read everything, and writes the record."""
        peer, local = self.writer.get_extra_info("peername"), self.writer.get_extra_info("sockname")
        try:
            self.writer.close()
            await self.writer.wait_closed()
        except OSError:
            pass
        self.server.log(self.id, "tcp", peer, local, self.start, self.received, self.sent)


class Servers:
    def __init__(self, client: clients.Client, routes: dict) -> None:
        """`routes`: path -> URLs that are called before the answer."""
        self.client, self.routes = client, routes
        self.open = 0

    def log(
        self, identity: str, protocol: str, peer: tuple, local: tuple, start: int, received: int, sent: int
    ) -> None:
        self.client.truth.write(
            {
                "kind": "server",
                "id": identity,
                "pod": self.client.name,
                "protocol": protocol,
                "peer_ip": peer[0],
                "peer_port": peer[1],
                "local_ip": local[0],
                "local_port": local[1],
                "start": start,
                "end": time.time_ns(),
                "bytes_received": received,
                "bytes_sent": sent,
            }
        )

    async def listen(self, kind: str, port: int, address: str) -> None:
        if kind in ("echo", "sink"):
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(lambda: Datagrams(self, kind == "echo"), (address, port))
        else:
            handler = {"http": self._http, "postgres": self._postgres}[kind]
            await asyncio.start_server(lambda r, w: self._serve(handler, r, w), address, port, backlog=512)

    async def _serve(self, handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        self.open += 1
        try:
            await handler(session)
        except (asyncio.IncompleteReadError, OSError, asyncio.LimitOverrunError):
            pass  # the client went away
        finally:
            self.open -= 1
            await session.finish()

    async def _http(self, session: Session) -> None:
        head = (await session.read_until(b"\r\n\r\n")).decode("latin-1")
        target = urllib.parse.urlsplit(head.split(" ", 2)[1])
        headers = dict(re.findall(r"^([\w-]+): *(.*)\r$", head.lower(), re.M))
        session.id = headers.get("x-lab-id", "")
        if size := int(headers.get("content-length", 0)):
            await session.read(size)
        query = {key: int(values[0]) for key, values in urllib.parse.parse_qs(target.query).items()}
        if target.path == "/bytes":
            await session.write(_http_head(query["n"]) + b"x" * query["n"])
        elif target.path == "/slow":
            await self._slow(session, query["ms"], query["n"], query.get("chunks", 10))
        else:
            status, body = await self._answer(target.path)
            await session.write(_http_head(len(body), status) + body)

    async def _slow(self, session: Session, milliseconds: int, size: int, chunks: int) -> None:
        await session.write(_http_head(size * chunks))
        for _ in range(chunks):
            await asyncio.sleep(milliseconds / chunks / 1000)
            await session.write(b"x" * size)

    async def _answer(self, path: str) -> tuple:
        if path == "/metrics":
            return 200, f"# TYPE open gauge\nopen {self.open}\n".encode()
        results, failed = {}, False
        for url in self.routes.get(path, []):
            try:
                results[url] = await call(self.client, url)
            except clients.Failed as error:
                results[url], failed = str(error), True
        return 502 if failed else 200, json.dumps({"pod": self.client.name, "calls": results}).encode() + b"\n"

    async def _postgres(self, session: Session) -> None:
        """Enough of PostgreSQL's protocol, version 3, for clients that start without a password and ask simply."""
        size = struct.unpack(">I", await session.read(4))[0]
        words = (await session.read(size - 4))[4:].split(b"\0")
        settings = dict(zip(words[::2], words[1::2]))
        session.id = settings.get(b"application_name", b"").decode()
        ready = _message(b"Z", b"I")
        status = _message(b"S", b"server_version\x0015.0\0") + _message(b"S", b"client_encoding\0UTF8\0")
        await session.write(_message(b"R", struct.pack(">I", 0)) + status + ready)
        while True:
            kind = await session.read(1)
            size = struct.unpack(">I", await session.read(4))[0]
            text = await session.read(size - 4)
            if kind != b"Q":
                return
            limit = re.search(rb"LIMIT (\d+)", text)
            rows = int(limit[1]) if limit else 1
            column = b"name\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0)
            answer = [_message(b"T", struct.pack(">H", 1) + column)]
            for row in range(rows):
                value = f"item {row}".encode()
                answer.append(_message(b"D", struct.pack(">HI", 1, len(value)) + value))
            answer.append(_message(b"C", f"SELECT {rows}\0".encode()))
            await session.write(b"".join(answer) + ready)


async def call(client: clients.Client, url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http":
        return f"status {await clients.http(client, url)}"
    verb = {"redis": clients.redis, "postgres": clients.postgres}[parts.scheme]
    await verb(client, parts.hostname, parts.port)
    return "done"


def _http_head(size: int, status: int = 200) -> bytes:
    reason = {200: "OK", 502: "Bad Gateway"}[status]
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode()


def _message(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack(">I", len(data) + 4) + data


class Datagrams(asyncio.DatagramProtocol):
    """Sends back what it gets, or says nothing."""

    def __init__(self, server: Servers, echo: bool) -> None:
        self.server, self.echo = server, echo

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: tuple) -> None:
        identity = data.split(b" ", 1)[0].decode("latin-1")
        local = self.transport.get_extra_info("sockname")
        if self.echo:
            self.transport.sendto(data, peer)
        if data:
            self.server.log(identity, "udp", peer, local, time.time_ns(), len(data), len(data) if self.echo else 0)
