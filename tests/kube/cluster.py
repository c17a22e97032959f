"""A real kube-apiserver and etcd on free ports, in a folder of their own, with TLS, tokens and RBAC."""
import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "lab"))

import network  # noqa: E402

SKIPPED = 77
# What Weir asks an API server for.
READ = (("", ["namespaces", "nodes", "pods", "services", "serviceaccounts"]), ("apps", ["replicasets"]),
        ("batch", ["jobs"]), ("discovery.k8s.io", ["endpointslices"]), ("networking.k8s.io", ["networkpolicies"]),
        ("crd.projectcalico.org", ["networksets", "globalnetworksets", "tiers", "networkpolicies",
                                   "globalnetworkpolicies", "stagednetworkpolicies", "stagedglobalnetworkpolicies",
                                   "stagedkubernetesnetworkpolicies", "hostendpoints"]),
        ("policy.networking.k8s.io", ["adminnetworkpolicies", "baselineadminnetworkpolicies",
                                      "clusternetworkpolicies"]),
        ("cilium.io", ["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"]))


def find_programs(apiserver=None):
    """(kube-apiserver, etcd). Ends the test, as skipped, where something is missing; in CI that is a failure."""
    reason = ""
    for tool in ("etcd", "kubectl", "openssl"):
        if shutil.which(tool) is None:
            reason = f"no {tool}: apt-get install etcd-server kubernetes-client openssl"
    if not reason and not apiserver:
        built = subprocess.run([ROOT / "scripts/kube-apiserver.sh"], stdout=subprocess.PIPE, text=True)
        apiserver = built.stdout.strip()
        reason = "no kube-apiserver (see above)" if built.returncode != 0 else ""
    if reason:
        print(f"skipped: {reason}")
        sys.exit(1 if os.environ.get("WEIR_CI") else SKIPPED)
    return apiserver, shutil.which("etcd")


def role(name, kinds, group):
    """Whoever is in the group may list and watch those kinds."""
    rules = [{"apiGroups": [api], "resources": resources, "verbs": ["list", "watch"]} for api, resources in kinds]
    return [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
             "rules": rules},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
             "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}]}]


