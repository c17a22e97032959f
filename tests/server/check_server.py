#!/usr/bin/env python3
"""The API of a running server: own ingest and its duplicates, questions, pages, the live stream and its resumption,
OpenAPI against what really answers, TLS and tokens, bad requests.

usage: check_server.py --weir BINARY
"""
import argparse
import gzip
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers  # noqa: E402

NOW = int(time.time())


def lines(*records) -> bytes:
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records)


def post(server, body: bytes, log: str = "flows", **headers) -> tuple[int, dict]:
    status, _, answer = server.call("POST", f"/api/v1/ingest/{log}", body, Content_Type="application/x-ndjson", **headers)
    return status, json.loads(answer)


def span(begin: int, body: bytes) -> dict:
    return {"Weir_Agent": "node-1", "Weir_Stream": "flows-1", "Weir_Range": f"{begin}-{begin + len(body)}"}


def check_ingest(server) -> None:
    """Bad lines one by one; compressed bodies; what comes twice, in whole or in part; what lines were left out of."""
    first = lines(*(servers.flow(n, NOW) for n in range(1, 4)), b"not JSON")
    status, answer = post(server, first, **span(0, first))
    assert (status, answer["rows"], answer["refused_lines"]) == (200, 3, 1), answer
    assert answer["refused"][0]["line"] == 4 and answer["refused"][0]["reason"], answer
    status, answer = post(server, first, **span(0, first))
    assert (status, answer["rows"]) == (200, 0), answer
    both = first + lines(servers.flow(4, NOW))
    status, answer = post(server, gzip.compress(both), Content_Encoding="gzip", **span(0, both))
    assert (status, answer["rows"]) == (200, 1), answer
    longer = both + lines(servers.flow(5, NOW), servers.flow(6, NOW))
    chosen = lines(servers.flow(6, NOW))
    status, answer = post(server, chosen, **span(0, longer))
    assert status == 409 and answer["stored_until"] == len(both), answer
    rest = {**span(0, longer), "Weir_Range": f"{len(both)}-{len(longer)}"}
    status, answer = post(server, chosen, **rest)
    assert (status, answer["rows"]) == (200, 1), answer
    rows = server.rows()
    assert sorted(r["num_flows"] for r in rows) == [1, 2, 3, 4, 6], rows
    assert {r["host"] for r in rows} == {"node-1"}, rows[0]
    for status, body, headers in (
        (404, b"{}\n", {"log": "flow"}), (415, b"{}\n", {"Content_Encoding": "br"}), (400, b"{}\n", {"Content_Encoding": "gzip"}),
        (400, b"{}\n", {"Weir_Agent": "x"}), (400, b"{}\n", {"Weir_Agent": "x", "Weir_Stream": "y", "Weir_Range": "5-5"}),
    ):
        got, answer = post(server, body, headers.pop("log", "flows"), **headers)
        assert got == status == answer["status"], (headers, answer)


