//! The command line.

use crate::run::KeySource;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::{net::SocketAddr, path::PathBuf};

/// A service mesh on stock Envoy, from the manifests you have.
#[derive(Debug, Parser)]
#[command(name = "tombolo", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check manifests, and what they come to together
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(ValidateArgs),
    /// Show what each proxy would get, and each object's status
    #[command(after_help = TRANSLATE_EXAMPLES)]
    Translate(TranslateArgs),
    /// Serve a directory of manifests with Envoys of its own; edits apply as they are saved
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Show every proxy that is connected to a control plane, and whether it has what it should
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Show what a control plane has told one proxy
    #[command(after_help = PROXY_CONFIG_EXAMPLES)]
    ProxyConfig(ProxyConfigArgs),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ValidateArgs {
    /// A file, a directory (with all below), or - for standard input; may be repeated
    #[arg(short, long = "file", value_name = "PATH", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// How to print what is found
    #[arg(short, long, value_enum, default_value_t = Report::Text)]
    pub(crate) output: Report,
    /// Count warnings as problems
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TranslateArgs {
    /// A file, a directory (with all below), or - for standard input; may be repeated
    #[arg(short, long = "file", value_name = "PATH", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// Print this proxy's resources: a name from the list that is printed without it, or an Envoy's node id
    #[arg(long, value_name = "ID")]
    pub(crate) proxy: Option<String>,
    /// Only resources of this type
    #[arg(long = "type", value_name = "TYPE", value_enum, requires = "proxy")]
    pub(crate) kind: Option<Type>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) output: Format,
    /// Print each object's status instead
    #[arg(long, conflicts_with_all = ["proxy", "kind"])]
    pub(crate) status: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The directory of manifests: read with all below, never written to
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// The Envoy program; looked for on PATH and where `make envoy` puts it if not given
    #[arg(long, value_name = "PATH", env = "ENVOY_BIN")]
    pub(crate) envoy: Option<PathBuf>,
    /// What must outlive a restart is kept here; by default below $XDG_STATE_HOME/tombolo, one for each DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Serve /metrics, /healthz/ready and /debug here: a loopback address, as it asks nobody who he is
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// The agent's program; looked for beside this one and on PATH if not given
    #[arg(long, value_name = "PATH", env = "TOMBOLO_AGENT")]
    pub(crate) agent: Option<PathBuf>,
    /// Serve agents here, over TLS; by default a free port of 127.0.0.1, the same after a restart
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Serve xDS here in plaintext too: a loopback address, as it asks nobody who he is and hands out keys
    #[arg(long, value_name = "ADDR")]
    pub(crate) xds: Option<SocketAddr>,
    /// Seconds that an Envoy is given to finish its requests before it is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) drain: u64,
    #[command(flatten)]
    pub(crate) tokens: TokenArgs,
}

/// Whose tokens count besides those that `run` makes itself.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct TokenArgs {
    /// Take ServiceAccount tokens of this issuer too (their `iss`), such as a cluster's API server; may be repeated
    #[arg(long = "token-issuer", value_name = "ISSUER", requires = "jwks")]
    pub(crate) issuers: Vec<String>,
    /// The keys of that issuer (JWKS): a file, or an https:// URL; one for each --token-issuer, in the same order
    #[arg(long = "token-jwks", value_name = "FILE|URL", requires = "issuers")]
    pub(crate) jwks: Vec<KeySource>,
    /// What tokens of those issuers must be for (their `aud`); may be repeated
    #[arg(long = "token-audience", value_name = "AUDIENCE", requires = "issuers", default_value = "istio-ca")]
    pub(crate) audiences: Vec<String>,
}

