//! "Did you mean".

/// The help for a name that is none of those that exist: the nearest one, or all of them.
pub fn or_list<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, lead: &str) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let mut all: Vec<&str> = known.collect();
            all.sort_unstable();
            if all.is_empty() { format!("{lead}: none") } else { format!("{lead}: {}", all.join(", ")) }
        }
    }
}

/// The known name that was probably meant, if one is near enough.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    let distance = |known: &str| strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase());
    known.map(|known| (distance(known), known)).filter(|(far, _)| *far <= allowed).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("tokn", ["token", "user"].into_iter()), Some("token"));
        assert_eq!(nearest("Strems", ["streams", "steps"].into_iter()), Some("streams"));
        assert_eq!(nearest("a", ["zebra"].into_iter()), None);
        assert_eq!(or_list("xyz", ["b", "a"].into_iter(), "the kinds are"), "the kinds are: a, b");
    }
}
