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
