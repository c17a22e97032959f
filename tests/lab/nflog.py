"""NFLOG messages as tcpdump records them (LINKTYPE_NFLOG): a header, then attributes with prefix and packet."""

import base64
import hashlib
import socket
import struct

PAYLOAD, PREFIX = 9, 10


def read(path: str):
    """Yields (prefix, (protocol, source, dest, source port, dest port)); ICMP: identifier and type << 8 | code."""
    with open(path, "rb") as file:
        data = file.read()
    assert struct.unpack_from("<I", data, 20)[0] == 239, f"{path}: not a capture of NFLOG"
    at = 24
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        yield _message(data[at + 16 : at + 16 + size])
        at += 16 + size


def _message(data: bytes) -> tuple:
    prefix, key, at = "", None, 4
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("<HH", data, at)
        value = data[at + 4 : at + length]
        if kind == PREFIX:
            prefix = value.rstrip(b"\0").decode()
        elif kind == PAYLOAD:
            key = _tuple(value)
        at += (length + 3) & ~3
    return prefix, key


def _tuple(packet: bytes) -> tuple:
    header = (packet[0] & 15) * 4
    protocol = {1: "icmp", 6: "tcp", 17: "udp"}[packet[9]]
    source, dest = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    if protocol == "icmp":
        return (
            protocol,
            source,
            dest,
            struct.unpack_from(">H", packet, header + 4)[0],
            packet[header] << 8 | packet[header + 1],
        )
    return (protocol, source, dest, *struct.unpack_from(">HH", packet, header))


def prefix_of(verdict: dict, direction: str) -> str:
    """What the data plane is to say of a verdict of the ground truth."""
    letter = direction[0].upper()
    if verdict["profile"]:
        return f"AR{letter}0|{verdict['profile']}"
    if verdict["action"] == "deny":
        return f"DP{letter}|default"
    text = f"AP{letter}{verdict['rule']}|knp/{verdict['policies'][0]}"
    if len(text) < 63:
        return text
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"{text[:10]}_{digest[:41]}_{text[-10:]}"
