//! Names: how vendors spell them, and how they are written in a connector's file.

/// Letters and digits alone, in lower case: `nextCursor`, `next_cursor` and `next-cursor` are one word.
pub fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A name as our files like it: `listAllUsers` and `list-all.users` become `list_all_users`. Nothing where no letter is left.
pub fn snake(name: &str) -> Option<String> {
    let mut out = String::new();
    let mut before = '_';
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
        } else {
            if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) && !out.ends_with('_')
            {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    let mut out = out.trim_end_matches('_').to_owned();
    out.truncate(60);
    let out = out.trim_end_matches('_').to_owned();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(format!("n{out}"));
    }
    (!out.is_empty()).then_some(out)
}

/// A name that stands in `config.NAME` and in `record.NAME`.
pub fn setting(name: &str) -> String {
    snake(name).unwrap_or_else(|| "value".to_owned())
}

/// One of what a plural names: `companies`, `addresses`, `customers`.
pub fn singular(name: &str) -> String {
    if let Some(stem) = name.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    for ending in ["sses", "ches", "shes", "xes"] {
        if name.ends_with(ending) {
            return name[..name.len() - 2].to_owned();
        }
    }
    match name.strip_suffix('s') {
        Some(stem) if !stem.ends_with(['s', 'u', 'i']) && stem.len() > 1 => stem.to_owned(),
        _ => name.to_owned(),
    }
}

/// A text as a YAML value: bare where that is surely read as this text. `${` would be filled, so it is escaped.
pub fn yaml(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '.');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if text.starts_with(first) && text.chars().all(plain) && !word {
        return text.to_owned();
    }
    let escaped = text.replace("${", "$${");
    serde_json::to_string(&escaped).unwrap_or_default()
}

/// Text of a document on one line, and no longer than a reader wants.
pub fn line(text: &str, max: usize) -> String {
    let mut inside_tag = false;
    let bare: String = text
        .chars()
        .filter_map(|c| match c {
            '<' => {
                inside_tag = true;
                Some(' ')
            }
            '>' if inside_tag => {
                inside_tag = false;
                None
            }
            _ if inside_tag => None,
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => Some(' '),
            c => Some(c),
        })
        .collect();
    let words = bare.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = words.split(". ").next().unwrap_or_default().trim_end_matches('.');
    if first.chars().count() <= max {
        return first.to_owned();
    }
    let cut: String = first.chars().take(max).collect();
    let end = cut.rfind(' ').filter(|at| *at > max / 2).unwrap_or(cut.len());
    format!("{} ...", &cut[..end])
}

/// Whether a text fits a pattern, in which `*` stands for anything.
pub fn fits(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return pattern == text;
    }
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_vendors_become_names_of_ours() {
        let names = ["GetCustomers", "list-all.users", "users_list", "2fa", "userID2", "日本", "a__b"];
        let ours = names.map(|name| snake(name).unwrap_or_default());
        assert_eq!(ours, ["get_customers", "list_all_users", "users_list", "n2fa", "user_id2", "", "a_b"]);
        assert_eq!(
            ["companies", "addresses", "boxes", "status", "keys"].map(singular),
            ["company", "address", "box", "status", "key"]
        );
    }

    #[test]
    fn a_value_is_read_back_as_it_was() {
        assert_eq!(yaml("/v1/customers"), "/v1/customers");
        assert_eq!(yaml("no"), "\"no\"");
        assert_eq!(yaml("1.5"), "\"1.5\"");
        assert_eq!(yaml("a: b # ${HOME}"), "\"a: b # $${HOME}\"");
        assert_eq!(yaml("x\ny"), "\"x\\ny\"");
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits("/v1/*", "/v1/a/b") && fits("*customer*", "/v1/customers") && fits("a", "a") && fits("*", ""));
        assert!(!fits("/v1/*", "/v2/a") && !fits("a*b*c", "acb") && !fits("a", "ab"));
    }
}