/// Which control plane is asked. A cluster's, unless `--admin` is given.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which control plane")]
pub(crate) struct SourceArgs {
    /// Ask the `tombolo run` that serves its pages here, instead of a cluster: the address that it was given as --admin
    #[arg(long, value_name = "ADDR", env = "TOMBOLO_ADMIN", conflicts_with_all = ["kubeconfig", "context", "revision"])]
    pub(crate) admin: Option<SocketAddr>,
    /// Ask the cluster of this file; as kubectl finds it if not given: $KUBECONFIG, ~/.kube/config, in a pod its ServiceAccount
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; its current one if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The namespace of the installation
    #[arg(short, long, value_name = "NAME", default_value = "tombolo-system")]
    pub(crate) namespace: String,
    /// Only the control plane of this revision; those of all revisions if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) revision: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ProxyConfigArgs {
    /// The proxy: POD.NAMESPACE, or as much of it as no other proxy begins with; or an Envoy's node id
    #[arg(value_name = "PROXY")]
    pub(crate) proxy: String,
    /// Only resources of this type
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub(crate) kind: Option<Type>,
    /// Only the resource of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How to print: names and versions, or the resources themselves
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// How `status` and `proxy-config` print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table
    Text,
    /// All there is, for people
    Yaml,
    /// All there is, for programs
    Json,
}

/// How `validate` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// A line for each problem
    Text,
    /// One JSON document
    Json,
}

/// How `translate` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Yaml,
    /// For programs
    Json,
}

/// A type of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Type {
    /// Clusters
    Cds,
    /// Endpoints
    Eds,
    /// Listeners
    Lds,
    /// Names, for agents
    Nds,
    /// Route tables
    Rds,
    /// Secrets
    Sds,
}

impl Type {
    /// Its name in the control plane's pages.
    pub(crate) const fn short(self) -> &'static str {
        match self {
            Self::Cds => "cds",
            Self::Eds => "eds",
            Self::Lds => "lds",
            Self::Nds => "nds",
            Self::Rds => "rds",
            Self::Sds => "sds",
        }
    }
}

const VALIDATE_EXAMPLES: &str = "\
Exit status: 0 nothing wrong, 1 problems, 2 unreadable files or wrong usage.

Examples:
  tombolo validate -f manifests/
  helm template shop | tombolo validate -f -
  tombolo validate -f gateway.yaml -f routes/ -o json --strict";

const TRANSLATE_EXAMPLES: &str = "\
Examples:
  tombolo translate -f manifests/                            which proxies there would be
  tombolo translate -f manifests/ --proxy gateway/shop/edge  all that this gateway would get
  tombolo translate -f manifests/ --proxy gateway/shop/edge --type rds -o json
  tombolo translate -f manifests/ --status                   each object's status";

const RUN_EXAMPLES: &str = "\
Envoys outlive a `tombolo run` that is killed; the next one on the same state takes them over. Ctrl-C stops them too.

Examples:
  tombolo run manifests/
  tombolo run manifests/ --admin 127.0.0.1:15014
  tombolo run manifests/ --envoy /usr/local/bin/envoy --state /var/lib/tombolo
  kubectl get --raw /openid/v1/jwks > jwks.json    tokens of a cluster, for machines that join with them:
  tombolo run manifests/ --listen 0.0.0.0:15012 --token-issuer https://kubernetes.default.svc --token-jwks jwks.json";

const STATUS_EXAMPLES: &str = "\
Every replica of a control plane serves other proxies, so all are asked, through the API server (as kubectl port-forward does: a Role must
allow to list pods, and to get and create pods/portforward, in the installation's namespace).

SYNCED: the proxy accepted all that it should have. STALE: something is on its way. WAITING: something goes out once the proxy has
accepted something else. REJECTED: the proxy would not take something, and goes on with what it had. -: not asked for.

Examples:
  tombolo status
  tombolo status --context staging --revision canary -o json
  tombolo status --admin 127.0.0.1:15014    the proxies of `tombolo run manifests/ --admin 127.0.0.1:15014`";

const PROXY_CONFIG_EXAMPLES: &str = "\
Secret values are not shown.

Examples:
  tombolo proxy-config edge-tombolo-5d4f7-x2x9z.shop      what it asked for, and how far that is
  tombolo proxy-config edge --type rds -o yaml            its route tables, where no other proxy's name begins so
  tombolo proxy-config edge --type cds --name 'outbound|80||web.shop.svc.cluster.local' -o json";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(tombolo completions bash)
  tombolo completions fish > ~/.config/fish/completions/tombolo.fish";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
