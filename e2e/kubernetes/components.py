"""The programs of a node, with their arguments and configuration files."""

import json
import shutil

from . import network
from .common import HERE, PATH

ISSUER = "https://kubernetes.default.svc.cluster.local"
PAUSE = "tombolo.dev/pause:1"
AT_ONCE = ["etcd", "kube-apiserver", "containerd"]
WITH_API_SERVER = ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "load-balancer"]
NAMES = AT_ONCE + WITH_API_SERVER

SNAPSHOTTERS = ["aufs", "btrfs", "devmapper", "zfs"]  # those that are not used, and complain where the kernel lacks them

# What the kubelet would set on the whole machine. It finds it set already, in files that only the node sees.
KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def environment(cluster):
    return {"PATH": PATH, "HOME": str(cluster.directory / "tmp"), "TMPDIR": str(cluster.directory / "tmp")}


def command(cluster, name):
    """The command line of a component."""
    arguments = {
        "etcd": _etcd,
        "kube-apiserver": _api_server,
        "containerd": _containerd,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
        "kubelet": _kubelet,
        "kube-proxy": _proxy,
        "load-balancer": _load_balancer,
    }
    program, *words = arguments[name](cluster)
    found = shutil.which(program, path=f"{cluster.directory / 'bin'}:{PATH}")
    return [found, *words]


def _etcd(cluster):
    return ["etcd", f"--data-dir={cluster.directory / 'etcd'}", "--unsafe-no-fsync", "--logger=zap", "--log-level=warn"]


def _api_server(cluster):
    pki = cluster.pki.path
    return [
        "kube-apiserver",
        f"--advertise-address={network.NODE}",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={network.SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--client-ca-file={pki('ca.crt')}",
        f"--tls-cert-file={pki('apiserver.crt')}",
        f"--tls-private-key-file={pki('apiserver.key')}",
        f"--kubelet-certificate-authority={pki('ca.crt')}",
        f"--kubelet-client-certificate={pki('admin.crt')}",
        f"--kubelet-client-key={pki('admin.key')}",
        "--kubelet-preferred-address-types=InternalIP",  # by its name, the node could not be found
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki('service-accounts.pub')}",
        f"--service-account-signing-key-file={pki('service-accounts.key')}",
        f"--api-audiences={ISSUER},istio-ca",
        f"--requestheader-client-ca-file={pki('front-proxy-ca.crt')}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki('front-proxy.crt')}",
        f"--proxy-client-key-file={pki('front-proxy.key')}",
        f"--audit-policy-file={HERE / 'manifests' / 'audit.yaml'}",
        f"--audit-log-path={cluster.audit_log}",
        "--audit-log-maxsize=2000",  # MB
        "--audit-log-maxbackup=1",
    ]


def _controller_manager(cluster):
    pki = cluster.pki.path
    return [
        "kube-controller-manager",
        f"--kubeconfig={pki('kube-controller-manager.kubeconfig')}",
        "--leader-elect=false",
        # Of several, one that lost the API server makes way for one that has yet to hear of the node. This one would take the node for
        # lost when the API server is back, and all its pods for not ready, before the kubelet can say a word.
        "--node-monitor-grace-period=10m",
        "--use-service-account-credentials",
        "--allocate-node-cidrs",
        f"--cluster-cidr={network.PODS}",
        f"--service-account-private-key-file={pki('service-accounts.key')}",
        f"--root-ca-file={pki('ca.crt')}",
        f"--cluster-signing-cert-file={pki('ca.crt')}",
        f"--cluster-signing-key-file={pki('ca.key')}",
    ]


def _scheduler(cluster):
    return ["kube-scheduler", f"--kubeconfig={cluster.pki.path('kube-scheduler.kubeconfig')}", "--leader-elect=false"]


def _containerd(cluster):
    return ["containerd", f"--config={cluster.directory / 'containerd.toml'}"]


def _kubelet(cluster):
    return [
        "kubelet",
        f"--config={cluster.directory / 'kubelet.json'}",
        f"--kubeconfig={cluster.pki.path('node.kubeconfig')}",
        "--hostname-override=node0",
        f"--node-ip={network.NODE}",
    ]


def _proxy(cluster):
    return ["kube-proxy", f"--config={cluster.directory / 'kube-proxy.json'}"]


def _load_balancer(cluster):
    return ["load-balancer", f"--kubeconfig={cluster.pki.path('load-balancer.kubeconfig')}", f"--pool={network.LOAD_BALANCERS}"]


def write_configuration(cluster):
    """Writes what the components read, all below the cluster's directory."""
    directory = cluster.directory
    files = {
        "containerd.toml": _containerd_configuration(directory),
        "cni/pods.conflist": network.pod_network(),
        "kubelet.json": json.dumps(_kubelet_configuration(cluster), indent=2),
        "kube-proxy.json": json.dumps(_proxy_configuration(cluster), indent=2),
        "resolv.conf": "# Names outside the cluster are not to be had in it.\n",
        **{f"kernel/{name}": f"{value}\n" for name, value in KERNEL.items()},
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def kernel_layout(directory):
    """How the node comes to see its kernel settings: see init.py."""
    return [f"{directory / 'kernel' / name}:/proc/sys/{name}" for name in KERNEL]


# Where there is no CAP_SYS_RESOURCE, runc cannot set the oom score that it is asked for, and says "can't get final child's PID".
def _containerd_configuration(directory):
    return f"""version = 2
disabled_plugins = [{", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in SNAPSHOTTERS)}]

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory / "cni"}"
"""


def _kubelet_configuration(cluster):
    pki = cluster.pki.path
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki("ca.crt"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki("node.crt")),
        "tlsPrivateKeyFile": str(pki("node.key")),
        "clusterDNS": [network.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": str(cluster.directory / "resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cluster.cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "volumePluginDir": "/var/lib/kubelet/plugins",
        "serializeImagePulls": False,
        "maxPods": 250,
        # The images came by hand and could not be fetched again, so they are never cleared away for space.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }


def _proxy_configuration(cluster):
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": network.PODS,
        "hostnameOverride": "node0",
        "clientConnection": {"kubeconfig": str(cluster.pki.path("kube-proxy.kubeconfig"))},
        "conntrack": {"maxPerCore": 0},  # the table's size is the whole machine's
    }
