//! "Did you mean": the one known name that a mistyped one is closest to.

use super::failure::Failure;
use crate::config::Plan;

/// The nearest candidate within a third of the name's length, at least one letter away at the most.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = (typed.chars().count() / 3).max(1);
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A help text: the nearest name, else the names there are.
pub fn help<'a>(typed: &str, kind: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(typed, names.clone()) {
        return format!("did you mean `{name}`?");
    }
    let all: Vec<&str> = names.into_iter().collect();
    match all.as_slice() {
        [] => format!("there is no {kind} yet"),
        all if all.len() <= 10 => format!("there is: {}", all.join(", ")),
        all => format!("there are {} of them, among others: {}", all.len(), all[..10].join(", ")),
    }
}

/// A pipeline that was asked for by a name that none has. A file with several targets is none: each target is.
pub fn no_pipeline(name: &str, plan: &Plan) -> Failure {
    let targets: Vec<&str> = plan
        .pipelines
        .values()
        .filter(|pipeline| pipeline.file == name)
        .map(|pipeline| pipeline.name.as_str())
        .collect();
    let help = match targets.as_slice() {
        [] => help(name, "pipeline", plan.pipelines.keys().map(String::as_str)),
        targets => format!("pipelines/{name}.yaml has several targets; name one of {}", targets.join(", ")),
    };
    Failure::usage(format!("there is no pipeline `{name}`"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_near_enough_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("laeds", ["leads", "orders"]), Some("leads"));
        assert_eq!(nearest("LEADS", ["leads"]), Some("leads"));
        assert_eq!(nearest("invoices", ["leads", "orders"]), None);
    }

    #[test]
    fn without_a_near_name_the_help_lists_what_there_is() {
        assert_eq!(help("x", "pipeline", ["leads", "orders"]), "there is: leads, orders");
        assert_eq!(help("x", "pipeline", []), "there is no pipeline yet");
    }
}
