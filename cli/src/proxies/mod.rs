//! `tombolo status` and `tombolo proxy-config`: what a running control plane says of the proxies that are connected to it.
//!
//! `name` and `fleet` decide, and do no I/O; `source` and `cluster` ask; `text` is what people see.

mod cluster;
mod fleet;
mod name;
mod page;
mod source;
mod text;
mod watching;

use crate::{
    args::{Output, ProxyConfigArgs, StatusArgs},
    terminal::{self, Style, paint},
};
use anyhow::Context as _;
use fleet::Fleet;
use serde::Serialize;
use serde_json::Value;
use source::Source;
use std::{future::Future, process::ExitCode};
use text::Resource;

/// Shows every proxy that is connected, and whether it has what it should.
pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    wait(async {
        let source = Source::open(&args.source).await?;
        let (proxies, metrics) = tokio::join!(source.ask_all("/debug/proxies"), source.ask_all("/metrics"));
        let mut fleet = Fleet::of(proxies?)?;
        fleet.watch(metrics?);
        match args.output {
            Output::Text => text::fleet(&fleet, &source.to_string()).iter().for_each(|line| terminal::line(line)),
            other => print(&fleet, other)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Shows what one proxy has been told: names and versions, or all of it.
pub(crate) fn proxy_config(args: &ProxyConfigArgs) -> anyhow::Result<ExitCode> {
    wait(async {
        let source = Source::open(&args.source).await?;
        let fleet = Fleet::of(source.ask_all("/debug/proxies").await?)?;
        for (replica, why) in fleet.silent() {
            terminal::note(&paint(Style::Yellow, &format!("unreachable: {}: {why}", replica.name)));
        }
        let found = fleet.find(&args.proxy)?;
        let page = if args.output == Output::Text { "resources" } else { "config" };
        let path = page::query(&format!("/debug/{page}"), &asked(args, &found.connected.proxy));
        let body = source.ask(found.replica, &path).await?;
        if args.output == Output::Text {
            let resources: Vec<Resource> =
                serde_json::from_slice(&body).with_context(|| other_version(found.replica))?;
            text::resources(found, &resources).iter().for_each(|line| terminal::line(line));
        } else {
            print(&serde_json::from_slice::<Value>(&body).with_context(|| other_version(found.replica))?, args.output)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn asked<'a>(args: &'a ProxyConfigArgs, proxy: &'a str) -> Vec<(&'static str, &'a str)> {
    let kind = args.kind.map(|kind| ("type", kind.short()));
    let name = args.name.as_deref().map(|name| ("name", name));
    [("proxy", proxy)].into_iter().chain(kind).chain(name).collect()
}

fn other_version(replica: &source::Replica) -> String {
    format!("{} answers something else than this version of tombolo knows", replica.name)
}

fn print(value: &impl Serialize, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(value)?,
        _ => serde_saphyr::to_string(value).context("cannot print as YAML; try -o json")?,
    };
    terminal::line(text.trim_end());
    Ok(())
}

fn wait<T>(act: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(act);
    // Streams that are still open need not be waited for.
    runtime.shutdown_background();
    done
}
