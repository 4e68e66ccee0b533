"""Questions to a cluster's API server that are asked often: kubectl takes half a second of CPU time for one."""

import http.client
import json
import ssl

from . import namespaces, network


class Api:
    def __init__(self, node, pki):
        self.node, self.pki = node, pki

    def get(self, path):
        """The body of a good answer; None where there is none, for whatever reason."""
        try:
            context = ssl.create_default_context(cafile=self.pki.path("ca.crt"))
            context.load_cert_chain(self.pki.path("admin.crt"), self.pki.path("admin.key"))
            connection = http.client.HTTPSConnection(network.NODE, 6443, timeout=5, context=context)
            with namespaces.visiting(self.node.pid, namespaces.NETWORK):
                connection.connect()
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None

    def holds(self, condition, path):
        """Whether an object has a condition with the status True."""
        answer = json.loads(self.get(path) or "{}")
        conditions = answer.get("status", {}).get("conditions", [])
        return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)
