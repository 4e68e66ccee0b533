"""What the API server says of objects: `e2e/api-server`, without a node and without controllers."""

import concurrent.futures
import http.client
import json
import pathlib
import ssl
import subprocess
import threading

from kubernetes import programs
from kubernetes.common import ROOT, Broken, until

from ..support import documents

COMMAND = ROOT / "e2e" / "api-server"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PATIENCE = 60  # seconds
AT_ONCE = 3  # requests


class Server:
    """An API server that begins and ends with a `with` block."""

    def __init__(self):
        self.definitions = {}  # by kind
        self.of_thread, self.connections = threading.local(), []

    def __enter__(self):
        self.process = subprocess.Popen([COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            kubeconfig = self.process.stdout.readline().strip()
            if not kubeconfig:
                raise Broken("e2e/api-server does not start")
            self.kubeconfig = pathlib.Path(kubeconfig)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)
        self.process.stdout.close()

    def _connect(self):
        pki = self.kubeconfig.parent
        trust = ssl.create_default_context(cafile=pki / "ca.crt")
        trust.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        address = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].removeprefix("https://")
        return http.client.HTTPSConnection(address, timeout=PATIENCE, context=trust)

    def ask(self, method, path, body=None, content="application/json"):
        """The status of the answer, and the answer as data."""
        if not hasattr(self.of_thread, "connection"):
            self.of_thread.connection = self._connect()
            self.connections.append(self.of_thread.connection)
        self.of_thread.connection.request(method, path, body, {"Content-Type": content, "Accept": "application/json"})
        response = self.of_thread.connection.getresponse()
        answer = response.read()
        is_data = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(answer) if is_data else {"message": answer.decode()}

    def define(self, manifest):
        """Makes a CustomResourceDefinition, and waits until its kind is served."""
        status, definition = self.ask("POST", DEFINITIONS, manifest, "application/yaml")
        if status != 201:
            raise Broken(f"a definition is refused: {definition['message']}")
        spec = definition["spec"]
        lists = [f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}" for version in spec["versions"]]

        def served():
            return all(self.ask("GET", path)[0] == 200 for path in lists)

        until(f"{definition['metadata']['name']} is served", PATIENCE, served)
        self.definitions[definition["spec"]["names"]["kind"]] = definition

    def read(self, directory):
        """The manifests of a directory as data, by the name of their file: that of the kind, if it is defined."""
        kubectl = (programs.KUBE.path, "kubectl", f"--kubeconfig={self.kubeconfig}", "create", "--dry-run=client", "--output=json")
        known = {definition["spec"]["names"]["plural"] for definition in self.definitions.values()}
        return {file.stem: _objects(kubectl, file) for file in sorted(directory.glob("*.yaml")) if file.stem in known}

    def place(self, item):
        """The path of all objects of this one's kind."""
        definition = self.definitions[item["kind"]]
        within = f"/namespaces/{item['metadata']['namespace']}" if definition["spec"]["scope"] == "Namespaced" else ""
        return f"/apis/{item['apiVersion']}{within}/{definition['spec']['names']['plural']}"

    def store(self, item):
        """Makes an object, and returns it as it is stored."""
        status, stored = self.ask("POST", self.place(item), json.dumps(item))
        if status != 201:
            raise Broken(stored["message"])
        return stored

    def judge_all(self, items):
        """Why each of these objects cannot be stored."""
        with concurrent.futures.ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            return list(pool.map(self.judge, items))

    def judge(self, item, method="POST"):
        """Why the object cannot be stored: causes by field; nothing where it can be."""
        name = f"/{item['metadata']['name']}" if method == "PUT" else ""
        status, answer = self.ask(method, f"{self.place(item)}{name}?dryRun=All&fieldValidation=Strict", json.dumps(item))
        if status in (200, 201):
            return []
        if status not in (400, 422):  # not read, not valid
            raise Broken(f"{self.place(item)}: {status}: {answer['message']}")
        causes = answer.get("details", {}).get("causes") or [{}]
        return [Cause(cause.get("field", ""), cause.get("reason", ""), cause.get("message", answer["message"])) for cause in causes]


class Cause:
    """One reason for which the API server refuses an object."""

    def __init__(self, field, reason, message):
        self.field, self.reason, self.message = field, reason, message

    def __repr__(self):
        return f"{self.field}: {self.message[:300]} [{self.reason}]"


def _objects(kubectl, file):
    done = subprocess.run([*kubectl, "--filename", file], capture_output=True, text=True)
    if done.returncode:
        raise Broken(f"{file.name}: {done.stderr.strip()}")
    return documents(done.stdout)