def check_questions(server) -> None:
    post(server, lines(*({"start_time": NOW - 15, "end_time": NOW, "type": "LOG", "count": 1, "qname": f"n{i}.example", "host": "n"} for i in range(5))), "dns")
    page, seen = server.json("/api/v1/flows?limit=2&dedupe=false"), []
    while True:
        seen += [r["num_flows"] for r in page["items"]]
        if page["cursor"] is None:
            break
        page = server.json(f"/api/v1/flows?limit=2&dedupe=false&cursor={page['cursor']}")
    assert sorted(seen) == [1, 2, 3, 4, 6], seen
    stats = server.json("/api/v1/stats?group_by=dest_namespace&metrics=count,sum(bytes)")
    assert stats["items"] == [{"dest_namespace": "shop", "count": 5, "sum(bytes)": 1500}], stats
    series = server.json(f"/api/v1/series?metrics=count&interval=1m&from={NOW - 600}")
    assert sum(i["count"] for i in series["items"]) == 5, series
    graph = server.json("/api/v1/graph?level=port")
    assert sum(e["flows_allowed"] for e in graph["edges"]) == 16 and graph["edges"][0]["port"] == 80, graph
    assert server.json("/api/v1/values/ns?prefix=sh")["items"] == [{"value": "shop", "count": 10}]  # of both ends
    assert len(server.json("/api/v1/dns")["items"]) == 5
    assert server.json("/api/v1/stats?log=dns&metrics=count")["items"] == [{"count": 5}]
    told = subprocess.run([server.weir, "status", "--server", server.url], capture_output=True, text=True, timeout=30)
    assert told.returncode == 0 and re.search(r"^flows +5 ", told.stdout, re.MULTILINE), told
    status = server.json("/api/v1/status")
    assert status["logs"]["flows"]["rows_appended"] == 5 and status["logs"]["dns"]["hot_rows"] == 5, status
    metrics = server.get("/metrics")[2].decode()
    assert 'weir_server_rows_total{log="flows"} 5' in metrics, metrics
    assert server.get("/healthz")[2] == b"ok\n" and server.get("/readyz")[0] == 200
    for path in ("flows?filter=nope%20%3D%201", "flows?from=yesterday", "flows?limit=0", "flows?form=1", "stats?group_by=nope",
                 "graph?level=pod", "values/nope", "flows?cursor=rubbish", "flows?from=5&to=5", "nolog", "flows/stream?last_event_id=x"):
        code, headers, body = server.get("/api/v1/" + path)
        problem = json.loads(body)
        assert code == 400 == problem["status"] and problem["detail"], (path, code, problem)
        assert headers["Content-Type"] == "application/problem+json", (path, headers)
    assert server.get("/api/v2/x/y")[0] == 404 and server.call("DELETE", "/api/v1/flows", None)[0] == 405


class Events:
    """A live stream: events as (id, name, data)."""

    def __init__(self, server, query: str = "", **headers) -> None:
        self.connection = http.client.HTTPConnection(server.listen, timeout=30)
        self.connection.request("GET", "/api/v1/flows/stream" + query, headers={k.replace("_", "-"): v for k, v in headers.items()})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200 and self.answer.headers["Content-Type"] == "text/event-stream"

    def next(self) -> tuple[str, str, dict]:
        fields: dict[str, str] = {}
        while True:
            line = self.answer.readline().decode()
            assert line, "the stream ended"
            if line == "\n":
                if "data" in fields:
                    return fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
                fields = {}
                continue
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value

    def close(self) -> None:
        self.connection.close()


def check_stream(server) -> None:
    live = Events(server, "?filter=dest_port%20%3D%2081")
    begin = time.monotonic()
    post(server, lines(servers.flow(10, NOW), servers.flow(11, NOW, dest_port=81), servers.flow(12, NOW, dest_port=81)))
    first, second = live.next(), live.next()
    assert [e[2]["num_flows"] for e in (first, second)] == [11, 12], (first, second)
    assert time.monotonic() - begin < 5, "events come late"
    live.close()
    post(server, lines(servers.flow(13, NOW, dest_port=81)))
    again = Events(server, "?filter=dest_port%20%3D%2081", Last_Event_ID=first[0])
    assert [again.next()[2]["num_flows"] for _ in range(2)] == [12, 13]
    again.close()
    with_past = Events(server, "?from=now-5m&filter=dest_port%20%3D%2081")
    assert sorted(with_past.next()[2]["num_flows"] for _ in range(3)) == [11, 12, 13]
    post(server, lines(servers.flow(14, NOW, dest_port=81)))
    assert with_past.next()[2]["num_flows"] == 14
    with_past.close()
    return first[0]


