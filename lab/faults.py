"""Faults on demand in a running lab. What a fault changes in the cluster is in the manifests before it takes effect."""

import copy
import datetime
import random
import uuid

import manifests
import network

TABLE = "weirlab_faults"
# Kinds of policies and network sets that come and go. The staged ones are there for who reads the manifests: nothing
# enforces them.
NAMESPACED = {"NetworkPolicy", "NetworkSet", "StagedKubernetesNetworkPolicy", "StagedNetworkPolicy"}
CHANGED = {*NAMESPACED, "GlobalNetworkSet", "GlobalNetworkPolicy", "StagedGlobalNetworkPolicy"}


def do(lab, words: list) -> str:
    if not words or words[0] not in COMMANDS:
        raise RuntimeError(f"unknown fault {' '.join(words[:1])!r}; there are {', '.join(COMMANDS)}")
    verb, *counts = COMMANDS[words[0]]
    if len(words) - 1 not in counts:
        raise RuntimeError(f"{words[0]}: {' or '.join(map(str, counts))} arguments wanted")
    told = verb(lab, *words[1:])
    lab.write_state()
    return told


def _kill_pod(lab, name: str) -> str:
    pod = _pod(lab, name)
    _delete(lab, pod)
    return f"{pod.full_name} is gone"


def _replace_pod(lab, name: str, new_name: str = "") -> str:
    """Another pod of the same owner gets the address: its own name, uid, namespace and interface."""
    old = _pod(lab, name)
    if new_name and any(p.full_name == f"{old.namespace}/{new_name}" for p in lab.cluster.pods):
        raise RuntimeError(f"there is a pod {new_name} already")
    item = next(o for o in lab.objects if _is_pod(o, old))
    _delete(lab, old)
    item = copy.deepcopy(item)
    meta = item["metadata"]
    meta.pop("deletionTimestamp", None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = _now()
    if new_name:
        meta["name"] = new_name
    elif not any(owner["kind"] == "StatefulSet" for owner in meta.get("ownerReferences", [])):
        letters = "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        meta["name"] = meta.get("generateName", old.name + "-") + letters
    pod = manifests.Cluster([*lab.objects, item]).pods[-1]
    lab.add_pod(pod)
    lab.set_objects(_with_endpoints([*lab.objects, item], pod, old))
    lab.enforce()
    lab.start_program(pod)
    if pod.ready_port:
        lab.net.wait_for_port(lab.namespace_of[pod], pod.ready_port)
    return f"{pod.full_name} {pod.uid} has {pod.ip}"


def _apply(lab, path: str) -> str:
    """Puts the objects of the file in place of those with the same kind and name."""
    new = manifests.load(path)
    known = {*CHANGED, "Namespace"}
    for item in new:
        if item.get("kind") not in known:
            raise RuntimeError(f"{path}: the lab applies {', '.join(sorted(known))}, not {item.get('kind')}")
        if item["kind"] in NAMESPACED:
            item["metadata"].setdefault("namespace", "default")
        item["metadata"].setdefault("creationTimestamp", _now())
    names = [_identity(o) for o in new]
    lab.set_objects([o for o in lab.objects if _identity(o) not in names] + new)
    lab.enforce()
    return f"applied {len(new)} objects"


def _delete_objects(lab, path: str) -> str:
    """Removes what `apply` of the same file has put there."""
    names = []
    for item in manifests.load(path):
        if item["kind"] in NAMESPACED:
            item["metadata"].setdefault("namespace", "default")
        names.append(_identity(item))
    known = [_identity(o) for o in lab.objects if o["kind"] in CHANGED]
    if missing := [name for name in names if name not in known]:
        raise RuntimeError(f"{path}: no {'/'.join(missing[0])} to delete")
    lab.set_objects([o for o in lab.objects if _identity(o) not in names])
    lab.enforce()
    return f"deleted {len(names)} objects"


def _break_dns(lab) -> str:
    """The cluster's DNS gets no more queries."""
    broken = [p for p in lab.cluster.pods if p.labels.get("k8s-app") == "kube-dns"]
    for pod in broken:
        _add_table(lab, lab.namespace_of[pod], "input", ["udp dport 53 drop", "tcp dport 53 drop"])
    return f"{len(broken)} DNS servers are deaf"


def _drop_acks(lab, source: str, dest: str) -> str:
    """What `source` sends to `dest` is not acknowledged any more, but by segments that also carry data."""
    dest_ip, namespace = _end(lab, dest)
    source_ip, _ = _end(lab, source)
    rule = f"ip saddr {dest_ip} ip daddr {source_ip} tcp flags & (fin|syn|rst|psh|ack) == ack ip length < 80 drop"
    _add_table(lab, namespace, "output", [rule])
    return f"{dest_ip} does not acknowledge to {source_ip}"


def _heal(lab) -> str:
    for namespace in lab.broken:
        if namespace in network.namespaces_of(lab.prefix):
            lab.net.exec(namespace, "nft", "-f", "-", input=f"table ip {TABLE}\ndelete table ip {TABLE}\n")
    count = len(lab.broken)
    lab.broken.clear()
    return f"healed {count} places"


COMMANDS = {
    "kill-pod": (_kill_pod, 1),
    "replace-pod": (_replace_pod, 1, 2),
    "apply": (_apply, 1),
    "delete": (_delete_objects, 1),
    "break-dns": (_break_dns, 0),
    "drop-acks": (_drop_acks, 2),
    "heal": (_heal, 0),
}


def _add_table(lab, namespace: str, hook: str, rules: list) -> None:
    text = f"table ip {TABLE} {{\nchain {hook} {{\ntype filter hook {hook} priority 0; policy accept;\n"
    lab.net.exec(namespace, "nft", "-f", "-", input=text + "\n".join(rules) + "\n}\n}\n")
    if namespace not in lab.broken:
        lab.broken.append(namespace)


def _pod(lab, name: str):
    """By namespace/name, name, or the value of its label `app`, if that tells one pod."""
    found = [p for p in lab.cluster.pods if name in (p.full_name, p.name)]
    found = found or [p for p in lab.cluster.pods if p.app == name]
    if len(found) != 1:
        raise RuntimeError(f"{name!r} is {len(found)} pods")
    return found[0]


def _end(lab, name: str) -> tuple:
    """(address, namespace) of a pod, or of an address outside."""
    if name.replace(".", "").isdigit():
        pod = lab.cluster.pod_at(name)
        return name, lab.namespace_of[pod] if pod else lab.outside
    pod = _pod(lab, name)
    return pod.ip, lab.namespace_of[pod]


def _delete(lab, pod) -> None:
    """As the API server and the node do: marked and out of the endpoints first, then ended."""
    objects = copy.deepcopy(lab.objects)
    for item in objects:
        if _is_pod(item, pod):
            item["metadata"]["deletionTimestamp"] = _now()
            item["metadata"]["deletionGracePeriodSeconds"] = 0
    lab.set_objects(_with_endpoints(objects, None, pod))
    lab.enforce()
    lab.remove_pod(pod)


def _with_endpoints(objects: list, pod, old) -> list:
    """The objects with `pod` (or nobody) in place of `old` in the EndpointSlices; who goes is kept as not ready."""
    changed = copy.deepcopy(objects)
    for item in changed:
        if item["kind"] != "EndpointSlice":
            continue
        for endpoint in item["endpoints"]:
            target = endpoint.get("targetRef", {})
            if (target.get("namespace"), old.ip) != (old.namespace, endpoint["addresses"][0]):
                continue
            endpoint["conditions"] = {"ready": pod is not None}
            if pod:
                target.update(name=pod.name, uid=pod.uid)
    return changed


def _is_pod(item: dict, pod) -> bool:
    return item["kind"] == "Pod" and item["metadata"].get("uid") == pod.uid and item["metadata"]["name"] == pod.name


def _identity(item: dict) -> tuple:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
