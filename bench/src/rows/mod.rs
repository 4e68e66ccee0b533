//! The rows: what is measured, and what it is held against. bench/README.md says it in words.

mod agent;
mod certificates;
mod churn;
mod cluster;
mod cold_start;
mod dns;
mod edits;
mod endpoint_edit;
mod fan_out;
mod handshakes;
mod memory;
mod reconnect;
mod route_edit;
mod secured;
mod staging;
mod staleness;
mod subject;
mod verdict;

pub(crate) use memory::{MemorySubject, sample};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use tombolo_bench::report::{Bound, Curve, Row};

/// A row by its letter, or its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowId {
    /// One of 5,000 routes edited, against all translated.
    A,
    /// How the cost of one endpoint grows with the mesh.
    B,
    /// One endpoint to the last of 1,000 clients.
    C,
    /// What 1,000 clients that come back are sent.
    D,
    /// Memory per client.
    E,
    /// Live heap under churn.
    F,
    /// Cold start of 300 clients.
    G,
    /// Staleness under 50 changes a second.
    H,
    /// Certificates by token, against the bare cryptography.
    CaToken,
    /// Certificates by certificate, likewise.
    CaCertificate,
    /// TLS handshakes, against those of a bare server.
    TlsHandshakes,
    /// DNS queries, against a bare echo.
    Dns,
    /// Memory of an agent with 10,000 names.
    AgentMemory,
    /// CPU of the same over an idle minute.
    AgentIdle,
    /// Bytes for one changed name.
    NameBytes,
    /// What the agent adds to a config push.
    AgentLatency,
    /// The rows k-…: the program beside a real API server.
    Cluster,
}

/// What measuring a row gave.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) curves: Vec<Curve>,
}

impl From<Row> for Measured {
    fn from(row: Row) -> Self {
        Self { rows: vec![row], curves: Vec::new() }
    }
}

impl RowId {
    /// Those of the control plane, then those of identity and the agent, then those of a cluster.
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// What a row is held against: unit, target, which side of it is good.
    const fn target(self) -> (&'static str, f64, Bound) {
        match self {
            Self::A => ("x", 500.0, Bound::Least),
            Self::B => ("", 0.1, Bound::Most),
            // Its first row's; the others have targets of their own.
            Self::Cluster => ("x", 2.0, Bound::Most),
            Self::C | Self::H => ("x", 3.0, Bound::Most),
            Self::D => ("B", 0.0, Bound::Most),
            Self::E => ("kB", 100.0, Bound::Most),
            Self::F => ("x", 1.02, Bound::Most),
            Self::G => ("x", 2.0, Bound::Most),
            Self::CaToken | Self::CaCertificate => ("x", 0.6, Bound::Least),
            Self::TlsHandshakes => ("x", 0.8, Bound::Least),
            Self::Dns => ("x", 0.5, Bound::Least),
            Self::AgentMemory => ("MB", 12.0, Bound::Most),
            Self::AgentIdle => ("%", 0.1, Bound::Most),
            Self::NameBytes => ("B", 1000.0, Bound::Most),
            Self::AgentLatency => ("ms", 1.0, Bound::Most),
        }
    }

    /// The row with a result in it.
    fn row(self, title: &str, value: f64, note: String) -> Row {
        let (unit, target, bound) = self.target();
        Row {
            name: self.to_string(),
            title: title.into(),
            value,
            unit: unit.into(),
            target,
            bound,
            note,
            skipped: false,
        }
    }

    /// The row without a result, which is a miss.
    pub(crate) fn failed(self, error: &anyhow::Error) -> Measured {
        self.row("could not be measured", f64::NAN, format!("{error:#}")).into()
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// Measures a row in this process.
pub(crate) fn measure(row: RowId) -> anyhow::Result<Measured> {
    match row {
        RowId::A => route_edit::measure(),
        RowId::B => endpoint_edit::measure(),
        RowId::C => fan_out::measure(),
        RowId::D => reconnect::measure(),
        RowId::E => memory::measure(),
        RowId::F => churn::measure(),
        RowId::G => cold_start::measure(),
        RowId::H => staleness::measure(),
        RowId::CaToken => certificates::measure(row, certificates::Proof::Token),
        RowId::CaCertificate => certificates::measure(row, certificates::Proof::Certificate),
        RowId::TlsHandshakes => handshakes::measure(),
        RowId::Dns => dns::measure(),
        RowId::AgentMemory => agent::memory(),
        RowId::AgentIdle => agent::idle(),
        RowId::NameBytes => agent::name_bytes(),
        RowId::AgentLatency => agent::latency(),
        RowId::Cluster => cluster::measure(),
    }
}
