//! Who this workload is: its key, its certificate, and the roots that it trusts; served to Envoy by SDS.
