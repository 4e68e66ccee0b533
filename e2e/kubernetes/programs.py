"""The programs of a cluster: those that Debian has come from it, the others are built once and kept in the cache."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

from . import image
from .common import CACHE, HERE, PATH, ROOT, Broken, locked, output, say
from .components import PAUSE

STORE = CACHE / "cluster"
GO = HERE / "programs"
CONFORMANCE = ROOT / "e2e" / "conformance"
KEEP_FOR = 30 * 24 * 3600  # seconds that what is no longer used stays in the cache

PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "socat": "socat",
    "ethtool": "ethtool",
    "openssl": "openssl",
    "curl": "curl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}


def required(module, go_mod=GO / "go.mod"):
    """The version of a module that a go.mod requires, without the `v`."""
    return re.search(rf"^(?:require)?\s+{re.escape(module)} v(\S+)", go_mod.read_text(), re.MULTILINE)[1]


KUBERNETES = required("k8s.io/kubernetes")
COREDNS = required("github.com/coredns/coredns")
ETCD_VERSION = required("go.etcd.io/etcd/server/v3")
GATEWAY_API = required("sigs.k8s.io/gateway-api", CONFORMANCE / "go.mod")


@dataclasses.dataclass(frozen=True)
class Program:
    """One Go program: `package` is built in the module at `module`, or installed by its own version where that is None."""

    name: str
    version: str
    package: str
    module: pathlib.Path | None = GO
    sources: tuple = ()  # directories in the module that it is built from
    settings: tuple = ()  # what the linker sets
    test: bool = False  # whether it is a test's program
    minutes: int = 1

    @property
    def path(self):
        """Where it is or will be: named by its version and a digest of what it is built from."""
        digest = hashlib.sha256(repr((self.package, self.settings)).encode())
        for file in self._files():
            digest.update(file.read_bytes())
        return STORE / f"{self.name}-{self.version}-{digest.hexdigest()[:8]}" / self.name

    def _files(self):
        if self.module:
            yield from (self.module / "go.mod", self.module / "go.sum")
            for directory in self.sources:
                yield from sorted((self.module / directory).glob("*.go"))

    def build(self):
        """Builds it, unless that was done."""
        if self.path.exists():
            os.utime(self.path.parent)
            return self.path
        with locked(self.path.parent):
            if not self.path.exists():
                say(f"building {self.name} {self.version} (once; about {self.minutes} min on 2 cores)")
                began = time.monotonic()
                self._compile()
                say(f"  {self.name}: {time.monotonic() - began:.0f} s")
        return self.path

    def _compile(self):
        flags = ["-v", "-trimpath", "-ldflags", " ".join(["-s", "-w", *(f"-X {setting}" for setting in self.settings)])]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
        made = self.path.with_suffix(".new")
        if self.module:
            verb = ["test", "-c"] if self.test else ["build"]
            _follow(["go", *verb, *flags, "-o", str(made), self.package], self.module, environment)
            made.rename(self.path)
        else:
            environment["GOBIN"] = str(self.path.parent)
            _follow(["go", "install", *flags, f"{self.package}@v{self.version}"], self.path.parent, environment)
            (self.path.parent / "helm").rename(self.path)


def _helm(name, version, module, settings):
    return Program(name, version, f"{module}/cmd/helm", None, settings=(f"{module}/{settings}=v{version}",), minutes=3)


_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES.split(".")
KUBE = Program(
    "kube",
    KUBERNETES,
    "./kube",
    sources=("kube", "loadbalancer"),
    settings=(f"{_VERSION}.gitVersion=v{KUBERNETES}", f"{_VERSION}.gitMajor={_MAJOR}", f"{_VERSION}.gitMinor={_MINOR}"),
    minutes=6,
)
ETCD = Program("etcd", ETCD_VERSION, "./etcd", sources=("etcd",))
DNS = Program("coredns", COREDNS, "./coredns", sources=("coredns",), minutes=1)
PAUSING = Program("pause", "1", "./pause", sources=("pause",))
HELM = _helm("helm", "4.3.1", "helm.sh/helm/v4", "internal/version.version")
HELM_3 = _helm("helm3", "3.22.0", "helm.sh/helm/v3", "internal/version.version")

# The names under which commands in the cluster find them.
COMMANDS = {
    **{
        name: KUBE
        for name in (
            "kubectl",
            "kubelet",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "load-balancer",
        )
    },
    "etcd": ETCD,
    "helm": HELM,
    "helm3": HELM_3,
}


def build(everything=True):
    """Fills the cache with what a cluster needs; with everything, also with what only some tests use. One at a time does so."""
    with locked(STORE):
        install_packages()
        for program in (KUBE, ETCD, DNS, PAUSING, HELM, *([HELM_3] if everything else [])):
            program.build()
        images()
        for channel in ("standard", "experimental"):
            gateway_api(channel)
        _forget()


def images():
    """The archives that every cluster starts with: the pause image and CoreDNS."""
    archives = []
    wanted = {
        PAUSING: ([PAUSE], {"Entrypoint": ["/pause"], "User": "65535:65535"}),
        DNS: ([f"registry.k8s.io/coredns/coredns:v{COREDNS}"], {"Entrypoint": ["/coredns"]}),
    }
    for program, (tags, config) in wanted.items():
        archive = program.path.with_suffix(".tar")
        if not archive.exists():
            made = archive.with_suffix(".new")
            image.write(made, tags, [image.layer({f"/{program.name}": program.path})], **config)
            made.rename(archive)
        archives.append(archive)
    return archives


def gateway_api(channel):
    """The file with the Gateway API's CRDs of a channel, as the module publishes them."""
    file = STORE / f"gateway-api-{GATEWAY_API}-{channel}.yaml"
    if not file.exists():
        module = json.loads(output("go", "mod", "download", "-json", "sigs.k8s.io/gateway-api", cwd=CONFORMANCE))
        crds = sorted(pathlib.Path(module["Dir"], "config", "crd", channel).glob("gateway.*.yaml"))
        made = file.with_suffix(".new")
        made.write_text("\n---\n".join(crd.read_text() for crd in crds))
        made.rename(file)
    return file


def _follow(command, directory, environment):
    """Runs a build, and says now and then that it goes on."""
    if not shutil.which("go"):
        raise Broken("building a cluster's programs needs Go 1.26 or newer: https://go.dev/dl")
    run = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, lines = time.monotonic(), []
    for line in run.stdout:
        lines.append(line)
        if time.monotonic() - said > 20:
            said = time.monotonic()
            say(f"  {len(lines)} steps, now {line.strip()}")
    if run.wait():
        raise Broken(f"{' '.join(command)}\n{''.join(lines[-20:])}")


def _forget():
    """Removes from the cache what was last used long ago."""
    for entry in STORE.iterdir():
        if entry.stat().st_mtime < time.time() - KEEP_FOR:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def install_packages():
    """Installs the Debian packages of programs that are missing."""
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program, path=PATH)})
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Broken(f"programs are missing; as root on Debian or Ubuntu, run: apt-get install {' '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        output("apt-get", "update", "--quiet", env=environment)
        output("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing, env=environment)


@contextlib.contextmanager
def _no_services():
    """Debian starts the daemons that it installs, unless this file forbids it. These are to run in clusters only."""
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