def check_openapi(server) -> None:
    """Each path and method answers with what the document says; each parameter it names is taken, others are not."""
    document = server.json("/api/v1/openapi.json")
    assert document["openapi"].startswith("3.1"), document
    examples = {"from": "-1h", "to": "now", "filter": "ns%20%3D%20shop", "dedupe": "false", "columns": "start_time", "order": "start_time",
                "limit": "3", "cursor": "", "log": "flows", "group_by": "dest_namespace", "metrics": "count", "interval": "1m",
                "level": "port", "prefix": "s", "last_event_id": "1"}
    tried = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"] and "default" in operation["responses"], path
            names = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
            in_path = {"log": "dns", "field": "ns", "index": "flows", "name": "x", "type": "doc"}
            real = path
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    real = real.replace("{" + parameter["name"] + "}", in_path[parameter["name"]])
            if path.endswith("/stream") or method != "get":
                continue
            kinds = operation["responses"]["200"]["content"]
            query = "&".join(f"{name}={examples[name]}" for name in names if not (name == "order" and "metrics" in names))
            code, headers, body = server.get(real + ("?" + query if query else ""))
            assert code == 200, (real, query, code, body[:300])
            assert headers["Content-Type"].split(";")[0] in kinds, (real, headers["Content-Type"], kinds)
            if path.startswith("/api/") and "{" not in path:
                assert server.get(real + "?no_such_parameter=1")[0] == 400, real
            tried += 1
    assert tried > 15, tried


def check_exposed(weir: str, path: str) -> None:
    """Off loopback, only with TLS and tokens; then each token may do what its role says."""
    plain = subprocess.run([weir, "server", "--data", path + "/x", "--listen", "0.0.0.0:0"], capture_output=True, text=True, timeout=30)
    assert plain.returncode == 2 and "is not loopback" in plain.stderr, plain
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path + "/key.pem", "-out",
                    path + "/cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    with open(path + "/tokens", "w", encoding="ascii") as file:
        file.write("reader-0123456789 read\nsender-0123456789 ingest\n")
    os.chmod(path + "/tokens", 0o600)
    options = ("--token-file", path + "/tokens", "--tls-certificate", path + "/cert.pem", "--tls-key", path + "/key.pem")
    exposed = servers.Server(weir, path + "/exposed", *options)
    os.makedirs(path + "/exposed")
    exposed.listen = "0.0.0.0:0"
    exposed.start()
    try:
        exposed.url = exposed.url.replace("0.0.0.0", "127.0.0.1")
        exposed.tls = ssl.create_default_context(cafile=path + "/cert.pem")
        assert exposed.get("/healthz")[0] == 200
        assert exposed.get("/api/v1/flows")[0] == 401
        assert exposed.get("/api/v1/flows", Authorization="Bearer sender-0123456789")[0] == 403
        assert exposed.get("/api/v1/flows", Authorization="Bearer reader-0123456789")[0] == 200
        assert exposed.call("POST", "/api/v1/ingest/flows", b"", Authorization="Bearer reader-0123456789")[0] == 403
        os.makedirs(path + "/logs")
        with open(path + "/logs/flows.log", "wb") as file:
            file.write(lines(servers.flow(1, NOW)))
        with open(path + "/token", "w", encoding="ascii") as file:
            file.write("sender-0123456789\n")
        done = subprocess.run([weir, "ship", "--once", "--node", "n", "--log-dir", path + "/logs", "--state-dir", path + "/state", "--to",
                               f"weir url={exposed.url} token_file={path}/token ca_file={path}/cert.pem"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        body = exposed.get("/api/v1/flows", Authorization="Bearer reader-0123456789")[2]
        assert [r["num_flows"] for r in json.loads(body)["items"]] == [1], body
    finally:
        assert exposed.end() == 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    weir = parser.parse_args().weir
    with servers.folder() as path:
        with servers.server(weir, path) as server:
            check_ingest(server)
            check_questions(server)
            last = check_stream(server)
            check_openapi(server)
            server.kill()
            server.start()
            resumed = Events(server, "?filter=dest_port%20%3D%2081", Last_Event_ID=last)
            assert resumed.next()[2]["num_flows"] == 12, "a stream goes on across a restart"
            resumed.close()
            assert len(server.rows()) == 10, server.rows()
        check_exposed(weir, path)
    print("ingest, questions, stream, OpenAPI, TLS and tokens: as documented")
    return 0


if __name__ == "__main__":
    sys.exit(main())
