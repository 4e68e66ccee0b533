//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tombolo_agent::config::{Flags, parse_duration};

/// Runs beside an Envoy: its identity, its config, its names, its health and its life.
#[derive(Debug, Parser)]
#[command(name = "tombolo-agent", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run in the foreground, with an Envoy (the default)
    #[command(after_help = SIGNALS)]
    Run(Box<RunArgs>),
    /// Have the agent of this machine drain its Envoy, and wait until that is done
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(DrainArgs),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Leave Envoy running when the agent is told to end: the next agent takes it over
    #[arg(long)]
    pub(crate) keep_envoy: bool,
    /// Drain as soon as this file exists: for deploy scripts. `tombolo-agent drain` and POST /drain do the same
    #[arg(long, value_name = "FILE")]
    pub(crate) drain_on: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DrainArgs {
    /// Where the agent serves its pages
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15020")]
    pub(crate) admin: SocketAddr,
    /// How long to wait, at most
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10m")]
    pub(crate) timeout: Duration,
}

const SIGNALS: &str = "\
SIGTERM and SIGINT drain Envoy and end both. SIGUSR1 ends the agent alone: Envoy serves on, and the next agent on the same state
directory takes it over, as it does when the agent is killed. A second SIGTERM ends both at once.";

const DRAIN_EXAMPLES: &str = "\
Kubernetes, in the proxy's container:
  lifecycle: {preStop: {exec: {command: [tombolo-agent, drain]}}}
A deploy script on a machine:
  tombolo-agent drain && systemctl stop tombolo-agent web && install-new-web && systemctl start web tombolo-agent";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_run_is_the_default() {
        Args::command().debug_assert();
        let run = |line: &str| match Args::try_parse_from(line.split_whitespace()).unwrap() {
            Args { command: Some(Command::Run(run)), .. } => run.flags.name,
            Args { command: None, run } => run.flags.name,
            other => panic!("{other:?}"),
        };
        assert_eq!(run("tombolo-agent run --name a"), Some("a".to_owned()));
        assert_eq!(run("tombolo-agent --name a"), Some("a".to_owned()));
    }

    #[test]
    fn the_systemd_unit_starts_it_as_it_is() {
        let unit = include_str!("../systemd/tombolo-agent.service");
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        Args::try_parse_from(start.split_whitespace()).unwrap();
        for what in ["KillMode=process", "Type=notify", "ExecReload=/bin/kill -USR1 $MAINPID", "Restart=always"] {
            assert!(unit.lines().any(|line| line == what), "{what}: Envoy would not outlive a reload");
        }
    }
}
