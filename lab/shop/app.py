"""A backend of the shop: answers GET by first calling what it depends on.

usage: app.py PORT TIMEOUT_SECONDS [http://HOST/PATH | https://HOST/PATH | redis://HOST:PORT]...
"""

import http.server
import json
import socket
import ssl
import sys
import urllib.parse
import urllib.request

TIMEOUT_S = float(sys.argv[2])
TRUST_ANY = ssl._create_unverified_context()  # the partner of the lab has a certificate of its own making


def call(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "redis":
        with socket.create_connection((parts.hostname, parts.port), TIMEOUT_S) as connection:
            connection.sendall(b"*2\r\n$4\r\nINCR\r\n$5\r\ncarts\r\n")
            return connection.recv(4096).decode().strip()
    with urllib.request.urlopen(
        url, timeout=TIMEOUT_S, context=TRUST_ANY if parts.scheme == "https" else None
    ) as reply:
        return f"{reply.status}, {len(reply.read())} bytes"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        results = {}
        for url in sys.argv[3:]:
            try:
                results[url] = call(url)
            except OSError as error:
                results[url] = f"failed: {error}"
        body = json.dumps(results, indent=1).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