def custom_kinds(group, *kinds):
    """Custom kinds, each with plural, name and scope, with no more of a schema than they need."""
    return [{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
             "metadata": {"name": f"{plural}.{group}"},
             "spec": {"group": group, "scope": scope,
                      "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                      "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                          "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}
            for plural, kind, scope in kinds]


def network_set_kinds():
    """The kinds of Calico's network sets."""
    return custom_kinds("crd.projectcalico.org", ("networksets", "NetworkSet", "Namespaced"),
                        ("globalnetworksets", "GlobalNetworkSet", "Cluster"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, check, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        last = check()
        if last:
            return last
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Proxy:
    """Passes bytes between clients and the API server, until cut()."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.open = True
        self.pairs = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = None
            if self.open:
                with contextlib.suppress(OSError):
                    server = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            if server is None:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            with self.lock:
                self.pairs.add(pair)
            for one, other in (pair, pair[::-1]):
                threading.Thread(target=self.pump, args=(one, other, pair), daemon=True).start()

    def pump(self, one, other, pair):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        self.close(pair)

    def close(self, pair):
        with self.lock:
            self.pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self):
        self.open = False
        for pair in list(self.pairs):
            self.close(pair)

    def join(self):
        self.open = True


class Cluster:
    def __init__(self, apiserver, etcd, namespace=""):
        """`namespace`: the network namespace on whose loopback they listen; there is no proxy then."""
        self.apiserver_path, self.etcd_path, self.namespace = apiserver, etcd, namespace
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-kube-"))
        self.processes = {}
        with self.inside():
            self.etcd_port, self.peer_port, self.port = free_port(), free_port(), free_port()
        self.proxy = None if namespace else Proxy(self.port)
        self.make_certificates()
        self.admin = self.kubeconfig("admin", {"client-certificate": "admin.crt", "client-key": "admin.key"},
                                     through_proxy=False)
        self.context = ssl.create_default_context(cafile=self.path("ca.crt"))
        self.context.load_cert_chain(self.path("admin.crt"), self.path("admin.key"))

    def inside(self):
        """Where the API server can be reached: for the calling thread."""
        return network.inside(self.namespace) if self.namespace else contextlib.nullcontext()

    def enter(self, *command):
        """The command, to run where the API server can be reached."""
        return ["nsenter", f"--net={network.NETNS}/{self.namespace}", "--", *command] if self.namespace else [*command]

    def path(self, name):
        return str(self.folder / name)

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, cwd=self.folder, capture_output=True)

    def make_certificates(self):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", "/CN=weir-test-ca", "-keyout", "ca.key", "-out", "ca.crt")
        for name, subject, extension in (
                ("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1,DNS:kubernetes.default.svc"),
                ("admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth")):
            (self.folder / f"{name}.ext").write_text(extension + "\n")
            self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                         "-keyout", f"{name}.key", "-out", f"{name}.csr")
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                         "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
        self.openssl("genrsa", "-out", "sa.key", "2048")
        (self.folder / "tokens.csv").write_text("full-token,weir,1,weir-group\npoor-token,poor,2,poor-group\n")

    def spawn(self, name, command):
        with open(self.path(f"{name}.log"), "ab") as log:
            self.processes[name] = subprocess.Popen(self.enter(*command), stdout=log, stderr=log,
                                                    stdin=subprocess.DEVNULL, cwd=self.folder,
                                                    start_new_session=True)

    def start(self):
        self.spawn("etcd", [self.etcd_path, "--data-dir", self.path("etcd"),
                            "--listen-client-urls", f"http://127.0.0.1:{self.etcd_port}",
                            "--advertise-client-urls", f"http://127.0.0.1:{self.etcd_port}",
                            "--listen-peer-urls", f"http://127.0.0.1:{self.peer_port}",
                            "--initial-advertise-peer-urls", f"http://127.0.0.1:{self.peer_port}",
                            "--initial-cluster", f"default=http://127.0.0.1:{self.peer_port}",
                            "--unsafe-no-fsync"])
        self.start_apiserver()

    def start_apiserver(self):
        self.spawn("apiserver", [
            self.apiserver_path, f"--etcd-servers=http://127.0.0.1:{self.etcd_port}", f"--secure-port={self.port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--cert-dir={self.folder}",
            "--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--client-ca-file=ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key", "--authorization-mode=RBAC", "--token-auth-file=tokens.csv",
            "--service-cluster-ip-range=10.96.0.0/16", "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none"])
        # A loaded machine takes its time; a process that ended does not.
        wait_until("the API server is ready", self.ready, 180)

    def ready(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = pathlib.Path(self.path(f"{name}.log")).read_text(errors="replace")
                raise AssertionError(f"{name} ended with {process.returncode}:\n{log[-3000:]}")
        with contextlib.suppress(OSError, urllib.error.URLError):
            return self.request("GET", "/readyz", timeout=5) == "ok"

    def kill(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self):
        if self.proxy:
            self.proxy.listener.close()
            self.proxy.cut()
        for name in list(self.processes):
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(self, method, path, body=None, content_type="application/json", timeout=30):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": content_type, "Accept": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=self.context))
        with self.inside(), opener.open(request, timeout=timeout) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def compact(self):
        """Forgets all history in etcd up to now."""
        def post(path, body):
            request = urllib.request.Request(f"http://127.0.0.1:{self.etcd_port}{path}", data=json.dumps(body).encode())
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with self.inside(), opener.open(request, timeout=30) as answer:
                return json.load(answer)
        key = base64.b64encode(b"x").decode()
        revision = int(post("/v3/kv/range", {"key": key})["header"]["revision"])
        post("/v3/kv/compaction", {"revision": str(revision), "physical": True})

    def kubeconfig(self, name, user, through_proxy=True):
        """A file for kubectl or for us; `user` is what its user entry holds."""
        port = self.proxy.port if through_proxy and self.proxy else self.port
        path = self.path(f"{name}.kubeconfig")
        pathlib.Path(path).write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{port}",
                                                   "certificate-authority": "ca.crt"}}],
            "users": [{"name": "u", "user": user}]}))
        return path

    # ---- what a user, a scheduler and a kubelet do

    def kubectl(self, *args, given=None):
        environment = {**os.environ, "HOME": str(self.folder), "KUBECONFIG": self.admin}
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            environment.pop(name, None)
        done = subprocess.run(self.enter("kubectl", *args), input=given, text=True, capture_output=True,
                              env=environment)
        if done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout

    def apply(self, *objects):
        self.kubectl("create", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def set_status(self, path, status):
        """`path`: below /api/v1, without /status."""
        self.request("PATCH", f"/api/v1/{path}/status", {"status": status}, "application/merge-patch+json")

    def delete_pod(self, name, namespace):
        """What the kubelet does once the containers are gone."""
        self.kubectl("delete", "pod", name, "-n", namespace, "--grace-period=0", "--force")
