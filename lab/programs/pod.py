"""The program of a pod of the lab: serves, calls others, and does what its control socket asks for.

usage: pod.py [--listen KIND:PORT[:ADDRESS]]... [--route PATH=URL,URL...]... [--every SECONDS:VERB:ARGUMENT]...

KIND is http, postgres, echo (UDP) or sink (UDP, never answers). Verbs are the functions of VERBS below.
Environment, from the lab: LAB_POD, LAB_IP (addresses, by comma), LAB_DIR (of this pod), LAB_TRUTH, LAB_RESOLVER,
LAB_BACKGROUND (0: only what the control socket asks for), LAB_RATE (requests a second of customers).
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal

import clients
import servers

PATHS = (("/", 5), ("/catalog", 4), ("/cart", 3), ("/checkout", 2), ("/admin", 1))


async def customer(client: clients.Client, url: str) -> None:
    """A visit of one of the customers to the shop, perhaps through a company's proxy, which names them."""
    source = random.choice(client.addresses[:4])
    path = random.choices([p for p, _ in PATHS], [w for _, w in PATHS])[0]
    headers = (f"X-Forwarded-For: 192.0.2.{random.randint(130, 139)}",) if source == client.addresses[3] else ()
    await clients.http(client, url + path, source, 8, headers=headers, host="shop.example")


async def scan(client: clients.Client, targets: str) -> None:
    """One knock of the attacker, at one of the addresses and a port that may be interesting."""
    port = random.choice((22, 80, 443, 3306, 5432, 6379, 8080, 8443, 9090))
    await clients.tcp(client, random.choice(targets.split(",")), port, client.addresses[4], 0.8)


async def of_address(verb, client: clients.Client, argument: str, **options) -> None:
    host, port = argument.rsplit(":", 1)
    await verb(client, host, int(port), **options)


async def udp(client: clients.Client, argument: str, **options) -> None:
    host, port = argument.rsplit(":", 1)
    dest = (await clients.resolve(client, host), int(port))
    await clients.datagram(client, dest, None, name=host, **options)


async def statsd(client: clients.Client, argument: str, timeout: float = 0.1) -> None:
    """A measurement: nobody answers those, and that is well."""
    with contextlib.suppress(clients.Failed):
        await udp(client, argument, timeout=timeout)


VERBS = {
    "http": clients.http,
    "curl": clients.curl,
    "dns": clients.resolve,
    "ping": clients.ping,
    "tcp": lambda client, argument, **o: of_address(clients.tcp, client, argument, **o),
    "redis": lambda client, argument, **o: of_address(clients.redis, client, argument, **o),
    "postgres": lambda client, argument, **o: of_address(clients.postgres, client, argument, **o),
    "udp": udp,
    "statsd": statsd,
    "customer": customer,
    "scan": scan,
}


class Pod:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        env = os.environ
        self.client = clients.Client(
            env["LAB_POD"], env["LAB_IP"].split(","), clients.Truth(env["LAB_TRUTH"]), env["LAB_RESOLVER"]
        )
        routes = dict(route.split("=", 1) for route in options.route)
        self.servers = servers.Servers(self.client, {path: urls.split(",") for path, urls in routes.items()})
        self.background = asyncio.Event()
        self.jobs: set = set()
        if env.get("LAB_BACKGROUND", "1") != "0":
            self.background.set()

    async def run(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        for listener in self.options.listen:
            kind, port, address = (listener + ":").split(":")[:3]
            await self.servers.listen(kind, int(port), address or self.client.addresses[0])
        home = os.open(os.environ["LAB_DIR"], os.O_RDONLY)  # a socket's path must be short
        await asyncio.start_unix_server(self._control, f"/proc/self/fd/{home}/control.sock")
        loops = [asyncio.create_task(self._every(job)) for job in self.options.every]
        await stop.wait()
        for task in (*loops, *self.jobs):
            task.cancel()
        await asyncio.gather(*loops, *self.jobs, return_exceptions=True)

    async def do(self, verb: str, argument: str, options: dict) -> str:
        """Returns "done", or how it failed: which may well be what was wanted."""
        try:
            await VERBS[verb](self.client, argument, **options)
            return "done"
        except clients.Failed as error:
            return str(error)

    async def _every(self, job: str) -> None:
        period, verb, argument = job.split(":", 2)
        seconds = 1 / float(os.environ["LAB_RATE"]) if period == "rate" else float(period)
        while True:
            await asyncio.sleep(seconds * random.uniform(0.5, 1.5))
            await self.background.wait()
            task = asyncio.create_task(self.do(verb, argument, {}))
            self.jobs.add(task)
            task.add_done_callback(self.jobs.discard)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A JSON object a line: an action to do, or `background`, or `busy`. Answers come as actions end, by number."""
        tasks = set()
        while line := await reader.readline():
            request = json.loads(line)
            task = asyncio.create_task(self._reply(request, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        for task in tasks:
            task.cancel()
        writer.close()

    async def _reply(self, request: dict, writer: asyncio.StreamWriter) -> None:
        answer = {"number": request.get("number"), "result": "done"}
        if "background" in request:
            (self.background.set if request["background"] else self.background.clear)()
        elif "busy" in request:
            answer["result"] = self.client.open + self.servers.open + len(self.jobs)
        else:
            answer["result"] = await self.do(request["verb"], request["argument"], request.get("options", {}))
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", action="append", default=[])
    parser.add_argument("--route", action="append", default=[])
    parser.add_argument("--every", action="append", default=[])
    asyncio.run(Pod(parser.parse_args()).run())


main()
