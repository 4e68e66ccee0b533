"""Least privilege: what roles grant is what was used, by the audit log, and each account can do what the chart says."""

import json
import pathlib
import tempfile

from kubernetes.common import ROOT, until

from . import audit
from .mesh import DISCOVERY, PROGRAMS_NEEDED, SYSTEM, MeshTest
from .support import PATIENCE, ROOT_NEEDED

ACCOUNT = "system:serviceaccount:"
OPERATOR, CONTROL_PLANE = f"{ACCOUNT}{SYSTEM}:tombolo-operator", f"{ACCOUNT}{SYSTEM}:{DISCOVERY}"
GATEWAY, NOBODY = f"{ACCOUNT}shop:edge-tombolo", f"{ACCOUNT}shop:default"
NAMED = "app.kubernetes.io/name"
DISCOVERY_PODS, OPERATOR_PODS = f"{NAMED}=tombolo-discovery", f"{NAMED}=tombolo-operator"
GATEWAY_PODS = "gateway.networking.k8s.io/gateway-name=edge"

# What neither the shop nor a mesh that stays as it is needs a permission for.
BUSY = """
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: busy, namespace: permissions}
    data:
      horizontalPodAutoscaler: "spec: {minReplicas: 1, maxReplicas: 2}"
      podDisruptionBudget: "spec: {maxUnavailable: 1}"
    ---
    apiVersion: gateway.networking.k8s.io/v1
    kind: Gateway
    metadata: {name: busy, namespace: permissions, annotations: {networking.istio.io/service-type: NodePort}}
    spec:
      gatewayClassName: tombolo
      listeners: [{name: http, port: 80, protocol: HTTP}]
      infrastructure: {parametersRef: {group: "", kind: ConfigMap, name: busy}}
    ---
    apiVersion: networking.istio.io/v1
    kind: WorkloadGroup
    metadata: {name: probed, namespace: permissions}
    spec: {template: {}, probe: {tcpSocket: {port: 80}}}
    ---
    apiVersion: networking.istio.io/v1
    kind: WorkloadEntry
    metadata: {name: probed, namespace: permissions, annotations: {istio.io/autoRegistrationGroup: probed}}
    spec: {address: 10.98.9.2}
    ---
    apiVersion: v1
    kind: Secret
    metadata: {name: join, namespace: permissions}
"""
# What takes longer than a test, or another cluster, to be needed.
SELDOM = {
    ("", "secrets", "patch", "tombolo-ca"): "the root's next step, months later",
    ("authentication.k8s.io", "tokenreviews", "create", ""): "where the API server's keys cannot be read",
    **{
        ("apiextensions.k8s.io", "customresourcedefinitions", "create", file.stem): "the chart brings them, and this test deletes one"
        for file in (ROOT / "charts" / "tombolo" / "crds").glob("*.yaml")
        if file.stem != "workloadgroups.networking.istio.io"
    },
}
VERSION = "mesh.tombolo.dev/crd-version"
MORE = {"deletionPolicy": "RefuseWhileConnected", "discovery": {"autoscaling": {"minReplicas": 2, "maxReplicas": 3}, "networkPolicy": True}}
LESS = {"deletionPolicy": None, "discovery": {"autoscaling": None, "networkPolicy": None, "replicas": 2}}
MADE = ("serviceaccount", "service", "deployment", "horizontalpodautoscaler", "poddisruptionbudget")

