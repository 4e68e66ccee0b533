//! Which instance of a workload this machine is.

use crate::state::{StateDir, StateError};
use tombolo_core::{IdentityError, InstanceId};

const FILE: &str = "instance-id";
const MOST_BYTES: u64 = 1024;

/// Why there is no instance id.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// It cannot be read, or not be remembered.
    #[error(transparent)]
    State(#[from] StateError),
    /// Somebody wrote something else into the file.
    #[error("{FILE} in the state directory is not what an agent writes, remove it: {0}")]
    Invalid(#[from] IdentityError),
}

/// The id that this state directory was given when it was first asked for one. For machines, which have no id of their own: what
/// they have is copied with their image.
///
/// # Errors
/// [`InstanceError`]
pub fn instance_id(state: &StateDir) -> Result<InstanceId, InstanceError> {
    if let Some(bytes) = state.read(FILE, MOST_BYTES)? {
        return Ok(InstanceId::parse(String::from_utf8_lossy(&bytes).trim())?);
    }
    let id = InstanceId::parse(&uuid::Uuid::new_v4().to_string())?;
    state.write(FILE, id.as_str().as_bytes())?;
    Ok(id)
}
