//! Machines that join a `tombolo run` with tokens of an issuer elsewhere, as a cluster's API server signs them.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helpers fail as tests do

mod support;

use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use std::{
    fs,
    fs::File,
    io::{self, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};
use support::{Mesh, Run, envoy, get_from, tombolo, until};
use tempfile::TempDir;
use tombolo_ca::{LocalIssuer, ObjectUid, TokenSpec};

const FROM_FILE: &str = "https://kubernetes.default.svc";
const FROM_URL: &str = "https://issuer.example";

/// A machine's WorkloadEntry: its agent is no business of the run.
const MACHINE: &str = "\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1, namespace: demo}
spec: {address: 127.77.0.1, serviceAccount: web}
";

/// A token as a pod of a cluster has it: bound to a pod that no manifest here speaks of.
fn token(issuer: &LocalIssuer, account: &str) -> String {
    let spec = TokenSpec {
        namespace: "demo",
        service_account: account,
        uid: "6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b",
        pod: Some(ObjectUid { name: "vm-joiner".into(), uid: "0d8f5f1f-2a3b-4c1b-9d53-6f0c9b1e3f0a".into() }),
        secret: None,
        audience: "mesh",
        lifetime: Duration::from_secs(3600),
    };
    issuer.token(&spec, SystemTime::now()).unwrap()
}

/// An agent on a machine, without an Envoy that is of use.
struct Machine {
    directory: TempDir,
    process: Child,
}

impl Machine {
    fn join(discovery: &str, roots: &Path, token: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("token"), token).unwrap();
        let log = File::create(path("log")).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_tombolo")).with_file_name("tombolo-agent");
        let mut command = Command::new(program);
        command.args(["run", "--discovery", discovery, "--namespace", "demo", "--name", "vm-1"]);
        command.args(["--service-account", "web", "--address", "127.77.0.1", "--admin", "127.0.0.1:0"]);
        command.args(["--envoy", "/bin/false"]).env_clear();
        for (flag, value) in [("--state-dir", path("state")), ("--token", path("token")), ("--root-cert", roots.into())]
        {
            command.arg(flag).arg(value);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { directory, process }
    }

    /// Waits until it has a certificate, and says whose.
    fn id(&self) -> String {
        let debug = || {
            let told: Value = serde_json::from_slice(&fs::read(self.path("state/agent.json")).ok()?).ok()?;
            let port = told["admin"].as_str()?.rsplit_once(':')?.1.parse().ok()?;
            let (_, _, page) = get_from(port, "/debug")?;
            let page: Value = serde_json::from_str(&page).ok()?;
            page["identity"]["id"].as_str().map(str::to_owned)
        };
        until("the machine has a certificate", debug)
    }

    /// Waits until its log holds this.
    fn logs(&self, what: &str) {
        until(what, || fs::read_to_string(self.path("log")).unwrap().contains(what).then_some(()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        _ = self.process.kill(); // it may have ended
        _ = self.process.wait();
    }
}

/// Answers every request with a document, over TLS. Whom to trust for that is written to a file.
fn serve_over_tls(document: Vec<u8>, trusted: &Path) -> u16 {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(trusted, cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into());
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(config.clone()).unwrap();
            // Whoever asks sees for himself what went wrong.
            _ = answer(StreamOwned::new(connection, stream), &document);
        }
    });
    port
}

fn answer(mut stream: impl Read + Write, document: &[u8]) -> io::Result<()> {
    _ = stream.read(&mut [0; 4096])?;
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", document.len())?;
    stream.write_all(document)?;
    stream.flush()
}

/// Where a run serves agents, and the file of its roots.
fn way_in(mesh: &Mesh, run: &Run) -> (String, PathBuf) {
    let line = run.says(&["agents on "]);
    let discovery = line.rsplit_once(' ').unwrap().1.to_owned();
    let roots = until("the roots", || mesh.kept("root-cert.pem").into_iter().find(|path| path.is_file()));
    (discovery, roots)
}

#[test]
fn tokens_of_issuers_elsewhere_count_while_their_keys_are_published() {
    let Some(envoy) = envoy() else { return };
    let mesh = Mesh::new(envoy);
    mesh.write("machine.yaml", MACHINE);
    let [first, second] = [(); 2].map(|()| LocalIssuer::create(FROM_FILE).unwrap());
    let remote = LocalIssuer::create(FROM_URL).unwrap();
    let directory = TempDir::new().unwrap();
    let trusted = directory.path().join("trusted.pem");
    let port = serve_over_tls(remote.jwks_document().unwrap(), &trusted);
    let jwks = directory.path().join("jwks.json");
    fs::write(&jwks, first.jwks_document().unwrap()).unwrap();
    let url = format!("https://localhost:{port}/keys");
    let pairs = [FROM_FILE, jwks.to_str().unwrap(), FROM_URL, &url];
    let flags = ["--token-issuer", "--token-jwks"].into_iter().cycle().zip(pairs).flat_map(|(flag, of)| [flag, of]);
    let flags: Vec<_> = flags.chain(["--token-audience", "mesh"]).collect();
    let run = mesh.run_with(&flags, &[("SSL_CERT_FILE", &trusted)]);
    let (discovery, roots) = way_in(&mesh, &run);
    let join = |issuer: &LocalIssuer, account: &str| Machine::join(&discovery, &roots, &token(issuer, account));

    for issuer in [&first, &remote] {
        assert_eq!(join(issuer, "web").id(), "spiffe://cluster.local/ns/demo/sa/web");
    }
    join(&first, "nobody").logs("of ServiceAccount demo/nobody does not exist");

    // The issuer has another key, and publishes it: its tokens count at once, those of before no more.
    let fresh = directory.path().join("jwks.new");
    fs::write(&fresh, second.jwks_document().unwrap()).unwrap();
    fs::rename(fresh, &jwks).unwrap();
    assert_eq!(join(&second, "web").id(), "spiffe://cluster.local/ns/demo/sa/web");
    join(&first, "web").logs("is not among the issuer's keys");
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let directory = TempDir::new().unwrap();
    let jwks = directory.path().join("jwks.json");
    fs::write(&jwks, json!({ "keys": [] }).to_string()).unwrap();
    let refused = |flags: &[&str]| {
        let mut command = tombolo();
        command.arg("run").arg(directory.path()).arg("--state").arg(directory.path().join("s"));
        let output = command.args(["--envoy", "/bin/true", "--agent", "/bin/true"]).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let line = refused(&["--token-issuer", FROM_FILE, "--token-jwks", "/nowhere/jwks.json"]);
    assert!(
        line.contains("--token-jwks") && line.contains("/nowhere/jwks.json") && line.lines().count() == 1,
        "{line}"
    );
    let line = refused(&["--token-issuer", FROM_FILE, "--token-jwks", jwks.to_str().unwrap()]);
    assert!(line.contains("no key to verify with") && line.lines().count() == 1, "{line}");
    let two = ["--token-issuer", "a", "--token-issuer", "b", "--token-jwks", jwks.to_str().unwrap()];
    assert!(refused(&two).contains("2 --token-issuer and 1 --token-jwks"));
    let own = ["--token-issuer", "https://tombolo.local", "--token-jwks", jwks.to_str().unwrap()];
    assert!(refused(&own).contains("this program's own tokens"));
    assert!(refused(&["--token-issuer", "a"]).contains("--token-jwks"));
    assert!(refused(&["--token-issuer", "a", "--token-jwks", "http://issuer.example/keys"]).contains("use https://"));
}
