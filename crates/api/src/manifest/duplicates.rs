//! One object in two places.

use std::collections::HashMap;
use tombolo_core::{FieldPath, ObjectRef, Origin, Problem};

/// Finds the objects that stand in several places: for each place but the first, its index and a problem that names both.
///
/// The first is the one whose file's name sorts first, then the one that stands higher in the file, then the one given first:
/// which it is does not depend on the order in which files are read.
pub fn duplicates(objects: &[(ObjectRef, Origin)]) -> Vec<(usize, Problem)> {
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by_key(|i| (&objects[*i].1, *i));
    let mut first: HashMap<&ObjectRef, &Origin> = HashMap::with_capacity(objects.len());
    let mut later = Vec::new();
    for i in order {
        let (object, origin) = &objects[i];
        if let Some(first) = first.get(object) {
            let message = format!("also written at {first}, which counts; this one has no effect");
            let problem = Problem::error(object.clone(), FieldPath::root(), "Duplicate", message);
            later.push((i, problem.fix("remove one of the two").at(origin.clone())));
        } else {
            first.insert(object, origin);
        }
    }
    later
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo_core::NamespacedName;

    fn object(name: &str, file: &str, line: u32) -> (ObjectRef, Origin) {
        (ObjectRef::new("Service", NamespacedName::new("default", name)), Origin { file: file.into(), line })
    }

    #[test]
    fn the_first_by_file_and_line_wins_whatever_the_order() {
        let mut objects = vec![object("a", "y.yaml", 1), object("b", "x.yaml", 1), object("a", "x.yaml", 9)];
        for _ in 0..2 {
            let found = duplicates(&objects);
            let [(index, problem)] = &found[..] else { panic!("{found:?}") };
            assert_eq!(objects[*index].1.file.as_ref(), "y.yaml");
            assert_eq!(problem.origin.as_ref().unwrap().to_string(), "y.yaml:1");
            assert!(problem.message.contains("x.yaml:9") && problem.is_error());
            objects.reverse();
        }
    }

    #[test]
    fn of_two_in_one_place_the_one_given_first_wins() {
        let objects = [object("a", "x.yaml", 1), object("a", "x.yaml", 1)];
        assert_eq!(duplicates(&objects).iter().map(|(i, _)| *i).collect::<Vec<_>>(), [1]);
    }
}
