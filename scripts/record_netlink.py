#!/usr/bin/env python3
"""Records messages of the kernel's connection tracker and policy log as seeds for their parsers.

Usage (root): unshare -n python3 scripts/record_netlink.py fuzz/corpus
Writes ctnetlink/* and nflog/*, one netlink datagram a file. All traffic stays in the namespace's loopback.
"""
import pathlib
import socket
import struct
import subprocess
import sys

NETLINK_NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP = 12, 270, 1
CTNETLINK, ULOG = 1, 4
OUT = pathlib.Path(sys.argv[1])

RULES = """
table inet t {
  chain nat { type nat hook output priority -100
    ip daddr 10.96.0.10 tcp dport 80 dnat ip to 127.0.0.1:8080
    ip6 daddr fd00::10 udp dport 53 dnat ip6 to [::1]:5353
  }
  chain out { type filter hook output priority filter
    udp dport 7001 log prefix "DPE1|knp/shop/web" group 2 drop
    udp dport 7002 log prefix "DPI|default" group 1 drop
    tcp dport 7003 log prefix "API0|knp/shop/db" group 1
    icmp type echo-request log prefix "DPI3|knp/a_l7BHlhFTEjehNcy2PDV-B7HusJsruDnW-xvVIZA3s_s-long-too" group 1
    udp dport 7004 log prefix "someone else's" group 1 drop
    ct state new counter
  }
}
"""


def sh(command):
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(kind, flags, sequence, payload):
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload


def netlink():
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    made.bind((0, 0))
    made.settimeout(1)
    return made


def drain(from_socket):
    found = []
    try:
        while True:
            found.append(from_socket.recv(1 << 18))
    except TimeoutError:
        return found


def write(folder, name, data):
    (OUT / folder).mkdir(parents=True, exist_ok=True)
    (OUT / folder / name).write_bytes(data)


def traffic():
    """UDP both ways over IPv4 and IPv6, TCP with and without DNAT, refused TCP, a ping."""
    for family, ip, port in ((socket.AF_INET, "127.0.0.1", 9001), (socket.AF_INET6, "::1", 9002)):
        server, client = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        server.bind((ip, port))
        client.bind((ip, port + 100))
        client.sendto(b"x" * 100, (ip, port))
        server.sendto(b"y" * 50, (ip, port + 100))
    server = socket.socket()
    server.bind(("127.0.0.1", 8080))
    server.listen()
    client = socket.socket()
    client.connect(("10.96.0.10", 80))
    client.sendall(b"GET")
    client.close()
    server.accept()[0].close()
    socket.socket().connect_ex(("127.0.0.1", 7003))
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"q", ("fd00::10", 53))
    ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    ping.sendto(bytes.fromhex("0800e5ca12340001"), ("127.0.0.1", 0))
    ping = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    ping.sendto(bytes.fromhex("8000000012340001"), ("::1", 0))
    denied = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for port in (7001, 7001, 7002, 7004):
        try:
            denied.sendto(b"0123456789", ("127.0.0.1", port))
        except PermissionError:
            pass


def main():
    sh("ip link set lo up; ip addr add 10.96.0.10/32 dev lo; ip addr add fd00::10/128 dev lo")
    for name in ("acct", "timestamp", "events"):
        pathlib.Path(f"/proc/sys/net/netfilter/nf_conntrack_{name}").write_text("1")
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
    events, log = netlink(), netlink()
    for group in (1, 2, 3):
        events.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
    for group in (1, 2):
        header = struct.pack("=BBH", 0, 0, socket.htons(group))
        log.send(message(ULOG << 8 | 1, 5, 1, header + attribute(1, b"\x01")))
        log.send(message(ULOG << 8 | 1, 5, 2, header + attribute(2, struct.pack(">IBB", 255, 2, 0)) +
                         attribute(5, struct.pack(">I", 64)) + attribute(4, struct.pack(">I", 10))))
    traffic()
    dump = netlink()
    dump.send(message(CTNETLINK << 8 | 1, 0x301, 7, struct.pack("=BBH", 0, 0, 0)))
    for number, data in enumerate(drain(dump)):
        write("ctnetlink", f"dump_{number}", data)
    sh("conntrack -F")
    seen = {}
    original = None
    for data in drain(events):
        kind, flags = struct.unpack_from("=HH", data, 4)
        name = {0x100: "update", 0x102: "destroy"}[kind] if not flags & 0x400 else "new"
        seen[name] = seen.get(name, 0) + 1
        write("ctnetlink", f"{name}_{seen[name]}", data)
        if name == "new" and bytes([10, 96, 0, 10]) in data:
            original = data[20:]
    logged = [data for data in drain(log) if struct.unpack_from("=H", data, 4)[0] != 2]
    for number, data in enumerate(logged):
        write("nflog", f"packets_{number}", data)
    # This kernel may lack NETFILTER_NETLINK_GLUE_CT: a packet with the tracker's entry attached, made of both.
    data = next(d for d in logged if b"API0" in d)
    at = 0
    while b"API0" not in data[at:at + struct.unpack_from("=I", data, at)[0]]:
        at += struct.unpack_from("=I", data, at)[0] + 3 & ~3
    payload = data[at + 16:at + struct.unpack_from("=I", data, at)[0]]
    payload += bytes(-len(payload) % 4) + attribute(18, original) + attribute(19, struct.pack(">I", 2))
    write("nflog", "made_with_conntrack", message(ULOG << 8, 0, 0, payload))


main()