# Objects of another version's making: labelled as the revision's, with an owner to come. {api: kinds}
STRAYS = {
    "v1": ("ServiceAccount", "ConfigMap", "Service"),
    "apps/v1": ("Deployment",),
    "policy/v1": ("PodDisruptionBudget",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "stray"}
POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
SPECS = {
    "Service": {"spec": {"ports": [{"port": 80}]}},
    "Deployment": {"spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": POD}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
    "HorizontalPodAutoscaler": {"spec": {"maxReplicas": 1, "scaleTargetRef": TARGET}},
    "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
    "RoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "stray"}},
    "ClusterRoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "stray"}},
}


@ROOT_NEEDED
@PROGRAMS_NEEDED
class PermissionsTest(MeshTest):
    def test_what_is_granted_is_used_and_what_is_used_is_granted(self):
        renewed = ("CustomResourceDefinition",)
        before, began = self.mesh.contents(renewed), self.mesh.audit.now()
        self.live_a_full_life()
        requests = list(self.mesh.audit.requests(by=(OPERATOR, CONTROL_PLANE, GATEWAY)))
        # A control plane that is deleted, roles and all, asks in vain to give its Lease back: what other tests did does not count.
        lately = self.mesh.audit.requests(began, (OPERATOR, CONTROL_PLANE))
        self.assertEqual(audit.refused(lately), [], "asked for, and not granted")
        self.assertEqual([request["requestURI"] for request in requests if audit.user(request) == GATEWAY], [], "a proxy asks nobody")
        handed_out = audit.granted(rule for rules in self.handed_out() for rule in rules)
        chart = audit.granted(self.rules(self.rendered(), "ClusterRole", "Role"))
        # What is granted for all names is granted for each.
        beyond = {permission for permission in handed_out if not {permission, (*permission[:3], "")} & chart}
        self.assertEqual(sorted(beyond), [], "it cannot hand out what it may not do")
        for account, permissions in (
            (CONTROL_PLANE, handed_out),
            (OPERATOR, chart - handed_out),
        ):
            with self.subTest(account):
                uses = audit.used(request for request in requests if audit.user(request) == account)
                self.assertEqual(set(audit.unused(permissions, uses)) - SELDOM.keys(), set(), "granted, and not used")
        self.until_equal(before, renewed)

    def live_a_full_life(self):
        """Does what makes each permission needed, whatever other tests did before."""
        self.addCleanup(self.mesh.kubectl, "delete", "namespace", "permissions", "--ignore-not-found")
        self.mesh.kubectl("create", "namespace", "permissions")
        self.mesh.apply(BUSY)
        self.mesh.wait("condition=Programmed", "gateway/busy", "permissions")
        reached = self.mesh.field("gateway/busy", ".status.addresses[*].value", "permissions")
        within = '.items[*].status.addresses[?(@.type=="InternalIP")].address'
        self.assertEqual(reached.split(), sorted(self.mesh.field("nodes", within).split()), "open on every node")
        self.ask_for_certificates()
        self.put_back_roots()
        self.replace_definitions()
        self.mesh.settings(MORE)
        self.mesh.until_settled()
        self.mesh.settings(LESS)
        self.prune_strays()
        self.mesh.until_settled()
        self.mesh.settings({"discovery": None})
        self.mesh.until_settled()
        self.mesh.patch("gateway/busy", {"spec": {"addresses": [{"type": "Hostname", "value": "elsewhere.example.com"}]}}, "permissions")
        made = [f"{kind}/busy-tombolo" for kind in MADE]
        words = ("get", *made, "--namespace=permissions", "--ignore-not-found", "--output=name")
        until("what was made for the Gateway goes", PATIENCE, lambda: not self.mesh.kubectl(*words), self.mesh.state)
        self.mesh.kubectl("delete", "namespace", "permissions")

    def ask_for_certificates(self):
        """Tokens that are bound to what is not seen by watching: it is asked for."""
        pod = self.mesh.field("pods", ".items[0].metadata.name", "permissions")
        unbound, dead = self.token("default"), self.token("default", "--bound-object-kind=Secret", "--bound-object-name=join")
        gone = self.token("busy-tombolo", "--bound-object-kind=Pod", f"--bound-object-name={pod}")
        self.mesh.kubectl("delete", "pod", pod, "--namespace=permissions", "--grace-period=0", "--force")
        self.mesh.kubectl("delete", "secret", "join", "--namespace=permissions")
        self.assertIn("grpc-status: 3", self.sign(unbound), "there is no request in it")
        self.assertIn("grpc-status: 7", self.sign(dead))
        self.assertIn("grpc-status: 7", self.sign(gone))

    def token(self, account, *bound):
        return self.mesh.kubectl("create", "token", account, "--namespace=permissions", "--audience=istio-ca", *bound).strip()

    def sign(self, token):
        """Asks for a certificate, without a request in it, and returns what is answered."""
        address = self.mesh.field("service/tombolo-discovery", ".spec.clusterIP", SYSTEM)
        url = f"https://{address}:15012/istio.v1.auth.IstioCertificateService/CreateCertificate"
        words = ["curl", "--silent", "--insecure", "--http2", "--include", url, "--header", "content-type: application/grpc"]
        words += ["--header", "te: trailers", "--header", f"authorization: Bearer {token}", "--data-binary", "@-"]
        return self.mesh.run("exec", "--", *words, input="\0" * 5)

    def put_back_roots(self):
        for name in ("tombolo-ca-root-cert", "istio-ca-root-cert"):
            root = self.mesh.field(f"configmap/{name}", ".data", "permissions")
            self.mesh.patch(f"configmap/{name}", {"data": {"root-cert.pem": "another"}}, "permissions")
            until("the root is put back", PATIENCE, lambda: self.mesh.field(f"configmap/{name}", ".data", "permissions") == root)

    def replace_definitions(self):
        """Definitions of ours that are older, and one that is missing; none is of a kind that is in use."""
        items = self.mesh.get("customresourcedefinitions")["items"]
        definitions = [item["metadata"]["name"] for item in items if VERSION in item["metadata"].get("annotations", {})]
        self.assertEqual(len(definitions), 6)
        self.mesh.kubectl("annotate", "--overwrite", "customresourcedefinitions", *definitions, f"{VERSION}=0.0.1")
        self.mesh.kubectl("delete", "workloadgroups", "--all", "--all-namespaces")
        deleted, before = "workloadgroups.networking.istio.io", {item["metadata"]["uid"] for item in items}
        # It is there again at once, and kubectl may take the new one for the old one, and wait for its end.
        self.mesh.kubectl("delete", "customresourcedefinition", deleted, "--wait=false")

        def current():
            items = [item["metadata"] for item in self.mesh.get("customresourcedefinitions")["items"]]
            replaced = any(item["name"] == deleted and item["uid"] not in before for item in items)
            versions = [item.get("annotations", {}).get(VERSION) for item in items]
            return replaced and versions.count(self.mesh.version()) == 6

        until("all are of this version", PATIENCE, current, self.mesh.state)

    def prune_strays(self):
        """What is no longer wanted goes, and what only looks like it stays."""
        uid = self.mesh.field("meshrevision/default", ".metadata.uid")
        owner = {"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshRevision", "name": "default", "uid": uid}
        made = [self.stray(api, kind, "stray", [owner]) for api, kinds in STRAYS.items() for kind in kinds]
        made.append(self.stray("v1", "ConfigMap", "not-ours", []))
        self.mesh.kubectl("create", "--filename=-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))

        def strays():
            return sorted(key for key in self.mesh.objects() if key[2] in ("stray", "not-ours"))

        kept = [("ConfigMap", SYSTEM, "not-ours")]
        until("strays are pruned", PATIENCE, lambda: strays() == kept, lambda: str(strays()))
        self.mesh.kubectl("delete", "configmap", "not-ours", f"--namespace={SYSTEM}")

    def stray(self, api, kind, name, owners):
        labels = {"app.kubernetes.io/managed-by": "tombolo-operator", "istio.io/rev": "default"}
        metadata = {"name": name, "namespace": SYSTEM, "labels": labels, "ownerReferences": owners}
        if kind.startswith("Cluster"):
            del metadata["namespace"]
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **SPECS.get(kind, {})}

    def test_each_account_can_do_what_the_chart_says_and_no_more(self):
        """Each is asked by the token that its own pod was given; a proxy's is for control planes, and this API server takes it too."""
        cluster, namespaced = self.handed_out()
        objects = self.rendered()
        nobody = self.account(NOBODY, self.mesh.kubectl("create", "token", "default", "--namespace=shop"))
        control_plane, operator, proxy = map(self.pod, (DISCOVERY_PODS, OPERATOR_PODS, GATEWAY_PODS), (SYSTEM, SYSTEM, "shop"))
        with self.assertRaises(FileNotFoundError, msg="a proxy has no token for the API server"):
            self.mesh.own_token(proxy)
        for account, token, everywhere, here in (
            (CONTROL_PLANE, self.mesh.own_token(control_plane), cluster, namespaced),
            (OPERATOR, self.mesh.own_token(operator), self.rules(objects, "ClusterRole"), self.rules(objects, "Role")),
            (GATEWAY, self.mesh.own_token(proxy, "tokens/istio-token"), [], []),
        ):
            asker = self.account(account, token)
            for namespace, rules in ((SYSTEM, everywhere + here), ("shop", everywhere)):
                with self.subTest(account, namespace=namespace):
                    can, anybody = self.can(asker, namespace), self.can(nobody, namespace)
                    self.assertEqual(sorted(can - anybody), sorted(audit.granted(rules) - anybody))
                    self.assertFalse({verb for _, _, verb, _ in can} & {"*", "escalate", "bind", "impersonate"})
                    self.assertFalse({kind for group, kind, _, _ in can if "*" in (group, kind)})

    def pod(self, label, namespace):
        """One that runs, and is not about to end."""
        running = ("--field-selector=status.phase=Running", f"--selector={label}", f"--namespace={namespace}")
        pods = [pod["metadata"] for pod in self.mesh.get("pods", *running)["items"]]
        return next(pod["name"] for pod in pods if "deletionTimestamp" not in pod)

    def account(self, account, token):
        """A kubeconfig by which the API server takes whoever asks for this account."""
        asker = self.kubeconfig(token)
        who = json.loads(self.mesh.kubectl(f"--kubeconfig={asker}", "auth", "whoami", "--output=json"))
        self.assertEqual(who["status"]["userInfo"]["username"], account)
        return asker

    def kubeconfig(self, token):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return self.mesh.kubeconfig(pathlib.Path(directory.name, "kubeconfig"), token.strip())

    def can(self, asker, namespace):
        """What `kubectl auth can-i --list` shows, as data."""
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
        words = ("create", "--validate=false", "--filename=-", "--output=json", f"--kubeconfig={asker}")
        status = json.loads(self.mesh.kubectl(*words, input=json.dumps(review)))["status"]
        return audit.granted([*status["resourceRules"], *status["nonResourceRules"]])

    def handed_out(self):
        """The rules of the control plane's roles, in the cluster and in its namespace."""
        roles = (("clusterrole", ""), ("role", SYSTEM))
        return [self.mesh.get(f"{kind}/{DISCOVERY}", f"--namespace={namespace}")["rules"] for kind, namespace in roles]

    def rendered(self):
        """The chart's objects, as Helm says them."""
        printed = self.mesh.run("exec", "--", "helm", "template", "tombolo", ROOT / "charts" / "tombolo", f"--namespace={SYSTEM}")
        return self.mesh.read(printed)

    @staticmethod
    def rules(objects, *kinds):
        return [rule for item in objects if item["kind"] in kinds for rule in item["rules"]]
