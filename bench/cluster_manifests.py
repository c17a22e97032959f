"""Manifests of the lab's cluster among many more: pods on other nodes, and policies for them."""


def write(path: str, lab_manifests: str, pods: int, policies: int) -> None:
    """Writes the lab's objects, `pods` more on nodes of 50 in 20 namespaces, and `policies` more for those."""
    with open(lab_manifests, encoding="utf-8") as file:
        documents = [file.read().rstrip().removesuffix("---")]
    documents += [
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: team-{n}, labels: {{team: team-{n}}}}}" for n in range(20)
    ]
    documents += [_pod(n) for n in range(pods)]
    documents += [_policy(n) for n in range(policies)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n---\n".join(documents) + "\n")


def _pod(n: int) -> str:
    app, node = f"app-{n // 5}", n // 50
    name = f"{app}-6d4f8b7c9d-{n:05d}"
    host, ip = f"10.0.{node // 250}.{node % 250 + 1}", f"10.250.{n // 250}.{n % 250 + 1}"
    return f"""apiVersion: v1
kind: Pod
metadata:
  name: {name}
  generateName: {app}-6d4f8b7c9d-
  namespace: team-{n // 5 % 20}
  uid: 00000000-0000-4000-8000-{n:012d}
  creationTimestamp: "2026-11-01T08:00:00Z"
  labels: {{app: {app}, tier: tier-{n % 3}, pod-template-hash: 6d4f8b7c9d}}
  ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {app}-6d4f8b7c9d, uid: 00000000-0000-4000-9000-{n // 5:012d}, controller: true}}]
spec:
  nodeName: far-{node}
  containers: [{{name: main, image: main, ports: [{{name: http, containerPort: 8080, protocol: TCP}}]}}]
status: {{phase: Running, hostIP: {host}, podIP: {ip}, podIPs: [{{ip: {ip}}}]}}"""


def _policy(n: int) -> str:
    return f"""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: allow-app-{n}, namespace: team-{n % 20}, creationTimestamp: "2026-11-01T08:00:00Z"}}
spec:
  podSelector: {{matchLabels: {{app: app-{n}}}}}
  policyTypes: [Ingress, Egress]
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: app-{n + 20}}}}}}}, {{namespaceSelector: {{matchLabels: {{team: team-{n % 7}}}}}}}], ports: [{{protocol: TCP, port: 8080}}]}}]
  egress: [{{to: [{{namespaceSelector: {{matchLabels: {{team: team-{n % 20}}}}}}}]}}, {{to: [{{ipBlock: {{cidr: 198.18.{n % 250}.0/24}}}}]}}]"""
