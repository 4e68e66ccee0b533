//! A real API server on loopback, with the mesh in it: `e2e/api-server`.

use super::super::{edits::Edit, staging::Stage};
use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{Request, header};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tokio::runtime::Runtime;
use tombolo_bench::fixture::{Mesh, namespace};

/// Objects that are made at once.
const AT_ONCE: usize = 32;
/// Where the fixture's Services have their addresses.
const SERVICES: &str = "172.16.0.0/12";
/// The script's exit status where a program that it needs is missing.
const MISSING: i32 = 3;
/// Namespaces of the control planes themselves.
const INSTALLATIONS: [&str; 2] = ["tombolo-system", "istio-system"];

/// An API server, which ends with this value, and who edits what it has: on the CPU of the load generator.
pub(super) struct ApiServer {
    process: Child,
    /// Of the edits.
    pub(super) runtime: Runtime,
    pub(super) client: Client,
    pub(super) kubeconfig: PathBuf,
}

/// What starting one comes to.
pub(super) enum Started {
    Serving(Box<ApiServer>),
    /// A program that it needs is not there.
    Missing(String),
}

impl ApiServer {
    /// Starts one.
    pub(super) fn start(stage: &Stage) -> anyhow::Result<Started> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/api-server");
        let mut command = Command::new(&script);
        command.arg("--service-range").arg(SERVICES);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (process, runtime) = stage.beside(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            (command.spawn(), runtime)
        })?;
        let mut process = process.with_context(|| script.display().to_string())?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        if line.trim().is_empty() {
            return ended(process);
        }
        let (kubeconfig, runtime) = (PathBuf::from(line.trim()), runtime?);
        let client = runtime.block_on(client(&kubeconfig))?;
        Ok(Started::Serving(Box::new(Self { process, runtime, client, kubeconfig })))
    }

    /// Makes everything that a mesh has.
    pub(super) fn fill(&self, mesh: Mesh) -> anyhow::Result<()> {
        let installations = INSTALLATIONS.map(namespace);
        let namespaces = (0..mesh.namespaces).map(|nth| namespace(&Mesh::namespace_name(nth)));
        let all = installations.into_iter().chain(namespaces);
        let rest = mesh.manifests().filter(|object| object["kind"] != "Namespace");
        self.runtime.block_on(async {
            for objects in [all.collect::<Vec<_>>(), rest.collect()] {
                let made = objects.into_iter().map(|object| self.create(object));
                stream::iter(made).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
            }
            Ok(())
        })
    }

    async fn create(&self, mut object: Value) -> anyhow::Result<()> {
        // The API server gives addresses; it has taken the first one itself.
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        let request = Request::post(collection(&object)?).header(header::CONTENT_TYPE, "application/json");
        self.client.request_text(request.body(serde_json::to_vec(&object)?)?).await?;
        Ok(())
    }

    /// Writes an edit.
    pub(super) async fn write(client: &Client, edit: &Edit) -> anyhow::Result<()> {
        let object: Value = serde_json::from_str(&edit.text)?;
        let name = object["metadata"]["name"].as_str().context("a manifest without a name")?;
        let request = Request::put(format!("{}/{name}", collection(&object)?));
        let request = request.header(header::CONTENT_TYPE, "application/json").body(edit.text.clone().into_bytes())?;
        client.request_text(request).await?;
        Ok(())
    }

    /// Reads all of a collection without looking at it; how many bytes that is.
    pub(super) async fn read(client: &Client, path: &str) -> anyhow::Result<usize> {
        Ok(client.request_text(Request::get(path).body(Vec::new())?).await?.len())
    }

    /// The version from which a watch of a collection goes on.
    pub(super) async fn version(client: &Client, path: &str) -> anyhow::Result<String> {
        let page = client.request_text(Request::get(format!("{path}?limit=1")).body(Vec::new())?).await?;
        let page: Value = serde_json::from_str(&page)?;
        Ok(page["metadata"]["resourceVersion"].as_str().context("a list without a version")?.to_owned())
    }
}

/// A client of its own.
pub(super) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let (file, options) = (Kubeconfig::read_from(kubeconfig)?, KubeConfigOptions::default());
    Ok(Client::try_from(Config::from_custom_kubeconfig(file, &options).await?)?)
}

/// Where objects of its kind are in its namespace.
fn collection(object: &Value) -> anyhow::Result<String> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    Ok(match object["kind"].as_str() {
        Some("Namespace") => "/api/v1/namespaces".to_owned(),
        Some("Service") => format!("/api/v1/namespaces/{namespace}/services"),
        Some("EndpointSlice") => format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
        _ => bail!("no object of the fixture: {}", json!(object)),
    })
}

fn ended(mut process: Child) -> anyhow::Result<Started> {
    let mut said = String::new();
    if let Some(mut errors) = process.stderr.take() {
        errors.read_to_string(&mut said)?;
    }
    match process.wait()?.code() {
        Some(MISSING) => Ok(Started::Missing(said.trim().to_owned())),
        _ => bail!("e2e/api-server: {}", said.trim()),
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // It ends, with all that it has started, once its input does.
        drop(self.process.stdin.take());
        _ = self.process.wait();
    }
}
