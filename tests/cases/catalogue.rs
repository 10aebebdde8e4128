//! Every case of every connector of this repository, and that nothing of them is without one.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use renkei::{
    cases,
    config::{self, plan::Makes, plan_case::Case},
};

/// They have no vendor whose pages could be named, but the sandbox's own, of which every example is a test.
const OF_THE_SANDBOX: [&str; 2] = ["crm", "shop"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn connectors() -> Vec<String> {
    config::connector_names(repository())
}

fn vendors() -> Vec<String> {
    connectors().into_iter().filter(|name| !OF_THE_SANDBOX.contains(&name.as_str())).collect()
}

fn cases_of(connector: &str) -> Vec<Case> {
    config::load_cases(repository(), connector).unwrap_or_else(|report| panic!("{}", report.render(false)))
}

#[test]
fn every_case_of_every_connector_comes_out_as_it_says() {
    let (mut played, mut wrong) = (0, Vec::new());
    for connector in connectors() {
        for case in cases_of(&connector) {
            let found = cases::standing_still(cases::play(Arc::new(case))).unwrap();
            wrong.extend(found.iter().map(|difference| format!("{}: {}", difference.place, difference.message)));
            played += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(played > 100, "only {played} cases");
}

#[test]
fn every_stream_and_every_operation_has_a_case() {
    let mut bare = Vec::new();
    for connector in connectors() {
        let cases = cases_of(&connector);
        let Some(api) = cases.first().map(|case| case.api.clone()) else {
            bare.push(connector);
            continue;
        };
        let played: BTreeSet<&str> = cases.iter().map(|case| case.subject.name()).collect();
        let names = api.streams.keys().chain(api.operations.keys());
        bare.extend(names.filter(|name| !played.contains(name.as_str())).map(|name| format!("{connector} {name}")));
    }
    assert!(bare.is_empty(), "without a case: {}", bare.join(", "));
}

/// The rows of the table in docs/connectors.md that can be told from the files.
fn row(connector: &str) -> String {
    let cases = cases_of(connector);
    let api = cases.first().map(|case| case.api.clone()).unwrap();
    let streams: Vec<&str> = api.streams.keys().map(String::as_str).collect();
    let operation = |(name, operation): (&String, &Arc<config::plan::Operation>)| {
        let makes = match operation.makes {
            Makes::Create => "create",
            Makes::Upsert => "upsert",
            Makes::Update => "update",
            Makes::Delete => "delete",
        };
        let kinds: Vec<&str> = operation.repeat.iter().map(kind).collect();
        format!("`{name}` ({makes}: {})", kinds.join(", then "))
    };
    let operations: Vec<String> = api.operations.iter().map(operation).collect();
    let or_none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let streams = streams.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "| [{connector}](../connectors/{connector}/README.md) | {} | {} | {} | {} |",
        auth(&api.auth),
        or_none(streams),
        or_none(operations),
        cases.len()
    )
}

fn kind(repeat: &config::plan::Repeat) -> &'static str {
    use config::plan::Repeat;
    match repeat {
        Repeat::IdempotencyKey(_) => "key",
        Repeat::Upsert { .. } => "same again",
        Repeat::LookUp(_) => "look-up",
        Repeat::Revision(_) => "revision",
        Repeat::Never => "never",
    }
}

fn auth(auth: &config::plan::Auth) -> &'static str {
    use config::plan::{Auth, Grant};
    match auth {
        Auth::None => "none",
        Auth::Bearer { .. } => "bearer token",
        Auth::Basic { .. } => "basic",
        Auth::ApiKeyHeader { .. } => "key in a header",
        Auth::ApiKeyQuery { .. } => "key in the query",
        Auth::OAuth2(oauth2) => match oauth2.grant {
            Grant::JwtBearer(_) => "OAuth 2.0, service account",
            Grant::ClientCredentials => "OAuth 2.0, client credentials",
            _ => "OAuth 2.0, refresh token",
        },
        Auth::Session(_) => "session",
        Auth::Hmac(_) => "signature",
        Auth::Aws(_) => "aws",
    }
}

/// With `RENKEI_BLESS` set to anything the table is written instead.
#[test]
fn the_table_of_connectors_is_that_of_the_folders() {
    let path = repository().join("docs/connectors.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- table -->\n", "<!-- end of table -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let (_, tail) = rest.split_once(end).unwrap();
    let rows: Vec<String> = vendors().iter().map(|connector| row(connector)).collect();
    let table = format!(
        "| connector | signs in by | streams | operations (what they make: why repeating is safe) | cases |\n|---|---|---|---|---|\n{}\n",
        rows.join("\n")
    );
    let expected = format!("{head}{begin}{table}{end}{tail}");
    #[expect(clippy::disallowed_methods, reason = "a person asks the test to write the table")]
    if std::env::var("RENKEI_BLESS").is_ok() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(text == expected, "docs/connectors.md differs: run this test once with RENKEI_BLESS=1");
}

#[test]
fn every_connector_has_a_page_with_dated_sources() {
    for connector in vendors() {
        let page = fs::read_to_string(repository().join("connectors").join(&connector).join("README.md"))
            .unwrap_or_else(|error| panic!("{connector}: {error}"));
        assert!(page.contains("Sources, looked up on 2026-"), "{connector}: its page names no dated sources");
        for name in cases_of(&connector)
            .first()
            .map(|case| case.api.clone())
            .iter()
            .flat_map(|api| api.streams.keys().chain(api.operations.keys()).cloned().collect::<Vec<_>>())
        {
            assert!(page.contains(&format!("`{name}`")), "{connector}: its page does not name `{name}`");
        }
    }
}
