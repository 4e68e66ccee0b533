//! Versions of one object.

/// Whether `a` is newer than `b`: of one object they are numbers that grow. Where they are not, nobody can tell.
pub(super) fn is_newer(a: &str, b: &str) -> bool {
    matches!((a.parse::<u128>(), b.parse::<u128>()), (Ok(a), Ok(b)) if a > b)
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn versions_are_numbers() {
        assert!(is_newer("10", "9") && !is_newer("9", "10") && !is_newer("9", "9") && !is_newer("x", "9"));
    }
}
