"""nftables for the lab's node: Services become DNAT, NetworkPolicies become drops.

Written from the Kubernetes API's semantics, on its own: what the lab enforces is no product of the code under test.
"""

from manifests import Cluster, Pod, port_number


def matches(selector: dict, labels: dict) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for rule in selector.get("matchExpressions", []):
        value, values = labels.get(rule["key"]), rule.get("values", [])
        if not {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[rule["operator"]]:
            return False
    return True


def _peer_addresses(cluster: Cluster, policy_namespace: str, peer: dict) -> tuple:
    """(addresses or blocks that the peer names, blocks excepted)"""
    if "ipBlock" in peer:
        return [peer["ipBlock"]["cidr"]], peer["ipBlock"].get("except", [])
    pods = []
    for pod in cluster.pods:
        if "namespaceSelector" in peer:
            if not matches(peer["namespaceSelector"], cluster.namespaces[pod.namespace]):
                continue
        elif pod.namespace != policy_namespace:
            continue
        if matches(peer.get("podSelector", {}), pod.labels):
            pods.append(pod.ip)
    return pods, []


def _port_matches(rule: dict, named_on: list) -> list:
    """nft expressions, any of which must hold; `named_on`: the pods on which a port's name is looked up."""
    if not rule.get("ports"):
        return [""]
    found = []
    for port in rule["ports"]:
        protocol = port.get("protocol", "TCP")
        if "port" not in port:
            found.append(f"meta l4proto {protocol.lower()} ")
            continue
        numbers = (
            {port_number(pod, port["port"], protocol) for pod in named_on}
            if isinstance(port["port"], str)
            else {port["port"]}
        )
        last = f"-{port['endPort']}" if "endPort" in port else ""
        found += [f"{protocol.lower()} dport {number}{last} " for number in sorted(n for n in numbers if n)]
    return found


def _rules(cluster: Cluster, pod: Pod, policy: dict, direction: str) -> list:
    key, address = ("from", "saddr") if direction == "ingress" else ("to", "daddr")
    lines = []
    for rule in policy["spec"].get(direction, []):
        for ports in _port_matches(rule, [pod] if direction == "ingress" else cluster.pods):
            if not rule.get(key):
                lines.append(f"{ports}return")
                continue
            for peer in rule[key]:
                include, excepted = _peer_addresses(cluster, policy["metadata"]["namespace"], peer)
                if not include:
                    continue
                where = "" if include == ["0.0.0.0/0"] else f"ip {address} {{ {', '.join(include)} }} "
                but = f"ip {address} != {{ {', '.join(excepted)} }} " if excepted else ""
                lines.append(f"{where}{but}{ports}return")
    return lines


def _policy_chains(cluster: Cluster) -> tuple:
    """(chains of each isolated pod, the jumps to them)"""
    chains, jumps = [], {"egress": [], "ingress": []}
    for number, pod in enumerate(cluster.pods):
        for direction in ("egress", "ingress"):
            selecting = [
                p
                for p in cluster.of("NetworkPolicy")
                if p["metadata"]["namespace"] == pod.namespace
                and direction.capitalize() in p["spec"]["policyTypes"]
                and matches(p["spec"]["podSelector"], pod.labels)
            ]
            if not selecting:
                continue
            lines = [line for policy in selecting for line in _rules(cluster, pod, policy, direction)]
            chains.append(f" chain {direction}_{number} {{\n  " + "\n  ".join([*lines, "drop"]) + "\n }")
            address = "saddr" if direction == "egress" else "daddr"
            jumps[direction].append(f"ip {address} {pod.ip} jump {direction}_{number}")
    return chains, jumps["egress"] + jumps["ingress"]


def _service_rules(cluster: Cluster) -> list:
    lines = []
    for service in cluster.of("Service"):
        pods = cluster.backends(service)
        addresses = list(service["spec"].get("clusterIPs", []))
        addresses += [i["ip"] for i in service.get("status", {}).get("loadBalancer", {}).get("ingress", [])]
        for port in service["spec"]["ports"]:
            protocol = port.get("protocol", "TCP")
            targets = [f"{p.ip} . {port_number(p, port['targetPort'], protocol)}" for p in pods]
            to = f"numgen inc mod {len(targets)} map {{ {', '.join(f'{i} : {t}' for i, t in enumerate(targets))} }}"
            for address in addresses:
                lines.append(f"ip daddr {address} {protocol.lower()} dport {port['port']} dnat ip addr . port to {to}")
    return lines


def ruleset(cluster: Cluster, mirror_device: str, mirror_address: str) -> str:
    """One table. Every forwarded packet is copied to `mirror_device` once: after DNAT and before policy."""
    mirror = f'dup to {mirror_address} device "{mirror_device}"'
    chains, jumps = _policy_chains(cluster)
    services = "\n  ".join(_service_rules(cluster))
    policies = "\n  ".join(["ct state established,related accept", *jumps])
    return "\n".join(
        [
            "table ip weirlab {",
            *chains,
            f" chain services {{ type nat hook prerouting priority dstnat; policy accept;\n  {services}\n }}",
            f" chain mirror {{ type filter hook forward priority -5; policy accept;\n  {mirror}\n }}",
            f" chain enforce {{ type filter hook forward priority 0; policy accept;\n  {policies}\n }}",
            "}",
            "",
        ]
    )
