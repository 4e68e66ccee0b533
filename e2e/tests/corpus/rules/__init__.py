"""By hand: an object for each CEL rule, and for what schemas ask for in ways of their own.

A case is the place of the rule in the schema, a part of its message that no other rule there has (or the schema's keyword), the name of a good
object, and what is changed in a copy of it. Without such a part nothing is claimed: both have to say the same, or `STRICTER` says why not.
"""

from . import experimental, gateway, http_route, istio, mesh

CASES = {**gateway.CASES, **http_route.CASES, **istio.CASES, **mesh.CASES}  # by kind
EXPERIMENTAL = experimental.CASES  # likewise, of the Gateway API's experimental channel
