"""The demo: examples/quickstart with real servers behind it, edited while requests run.

On a terminal it stays up for play. With CI=true or without a terminal it checks itself, exits with 1 if anything was not as
promised, and leaves nothing running. Standard library only.
"""

import argparse
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
INTERACTIVE = sys.stdout.isatty() and os.environ.get("CI") != "true"
PATIENCE = 20  # seconds for anything to come to pass; only failures take that long
BOLD, DIM, GREEN, RESET = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 4


class Broken(Exception):
    """Something was not as promised."""


def say(text):
    if INTERACTIVE:
        time.sleep(1.5)  # time to read what came before
    print(f"\n{BOLD}{text}{RESET}", flush=True)


def done(text):
    print(f"  {GREEN}✓{RESET} {text}", flush=True)


def until(what, condition):
    """Waits for a condition and returns what it gave."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise Broken(f"not within {PATIENCE} s: {what}")


# === Backends ===


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers with its name."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    name = ""

    def do_GET(self):
        caller = re.search(r"URI=(spiffe://[^;]+)", self.headers.get("x-forwarded-client-cert", ""))
        answer = {"from": self.name, "path": self.path, "caller": caller and caller[1]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(name, address, port):
    server = Server((address, port), type(name, (Backend,), {"name": name}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def free_port(*addresses):
    """A port that is free on all of these addresses."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind((addresses[0], 0))
            port = probe.getsockname()[1]
        if all(is_free(address, port) for address in addresses):
            return port
    raise Broken("no free port found")


def is_free(address, port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return is_free(address, port + 10_000)  # where `tombolo run` goes for users who are not root
        except OSError:
            return False
    return True


# === Tombolo ===


class Tombolo:
    """A `tombolo run` whose lines are printed and remembered."""

    def __init__(self, program, envoy, manifests, state):
        self.command = [program, "run", manifests, "--envoy", envoy, "--state", state, "--drain", "2"]
        self.state = pathlib.Path(state)
        self.lines = []
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            print(f"  {DIM}│ {line.rstrip()}{RESET}", flush=True)

    def said(self, pattern, since=0):
        return next((match for line in self.lines[since:] if (match := re.search(pattern, line))), None)

    def wait_for(self, pattern, since=0):
        def heard():
            if self.process.poll() is not None and not self.said(pattern, since):
                raise Broken(f"tombolo ended with {self.process.returncode}")
            return self.said(pattern, since)

        return until(f"tombolo says {pattern!r}", heard)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE)

    def proxies(self):
        """The processes of agents and of their Envoys."""
        records = [*self.state.glob("*/agent.json"), *self.state.glob("*/envoy.json")]
        return [json.loads(path.read_text())["process"]["pid"] for path in records]

    def stop(self):
        proxies = self.proxies()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Broken("tombolo did not stop when asked to")
        finally:
            left = [pid for pid in proxies if is_running(pid)]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        self.reader.join(PATIENCE)
        if left or self.process.returncode != 0:
            raise Broken(f"tombolo ended with {self.process.returncode} and left {len(left)} processes")


def is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# === Requests ===


class Client:
    """One kept connection to the gateway."""

    def __init__(self, address, port):
        self.connection = http.client.HTTPConnection(address, port, timeout=PATIENCE)

    def get(self, path):
        try:
            self.connection.request("GET", path, headers={"host": "shop.example.com"})
            response = self.connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return 0, {}, str(error)
        from_json = json.loads(body) if response.headers.get_content_type() == "application/json" else {}
        return response.status, from_json, response.headers


class Traffic(threading.Thread):
    """Requests that never stop, so that whatever fails on the way is seen."""

    def __init__(self, address, port):
        super().__init__(daemon=True)
        self.client = Client(address, port)
        self.sent, self.failed, self.over = 0, [], threading.Event()

    def run(self):
        while not self.over.wait(0.005):
            status, _, reason = self.client.get("/")
            self.sent += 1
            if status != 200:
                self.failed.append(f"{status} {reason}")


def shares(client, requests=200):
    counts = {"web-v1": 0, "web-v2": 0}
    for _ in range(requests):
        status, body, _ = client.get("/")
        if status != 200:
            raise Broken(f"the gateway answered {status}")
        counts[body["from"]] += 1
    return counts


