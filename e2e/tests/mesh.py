"""What tests of Tombolo in a cluster share: one cluster for all of them, requests under way, and what objects are.

Needs the programs: TOMBOLO_PROGRAMS names Cargo's directory, ENVOY_BIN the proxy. `make e2e` builds and names them.
"""

import atexit
import contextlib
import copy
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

from kubernetes.common import ROOT, until

from . import current
from .audit import Audit
from .current import CURRENT, SYSTEM, own_needed
from .support import PATIENCE, TestCluster, documents

SHOP = ROOT / "examples" / "cluster" / "shop.yaml"  # the quickstart of the README
PROGRAMS, ENVOY = os.environ.get("TOMBOLO_PROGRAMS"), os.environ.get("ENVOY_BIN")
PROGRAMS_NEEDED = unittest.skipUnless((PROGRAMS and ENVOY) or os.environ.get("CI") == "true", "needs programs: make e2e")
DISCOVERY = "tombolo-discovery-default"

# Whatever of Tombolo's, or of its users', must outlive a fault. Pods and what counts them come and go.
KINDS = (
    "meshinstallations,meshrevisions,meshrevisiontags,gatewayclasses,gateways,httproutes,referencegrants,"
    "serviceentries,workloadentries,workloadgroups,validatingwebhookconfigurations,services,deployments,serviceaccounts,configmaps,secrets,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,"
    "horizontalpodautoscalers,networkpolicies,customresourcedefinitions"
)
OF_THE_CLUSTER = ("kube-system", "kube-public", "kube-node-lease")
STATUS_IS_OURS = ("mesh.tombolo.dev", "gateway.networking.k8s.io", "networking.istio.io")

# A line of a container's log, as the kubelet keeps it: a time, a stream, a tag, and what the program said.
ERROR = re.compile(r"\S+ std(out|err) [FP] (\S+ +ERROR |.*panicked at )")

# Asks until some requests after its input ended, and then says what became of them; says too when some have been asked.
LOAD = """
import sys, threading, time, urllib.request
SOME = 26
asked = failed = after = 0
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while after < SOME:
    after += over.is_set()
    asked += 1
    if asked == SOME:
        print("under way", flush=True)
    try:
        request = urllib.request.Request("http://%s/health" % sys.argv[1], headers={"host": "shop.example.com"})
        urllib.request.urlopen(request, timeout=5).read()
    except Exception as error:
        failed += 1
        print("failed:", time.strftime("%H:%M:%S"), error, flush=True)
    time.sleep(0.02)
print(asked, failed)
"""


class Load:
    """Steady requests through the gateway, from some before the block to some after it."""

    def __init__(self, cluster, address):
        argv = cluster.argv("exec", "--", sys.executable, "-c", LOAD, address)
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""

    def __enter__(self):
        for line in self.process.stdout:
            if line == "under way\n":
                break
            self.said += line
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.said += self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait(timeout=PATIENCE)
        self.asked, self.failed = map(int, self.said.split()[-2:])


