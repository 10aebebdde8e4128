//! In what order a batch's items leave. Pure.
//!
//! Two items that share a name, here or at the sink, must never be under way at once: the sink could apply them in either
//! order. So a batch is sent in waves. In one wave no name stands twice, and a wave begins when the one before it is over.

use std::collections::HashMap;

/// Which side gave a name; the same text on both sides names different things.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Source,
    Sink,
}

/// Sorts items into waves by the names they have at source and sink. Each wave lists positions in ascending order.
pub fn waves<'k>(names: impl Iterator<Item = (&'k str, &'k str)>) -> Vec<Vec<usize>> {
    let mut free: HashMap<(Side, &str), usize> = HashMap::new();
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (at, (source, sink)) in names.enumerate() {
        let both = [(Side::Source, source), (Side::Sink, sink)];
        let wave = both.iter().filter_map(|name| free.get(name)).copied().max().unwrap_or(0);
        for name in both {
            free.insert(name, wave + 1);
        }
        if wave == waves.len() {
            waves.push(Vec::new());
        }
        waves[wave].push(at);
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[(&str, &str)]) -> Vec<Vec<usize>> {
        waves(names.iter().copied())
    }

    #[test]
    fn items_without_a_common_name_leave_together() {
        assert_eq!(of(&[("a", "1"), ("b", "2"), ("c", "3")]), [[0, 1, 2]]);
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn items_of_one_name_leave_one_after_the_other_in_their_order() {
        assert_eq!(of(&[("a", "1"), ("a", "1"), ("b", "2"), ("a", "1")]), [vec![0, 2], vec![1], vec![3]]);
        assert_eq!(of(&[("a", "x"), ("b", "x"), ("b", "y")]), [vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn a_name_at_the_source_is_not_the_same_name_at_the_sink() {
        assert_eq!(of(&[("a", "b"), ("b", "a")]), [[0, 1]]);
    }
}