def expect_share(client, low, high):
    """Asks until the new version's share is as it should be: an edit takes a moment to reach the gateway."""

    def as_promised():
        counts = shares(client)
        return counts if low <= counts["web-v2"] <= high else None

    counts = until(f"{low} to {high} of 200 requests answered by web-v2", as_promised)
    for name, count in counts.items():
        print(f"    {name}  {'█' * (count // 4)} {count}", flush=True)
    return counts


# === The play ===


def edit(path, old, new):
    """As an editor does it: a new file moved over the old one."""
    text = path.read_text()
    if old not in text:
        raise Broken(f"{path.name} holds no {old!r}")
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text.replace(old, new, 1))
    fresh.replace(path)
    print(f"  {path.name}: {DIM}{' '.join(old.split())}{RESET} becomes {BOLD}{' '.join(new.split())}{RESET}", flush=True)


def weights(v1, v2):
    return f"weight: {v1}\n        - name: web-v2\n          port: 80\n          weight: {v2}"


ADDED = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: preview
  namespace: shop
spec:
  parentRefs:
    - name: front
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /preview
      backendRefs:
        - name: web-v2
          port: 80
"""


# Where the machine with an agent may be, the example's own address first, and the ports that its proxy and agent have there.
VM_ADDRESSES = [f"127.0.0.{n}" for n in range(5, 250)]
AGENT_PORTS = [15001, 15020, 15053]


def prepare(directory):
    """Copies the example, and starts servers where its endpoints are, on ports that are free here."""
    shutil.copytree(ROOT / "examples/quickstart", directory)
    servers = [("web-v1", "web.yaml", 18081, ["127.0.0.1"]), ("web-v2", "web.yaml", 18082, ["127.0.0.1"])]
    servers.append(("orders-vm", "machines.yaml", 18083, ["127.0.0.1", "127.0.0.2"]))
    vm = next(address for address in VM_ADDRESSES if all(is_free(address, port) for port in AGENT_PORTS))
    machines = directory / "machines.yaml"
    machines.write_text(machines.read_text().replace(VM_ADDRESSES[0], vm))
    for name, file, port, addresses in servers:
        needed = [*addresses, vm] if file == machines.name else addresses
        actual = port if all(is_free(address, port) for address in needed) else free_port(*needed)
        path = directory / file
        path.write_text(path.read_text().replace(str(port), str(actual)))
        for n, address in enumerate(addresses, 1):
            serve(name if len(addresses) == 1 else f"{name}-{n}", address, actual)
    if not is_free("127.0.0.1", 80):
        gateway = directory / "gateway.yaml"
        gateway.write_text(gateway.read_text().replace("port: 80\n", f"port: {free_port('127.0.0.1')}\n"))
        print("  port 80 is taken here, so the Gateway is given another one")
    return vm, int(re.search(r"http: (\d+)", machines.read_text())[1])


def canary(client, routes):
    say("2. A canary: weights shift as the file is saved")
    expect_share(client, 5, 45)
    for (v1, v2), (low, high), before in [((50, 50), (70, 130), (90, 10)), ((0, 100), (200, 200), (50, 50))]:
        edit(routes, weights(*before), weights(v1, v2))
        expect_share(client, low, high)
    done("all requests go to the new version")


def machines(client):
    say("3. A service on virtual machines: a ServiceEntry over two WorkloadEntries")
    answers = {client.get("/orders/7")[1].get("from") for _ in range(40)}
    if answers != {"orders-vm-1", "orders-vm-2"}:
        raise Broken(f"/orders was answered by {answers}")
    done("GET /orders/7 is answered by orders-vm-1 and orders-vm-2 in turn")


def identity_at(address, port):
    """The SPIFFE id in the certificate that is shown there. Who we are is not asked before that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])
    with socket.create_connection((address, port), PATIENCE) as plain, context.wrap_socket(plain) as tls:
        certificate = tls.getpeercert(binary_form=True)
    start = certificate.index(b"spiffe://")
    return certificate[start : start + certificate[start - 1]].decode()  # before a name stands its length


