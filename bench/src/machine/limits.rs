//! What the system allows a process.

use super::{MachineError, system};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets this process open as many descriptors as it ever may, for a thousand connections are more than the usual 1,024 allow.
/// Returns how many those are; `None` for no limit.
pub fn raise_descriptor_limit() -> Result<Option<u64>, MachineError> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(system("raising the limit on open descriptors"))?;
    Ok(limit.maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let most = raise_descriptor_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, most);
    }
}