class Watched:
    """What a field of an object was, from its value at the beginning of a block to that at its end."""

    def __init__(self, mesh, thing, path, namespace=SYSTEM):
        words = ("kubectl", "get", thing, f"--namespace={namespace}", "--watch", f"--output=jsonpath={{{path}}}{{'\\n'}}")
        self.process = subprocess.Popen(mesh.argv("exec", "--", *words), stdout=subprocess.PIPE, text=True)
        self.values = [self.process.stdout.readline().strip()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.values += self.process.stdout.read().split("\n")[:-1]
        self.process.stdout.close()
        self.process.wait(timeout=PATIENCE)

    def distinct(self):
        """The values without repetitions."""
        return [value for index, value in enumerate(self.values) if index == 0 or value != self.values[index - 1]]


class Mesh(TestCluster):
    """A cluster with Tombolo in it."""

    def __init__(self, name):
        super().__init__(name)
        self.known_errors = set()  # those that a test has failed for

    @functools.cached_property
    def audit(self):
        return Audit(pathlib.Path(self.status()["auditLog"]))

    def begin(self, *options):
        """A cluster without anything of before."""
        if CURRENT:
            if options:
                own_needed(f"`e2e/cluster up {' '.join(options)}`")
            return current.MESH.begin()
        self.run("down")
        atexit.register(self.run, "down", check=False)
        self.run("up", *options)

    def end(self):
        """Leaves nothing of it."""
        if CURRENT:
            current.MESH.end()
        else:
            self.run("down")

    def load_images(self, *versions):
        """Loads Tombolo's images, known by these versions too."""
        self._install("--images", *(f"--also={version}" for version in versions))

    def install(self, *helm):
        """Puts Tombolo in it, and waits until it serves."""
        if CURRENT:
            current.MESH.install(*helm)
        else:
            self._install("--", *helm)
        self.wait("condition=Ready", "meshinstallation/default")

    def _install(self, *words):
        own_needed("`e2e/install`")
        command = [ROOT / "e2e" / "install", "--name", self.name, "--programs", PROGRAMS, "--envoy", ENVOY, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def get(self, *words):
        """Objects as data."""
        return json.loads(self.kubectl("get", *words, "--output=json"))

    def field(self, thing, path, namespace="shop"):
        return self.kubectl("get", *thing.split(), f"--namespace={namespace}", f"--output=jsonpath={{{path}}}").strip()

    @staticmethod
    def processes(pod):
        """The ids of the processes of a pod of ours."""
        own_needed("a node's processes")
        own, found = f"POD_NAME={pod}".encode(), []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if own in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        if not found:
            raise AssertionError(f"no program runs in pod {pod}")
        return found

    def kill(self, pod):
        """Ends the program of a pod of ours with SIGKILL: it finishes nothing and gives nothing back. The kubelet begins another one."""
        for process in self.processes(pod):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def own_token(self, pod, path="kubernetes.io/serviceaccount/token"):
        """The token that a pod of ours was given."""
        return pathlib.Path(f"/proc/{self.processes(pod)[0]}/root/var/run/secrets", path).read_text()

    def kubeconfig(self, file, token):
        """Writes the admin's kubeconfig with another's token in the place of the admin's certificate."""
        config = json.loads(pathlib.Path(self.status()["kubeconfig"]).read_text())
        config["users"][0]["user"] = {"token": token}
        file.write_text(json.dumps(config))
        return file

    def patch(self, thing, patch, namespace="shop", kind="merge", **options):
        return self.kubectl("patch", thing, f"--namespace={namespace}", f"--type={kind}", f"--patch={json.dumps(patch)}", **options)

    def ask(self, host, address):
        """What the gateway answers for a host, once it answers."""
        return until(f"{host} answers", PATIENCE, lambda: self._asked(host, address, "read().decode()"), self.state)

    def header(self, name, host, address):
        """A header of what the gateway answers for a host: None where it does not answer."""
        return self._asked(host, address, f"headers[{name!r}]")

    def code(self, host, address):
        """The status code of what the gateway answers for a host."""
        ask = ("curl", "--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}")
        return self.run("exec", "--", *ask, "--header", f"host: {host}", f"http://{address}/health", check=False)

    def _asked(self, host, address, what):
        request = f"u.Request('http://{address}/health', headers={{'host': '{host}'}})"
        program = f"import urllib.request as u; print(u.urlopen({request}, timeout=5).{what}, end='')"
        printed = self.run("exec", "--", sys.executable, "-c", program, check=False)
        return None if "Traceback" in printed else printed

    def state(self):
        """What helps to see why something did not come to pass."""
        wide = self.kubectl("get", "meshinstallations,pods,gateways,httproutes", "--all-namespaces", "--output=wide", check=False)
        logs = ("logs", f"--namespace={SYSTEM}", "--prefix", "--tail=20")
        return wide + "".join(
            self.kubectl(*logs, f"--selector=app.kubernetes.io/name={name}", check=False)
            for name in ("tombolo-discovery", "tombolo-operator")
        )

    def errors(self):
        """What the operator and control planes logged as errors, panics too, in all pods that there are."""
        if CURRENT:
            return []  # who knows what else happens there
        pods, found = pathlib.Path(self.status()["directory"], "log", "pods"), []
        logs = [log for name in ("operator", "discovery") for log in pods.glob(f"{SYSTEM}_*/{name}/*.log")]
        if not logs:
            raise AssertionError(f"no logs are in {pods}")
        for log in logs:
            with contextlib.suppress(FileNotFoundError):  # its pod has gone meanwhile
                found += [f"{log.parts[-3]}: {line}" for line in log.read_text(errors="replace").splitlines() if ERROR.match(line)]
        return found

    def chart(self, *words):
        """What the chart renders, with the images of this cluster."""
        image = f"--set=image.registry={current.REGISTRY or 'tombolo.test'}"
        return self.run("exec", "--", "helm", "template", "tombolo", ROOT / "charts" / "tombolo", f"--namespace={SYSTEM}", image, *words)

    def read(self, manifests):
        """Manifests in YAML as data."""
        return documents(self.kubectl("create", "--dry-run=client", "--output=json", "--filename=-", input=manifests))

    @staticmethod
    def version():
        """Of Tombolo."""
        return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]

    def rollout(self, name, namespace=SYSTEM):
        self.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={namespace}", f"--timeout={PATIENCE}s")

    def settings(self, spec):
        """Changes the MeshInstallation."""
        self.patch("meshinstallation/default", {"spec": spec})

    def until_settled(self):
        """Until all runs as the MeshInstallation says."""

        def settled():
            installation = self.get("meshinstallation/default")
            ready = condition(installation, "Ready")
            return ready and (ready["status"], ready["observedGeneration"]) == ("True", installation["metadata"]["generation"])

        until("the mesh is as its MeshInstallation says", PATIENCE, settled, self.state)

    def until_quiet(self, seconds=3):
        """Until nothing is written for a while, and nothing is to be told that is counted now and then; without an audit log, at once."""
        if CURRENT:
            return
        until("all proxies are counted", PATIENCE, lambda: self.told_proxies() == self.connected(), self.state)

        def quiet():
            return not self.audit.writes(since=-seconds)

        until(f"nothing is written for {seconds} s", PATIENCE, quiet, self.state)

    def told_proxies(self):
        """How many proxies the MeshInstallation tells of, of all kinds."""
        rows = self.get("meshinstallation/default").get("status", {}).get("revisions", [])
        return sum(sum(row.get("proxies", {}).values()) for row in rows)

    def connected(self):
        """How many proxies are connected to control planes."""
        pods = self.get("pods", "--selector=app.kubernetes.io/name=tombolo-discovery", f"--namespace={SYSTEM}")["items"]
        stay = [pod["status"]["podIP"] for pod in pods if "deletionTimestamp" not in pod["metadata"] and is_ready(pod)]
        ask = ("exec", "--", "curl", "--silent", "--max-time", "5")
        pages = [self.run(*ask, f"http://{address}:15014/debug/proxies", check=False) for address in stay]
        if not all(page.startswith("[") for page in pages):
            return None  # one has gone meanwhile
        return len({proxy["proxy"] for page in pages for proxy in json.loads(page)})

    def objects(self):
        """All objects that must outlive a fault, by kind, namespace and name."""
        found = self.get(KINDS, "--all-namespaces")["items"]
        objects = {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in found}
        return {key: item for key, item in objects.items() if key[1] not in OF_THE_CLUSTER and not key[2].startswith("system:")}

    def contents(self, renewed=()):
        """What these objects say, without what counts changes or times; of some kinds, without which object it is."""
        return {key: without(content(item), ("uid",) if key[0] in renewed else ()) for key, item in self.objects().items()}


def condition(item, about):
    return next((entry for entry in item.get("status", {}).get("conditions", []) if entry["type"] == about), None)


def is_ready(pod):
    return (condition(pod, "Ready") or {}).get("status") == "True"


def content(item):
    """What an object says that its writers meant: status only where it is ours to write."""
    item = copy.deepcopy(item)
    for counted in ("resourceVersion", "generation", "managedFields", "creationTimestamp"):
        item["metadata"].pop(counted, None)
    annotations = item["metadata"].pop("annotations", {})
    for of_a_tool in ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"):
        annotations.pop(of_a_tool, None)
    if annotations:
        item["metadata"]["annotations"] = annotations
    if not item["apiVersion"].startswith(STATUS_IS_OURS):
        item.pop("status", None)
    return without(item, ("lastTransitionTime", "observedGeneration", "proxies"))


def without(value, fields):
    """A value without fields of these names, however deep."""
    if isinstance(value, dict):
        return {key: without(inner, fields) for key, inner in value.items() if key not in fields}
    return [without(inner, fields) for inner in value] if isinstance(value, list) else value


def differences(before, after):
    """What is different, for people and for comparing with nothing."""
    found = {}
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            found[key] = "gone"
        elif key not in before:
            found[key] = "new"
        elif before[key] != after[key]:
            gone, new = _lines(before[key], after[key]), _lines(after[key], before[key])
            found[key] = [f"- {line}" for line in gone] + [f"+ {line}" for line in new]
    return found


def _lines(value, other):
    others = set(json.dumps(other, indent=1).splitlines())
    return [line.strip() for line in json.dumps(value, indent=1).splitlines() if line not in others]


@functools.cache
def shared():
    """The cluster that all tests share which leave it as they found it: a mesh, and a shop behind a gateway."""
    mesh = Mesh("e2e-mesh")
    mesh.begin()
    mesh.install()
    mesh.kubectl("apply", "--filename", str(SHOP))
    mesh.wait("condition=Programmed", "gateway/edge", "shop")
    mesh.rollout("web", "shop")
    return mesh


class MeshTest(unittest.TestCase):
    """Tests in the shared cluster. Each leaves it as it found it; where one fails, the next class gets another cluster."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.mesh = shared()
        cls.address = cls.mesh.field("gateway/edge", ".status.addresses[0].value")

    def tearDown(self):
        """Whatever a test does, it is nothing that these programs cannot deal with: since the cluster began they logged no error."""
        new = [line for line in self.mesh.errors() if line not in self.mesh.known_errors]
        self.mesh.known_errors.update(new)
        self.assertEqual(new, [])

    def run(self, result=None):
        unhappy = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > unhappy:
            shared.cache_clear()
        return result

    @contextlib.contextmanager
    def steady(self, renewed=()):
        """Requests go through the gateway meanwhile and none fails; afterwards all objects are what they were.

        `renewed`: the kinds of those that are others of the same name and content.
        """
        before = self.mesh.contents(renewed)
        with Load(self.mesh, self.address) as load:
            yield
        self.assertEqual(load.failed, 0, load.said)
        self.assertGreater(load.asked, 50)
        self.until_equal(before, renewed)

    def until_equal(self, before, renewed=()):
        def changed():
            return differences(before, self.mesh.contents(renewed))

        try:
            until("all objects are as they were", PATIENCE, lambda: not changed(), lambda: "")
        except Exception:
            self.assertEqual(changed(), {})