def call_machine(client):
    """A call that the machine with an agent answered."""
    answers = (client.get("/orders/7") for _ in range(40))
    return next((body for status, body, _ in answers if status == 200 and body.get("from") == "orders-vm-1"), None)


def identities(client, vm):
    say("4. One machine has an agent: it proves who it is, and calls to it are encrypted")
    name = identity_at(*vm)
    done(f"the certificate at {vm[0]}:{vm[1]} says {name}")
    body = until("orders-vm-1 answers", lambda: call_machine(client))
    if not (body["caller"] or "").endswith("/ns/shop/sa/front-tombolo"):
        raise Broken(f"orders-vm-1 was called by {body['caller']}")
    done(f"it is called by {body['caller']}, the gateway")


def outlive(tombolo, client, vm):
    say("7. The control plane is killed: gateway, agents and the encrypted call go on")
    tombolo.kill()
    print(f"  {DIM}kill -9 {tombolo.process.pid}{RESET}")
    until("orders-vm-1 answers", lambda: call_machine(client))
    done(f"orders-vm-1 is called, and {identity_at(*vm)} shown, without a control plane")
    since = len(tombolo.lines)
    tombolo.start()
    tombolo.wait_for(r"workload shop/orders-vm-1: took over agent", since)
    done("a new control plane takes the agents over; nothing is sent again")


def new_route(client, directory):
    say("5. A route is added: a new file")
    (directory / "preview.yaml").write_text(ADDED)
    until("/preview goes to web-v2", lambda: client.get("/preview")[1].get("from") == "web-v2")
    done("GET /preview is answered by web-v2")


def bad_edit(tombolo, client, routes):
    say("6. A bad edit is refused, by name, and traffic goes on")
    since = len(tombolo.lines)
    edit(routes, "weight: 100", "weight: hundred")
    tombolo.wait_for(r"error: .*HTTPRoute shop/web.*weight.*keeps serving", since)
    if shares(client)["web-v2"] != 200:
        raise Broken("the last good content did not keep serving")
    done("the last good content keeps serving")
    edit(routes, "weight: hundred", "weight: 100")
    tombolo.wait_for(r"resolved: HTTPRoute shop/web", since)


def play(tombolo, directory, vm):
    say("1. A gateway before two services")
    address, port = tombolo.wait_for(r"gateway shop/front: http://([\d.]+)(?::(\d+))?").groups()
    port = int(port or 80)
    client = Client(address, port)
    until("the gateway answers", lambda: client.get("/")[0] == 200)
    done(f"GET http://{address}:{port}/ is answered")
    traffic = Traffic(address, port)
    traffic.start()
    canary(client, directory / "routes.yaml")
    machines(client)
    identities(client, vm)
    new_route(client, directory)
    bad_edit(tombolo, client, directory / "routes.yaml")
    outlive(tombolo, client, vm)
    traffic.over.set()
    traffic.join()
    if traffic.failed:
        raise Broken(f"{len(traffic.failed)} of {traffic.sent} requests failed: {traffic.failed[0]}")
    say(f"{traffic.sent} requests ran alongside; not one failed.")
    return f"http://{address}:{port}"


def stay(tombolo, directory, url):
    say("It stays up. Try:")
    print(f"  curl {url}/          curl {url}/orders/7\n  edit the files in {directory}\n  Ctrl-C ends it", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        tombolo.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tombolo", required=True, help="the tombolo program")
    parser.add_argument("--envoy", required=True, help="the Envoy program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tombolo-demo-") as scratch:
        directory = pathlib.Path(scratch, "manifests")
        vm = prepare(directory)
        tombolo = Tombolo(arguments.tombolo, arguments.envoy, directory, str(pathlib.Path(scratch, "state")))
        try:
            url = play(tombolo, directory, vm)
            if INTERACTIVE:
                stay(tombolo, directory, url)
        finally:
            tombolo.stop()
    say("Nothing is left running.")


if __name__ == "__main__":
    try:
        main()
    except Broken as broken:
        sys.exit(f"\nnot as promised: {broken}")
    except KeyboardInterrupt:
        sys.exit(130)
