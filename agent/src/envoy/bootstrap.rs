//! What an Envoy beside an agent starts from: three sockets in the state directory, and who it is.

use super::node::Node;
use std::{
    io,
    path::{Path, PathBuf},
};
use tombolo_proto::bootstrap::{Bootstrap, Endpoint, Limits};

/// The longest path of a Unix socket (`sun_path` of unix(7), without the zero at its end).
const LONGEST_SOCKET: usize = 107;
/// The longest of the names below.
const LONGEST_NAME: &str = "envoy-admin.sock";

/// Where in the state directory is what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    directory: PathBuf,
}

/// A state directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// It is not there.
    #[error("the state directory {} cannot be used: {source}; make it, or name another one with --state-dir", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Sockets in it would have too long a path.
    #[error(
        "the state directory {} is too long a path: a socket in it would have {length} bytes, and the system allows {LONGEST_SOCKET}; \
         name a shorter one with --state-dir", path.display()
    )]
    TooLong {
        /// The directory.
        path: PathBuf,
        /// How long its longest socket's path would be, in bytes.
        length: usize,
    },
}

impl Paths {
    /// Those of a directory that is there.
    ///
    /// # Errors
    /// [`PathsError`].
    pub fn new(directory: &Path) -> Result<Self, PathsError> {
        // Envoy may be started from elsewhere, and outlives a working directory.
        let whole = directory.canonicalize();
        let directory = whole.map_err(|source| PathsError::Missing { path: directory.to_owned(), source })?;
        match directory.join(LONGEST_NAME).as_os_str().len() {
            length if length > LONGEST_SOCKET => Err(PathsError::TooLong { path: directory, length }),
            _ => Ok(Self { directory }),
        }
    }

    /// The state directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The socket that Envoy fetches its config from.
    pub fn xds(&self) -> PathBuf {
        self.directory.join("xds.sock")
    }

    /// The socket that Envoy fetches its certificates from.
    pub fn sds(&self) -> PathBuf {
        self.directory.join("sds.sock")
    }

    /// The socket that Envoy serves its administration interface on.
    pub fn admin(&self) -> PathBuf {
        self.directory.join(LONGEST_NAME)
    }

    /// The file that Envoy starts from.
    pub fn bootstrap(&self) -> PathBuf {
        self.directory.join("envoy-bootstrap.json")
    }

    /// Which process is our Envoy.
    pub fn record(&self) -> PathBuf {
        self.directory.join("envoy.json")
    }

    /// Envoy's log, where it has one of its own.
    pub fn log(&self) -> PathBuf {
        self.directory.join("envoy.log")
    }
}

/// What an Envoy starts from: config and certificates come from its agent, and nobody but the agent's user may administer it.
pub fn bootstrap(node: &Node, paths: &Paths, limits: Limits) -> Bootstrap {
    Bootstrap {
        node_id: node.id(),
        node_cluster: node.cluster(),
        metadata: node.metadata(),
        discovery: Endpoint::Unix(paths.xds()),
        sds: Some(paths.sds()),
        admin: Endpoint::Unix(paths.admin()),
        limits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envoy::node::tests::node;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn sockets_whose_path_would_be_too_long_are_refused_before_envoy_is_started() {
        let directory = tempfile::tempdir().unwrap();
        let error = Paths::new(&directory.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("--state-dir"), "{error}");
        let root = directory.path().canonicalize().unwrap();
        let room = LONGEST_SOCKET - root.as_os_str().len() - LONGEST_NAME.len() - 2;
        for (length, fits) in [(room, true), (room + 1, false)] {
            let path = root.join("x".repeat(length));
            std::fs::create_dir(&path).unwrap();
            match Paths::new(&path) {
                Ok(paths) => assert!(fits && paths.admin().as_os_str().len() == LONGEST_SOCKET),
                Err(error) => assert!(!fits && error.to_string().contains("108 bytes"), "{error}"),
            }
        }
    }

    proptest! {
        #![proptest_config(crate::testing::some())]

        /// Whatever a node calls itself stays a text in its place. Each case holds 200 texts and more, 100,000 in all.
        #[test]
        fn any_strings_render_to_json_that_reads_back(bytes in any::<[[u8; 32]; 32]>()) {
            let parts = bytes.iter().flat_map(|part| part.chunks(5));
            let texts: Vec<_> = parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect();
            let pairs = || texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            let mut node = node();
            (node.name, node.namespace) = (texts[0].clone(), texts[1].clone());
            node.labels = pairs().collect();
            node.metadata = pairs().map(|(key, value)| (format!("X{key}"), value.into())).collect();
            let paths = Paths { directory: "/state".into() };
            let text = serde_json::to_vec(&bootstrap(&node, &paths, Limits::default()).to_json()).unwrap();
            let read: Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(&read["node"]["id"], &json!(node.id()));
            let metadata = &read["node"]["metadata"];
            prop_assert_eq!(&metadata["NAME"], &json!(node.name));
            prop_assert_eq!(&metadata["NAMESPACE"], &json!(node.namespace));
            prop_assert_eq!(&metadata["LABELS"], &json!(node.labels));
            for (key, value) in &node.metadata {
                prop_assert_eq!(&metadata[key], value);
            }
            prop_assert_eq!(&read["admin"]["address"]["pipe"]["path"], &json!("/state/envoy-admin.sock"));
        }
    }
}
