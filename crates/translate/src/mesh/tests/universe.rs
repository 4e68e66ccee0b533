//! A small world in which much can go wrong: objects that share hosts, addresses, ports, labels and names.

/// The objects, and for each what may stand in it: the fields after its metadata.
pub(super) const SLOTS: &[&[&str]] = &[
    &[
        "Service a web",
        "spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: web}]}",
        "spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 80}, {name: http-alt, port: 81}]}",
        "spec: {type: ExternalName, externalName: example.com, ports: [{name: http, port: 80}]}",
        "spec: {clusterIP: None, trafficDistribution: PreferClose, ports: [{name: http, port: 80}, {name: tls, port: 443}]}",
    ],
    &[
        "Service b web",
        "spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}, {name: mysql, port: 81}]}",
        "spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 80}, {name: http, port: 81}], sessionAffinity: ClientIP}",
    ],
    &[
        "EndpointSlice a one",
        "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.1.0.1], zone: z1, nodeName: n1}, {addresses: [10.1.0.2], zone: z2}]",
        "addressType: IPv4\nports: [{name: http, port: 8080}, {name: tcp, port: 70}]\nendpoints: [{addresses: [10.1.0.1], zone: z1, hints: {forZones: [{name: z1}]}}]",
        "addressType: FQDN\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [a.example.com]}]",
        "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.1.0.1], conditions: {ready: false, serving: true, terminating: true}}]",
    ],
    &[
        "EndpointSlice a two",
        "addressType: IPv6\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: ['2001:db8::1'], zone: z1}]",
        "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.1.0.1], conditions: {ready: false}}, {addresses: [10.1.0.3]}]",
    ],
    &[
        "ServiceEntry a web",
        "spec: {hosts: [web.a.svc.cluster.local], resolution: STATIC, ports: [{number: 80, name: http}], endpoints: [{address: 10.2.0.1}]}",
        "spec: {hosts: [web.a.svc.cluster.local], resolution: DNS, ports: [{number: 80, name: http}], endpoints: [{address: x.example.com}]}",
        "spec: {hosts: [web.a, shop.example.com], addresses: [10.0.0.1], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: web}}}",
    ],
    &[
        "ServiceEntry b shop",
        "spec: {hosts: [shop.example.com], resolution: STATIC, ports: [{number: 80, name: http}], endpoints: [{address: 10.2.0.2}], exportTo: ['.']}",
        "spec: {hosts: [shop.example.com], resolution: STATIC, addresses: [10.0.0.1], ports: [{number: 80, name: tcp}, {number: 443, name: tls}], exportTo: [c, a]}",
        "spec: {hosts: [shop.example.com, '*.example.com'], resolution: NONE, ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]}",
        "spec: {hosts: ['*.example.com'], resolution: DYNAMIC_DNS, ports: [{number: 80, name: http, protocol: HTTP}]}",
    ],
    &[
        "ServiceEntry b shop2",
        "spec: {hosts: [shop.example.com], resolution: STATIC, ports: [{number: 80, name: http}, {number: 90, name: tcp}], endpoints: [{address: 10.2.0.3}]}",
        "spec: {hosts: [shop.example.com], addresses: [10.3.0.0/16, 10.0.0.2], resolution: NONE, ports: [{number: 80, name: tcp}, {number: 443, name: tcp-2}]}",
        "spec: {hosts: [shop.example.com, c.example.com], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http2, protocol: HTTP2}, {number: 81, name: tls, protocol: TLS}], exportTo: [c]}",
    ],
    &[
        "ServiceEntry c shop3",
        "spec: {hosts: [shop.example.com], addresses: [10.3.0.0], resolution: STATIC, ports: [{number: 80, name: tcp}, {number: 443, name: tcp-2}], endpoints: [{address: 10.2.0.4}]}",
        "spec: {hosts: [c.example.com, web.b], addresses: [10.0.0.2], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: tls, protocol: TLS}], exportTo: [a, b]}",
    ],
    &[
        "WorkloadGroup a machines",
        "spec: {metadata: {labels: {app: web}}, template: {ports: {web: 9090}, weight: 3}}",
        "spec: {metadata: {labels: {app: api}}, template: {labels: {app: web}, locality: r/z1}}",
    ],
    &[
        "WorkloadEntry a vm",
        "spec: {address: 10.4.0.1}",
        "spec: {address: 10.4.0.1, labels: {app: web}, ports: {web: 7070, http: 6060}}",
        "spec: {address: vm.example.com, labels: {app: web}, ports: {web: 7070}, network: dc}",
        "spec: {address: 10.4.0.1, labels: {app: web, security.istio.io/tlsMode: istio}, serviceAccount: vm}",
    ],
    &[
        "WorkloadEntry a local",
        "spec: {address: 127.0.0.5, labels: {app: web}, ports: {web: 7070, http: 6060}}",
        "spec: {address: 127.0.0.5, labels: {app: web}, ports: {tcp: 15001}, serviceAccount: local}",
        "spec: {address: 127.0.0.1, labels: {app: web}}",
    ],
    &[
        "WorkloadEntry c local",
        "spec: {address: 127.0.0.5, ports: {tcp: 70}}",
        "spec: {address: 127.0.0.6, ports: {http2: 80}}",
    ],
    &[
        "MeshInstallation - mesh",
        "spec: {mesh: {outboundTraffic: RegistryOnly}}",
        "spec: {mesh: {}}",
        "spec: {mesh: {mtls: {mode: STRICT}}}",
    ],
];

/// What stands in a slot; `None` beyond its last content.
pub(super) fn object(slot: usize, content: usize) -> Option<String> {
    let (header, contents) = SLOTS[slot].split_first()?;
    let [kind, namespace, name] = header.split(' ').collect::<Vec<_>>()[..] else { panic!("{header}") };
    let api_version = match kind {
        "Service" => "v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "MeshInstallation" => "mesh.tombolo.dev/v1alpha1",
        _ => "networking.istio.io/v1",
    };
    let namespaced = if namespace == "-" { String::new() } else { format!(", namespace: {namespace}") };
    let extra = match kind {
        "EndpointSlice" => ", labels: {kubernetes.io/service-name: web}",
        "WorkloadEntry" if name == "local" => ", annotations: {mesh.tombolo.dev/agent: local}",
        "WorkloadEntry" => ", annotations: {istio.io/autoRegistrationGroup: machines}",
        _ => "",
    };
    let body = contents.get(content)?;
    Some(format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}{namespaced}{extra}}}\n{body}\n"))
}
