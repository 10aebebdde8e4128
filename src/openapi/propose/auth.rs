//! Where requests go and how they are signed, as far as the document tells.

use serde_json::Value;

use super::super::{
    call::Call,
    document::{Document, Generation, Place},
    words::yaml,
};

/// What was told about the base URL.
pub struct Base {
    /// The value of `base_url`; nothing: a connection says it.
    pub url: Option<String>,
    /// What a connection writes, where it must.
    pub example: String,
    pub note: Option<String>,
}

pub fn base(document: &Document) -> Base {
    let place = document.place();
    let url = match document.generation {
        Generation::Swagger2 => {
            let path = place.text("basePath").unwrap_or_default();
            let schemes = place.get("schemes").map(|all| all.items()).unwrap_or_default();
            let secure = schemes.is_empty() || schemes.iter().any(|one| one.value == "https");
            let scheme = if secure { "https" } else { "http" };
            place.text("host").map_or_else(|| path.to_owned(), |host| format!("{scheme}://{host}{path}"))
        }
        Generation::OpenApi3 => {
            let servers = place.get("servers").map(|all| all.items()).unwrap_or_default();
            let whole = servers.iter().find(|one| one.text("url").is_some_and(|url| url.starts_with("https://")));
            let Some(server) = whole.or(servers.first()) else { return unknown("", "it names no server") };
            match filled(server) {
                Ok(url) => url,
                Err(example) => return unknown(&example, "the server's name differs from account to account"),
            }
        }
    };
    let url = url.trim_end_matches('/').to_owned();
    match url::Url::parse(&url) {
        Ok(known) if is_usable(&known) => Base { example: url.clone(), url: Some(url), note: None },
        _ => unknown(&url, "the server is not named whole"),
    }
}

fn is_usable(url: &url::Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
}

fn unknown(written: &str, why: &str) -> Base {
    let example = if written.starts_with("http") {
        written.replace(['{', '}'], "").replace(' ', "-")
    } else {
        format!("https://api.example.com{written}").trim_end_matches('/').to_owned()
    };
    Base {
        url: None,
        example,
        note: Some(format!("{why}: each connection says its own `base_url`, such as {}", yaml_plain(written))),
    }
}

fn yaml_plain(text: &str) -> String {
    if text.is_empty() { "https://api.example.com".to_owned() } else { super::super::words::line(text, 100) }
}

/// The server's URL with the defaults of its variables. A variable with no list of values is the account's own name, and its
/// default somebody else's: credentials must not go there.
fn filled(server: &Place<'_>) -> Result<String, String> {
    let mut url = server.text("url").unwrap_or_default().to_owned();
    let variables = server.get("variables").map(|all| all.fields()).unwrap_or_default();
    for (name, variable) in &variables {
        let hole = format!("{{{name}}}");
        let in_host = url.find(&hole).is_some_and(|at| !url[..at].trim_start_matches("https://").contains('/'));
        let listed = variable.get("enum").is_some_and(|all| !all.items().is_empty());
        match variable.text("default") {
            Some(default) if !default.is_empty() && (listed || !in_host) => url = url.replace(&hole, default),
            _ => return Err(url),
        }
    }
    if url.contains('{') { Err(url) } else { Ok(url) }
}

/// How requests are signed.
#[derive(Default)]
pub struct Signing {
    /// The value of the connector's `auth`.
    pub auth: Option<String>,
    /// The value of a connection's `auth`, with references in the place of secrets.
    pub connection: Option<String>,
    pub notes: Vec<String>,
}

/// The schemes that calls ask for, the most usual one before others, and what becomes of each.
pub fn signing(document: &Document, calls: &[Call<'_>], prefix: &str) -> Signing {
    let place = document.place();
    let schemes = match document.generation {
        Generation::Swagger2 => place.get("securityDefinitions"),
        Generation::OpenApi3 => place.get("components").and_then(|all| all.get("securitySchemes")),
    };
    let schemes: Vec<(&str, Place<'_>)> = schemes
        .map(|all| all.fields())
        .unwrap_or_default()
        .into_iter()
        .map(|(name, at)| (name, document.resolve(at)))
        .collect();
    let wanted = wanted(place.value.get("security"), calls);
    let mut known: Vec<(u8, usize, Way)> = Vec::new();
    for (name, scheme) in &schemes {
        let asked = wanted.iter().position(|one| one == name);
        if let Some((rank, way)) = way(scheme, prefix) {
            let order = asked.unwrap_or(if wanted.is_empty() { 0 } else { usize::MAX });
            known.push((rank, order, way));
        }
    }
    // What calls ask for comes before what is only declared; of several, the one that needs least.
    let best = known.into_iter().min_by_key(|(rank, order, _)| (*order == usize::MAX, *rank));
    let Some((_, _, way)) = best else {
        let note = match schemes.len() {
            0 => "the document declares no credentials: if the vendor wants some, add `auth`".to_owned(),
            _ => "the document's credentials are of no kind that renkei knows: add `auth` by hand".to_owned(),
        };
        return Signing { notes: vec![note], ..Signing::default() };
    };
    let mut notes: Vec<String> = way.note.into_iter().collect();
    if asks_for_several(place.value.get("security")) {
        notes.push(
            "a call needs several credentials at once: only one of them is in `auth`; add the others as `headers`"
                .to_owned(),
        );
    }
    Signing { auth: Some(way.auth), connection: Some(way.connection), notes }
}

fn names(requirements: Option<&Value>) -> Vec<String> {
    let lists = requirements.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    lists.flat_map(|one| one.keys().cloned()).collect()
}

fn wanted(overall: Option<&Value>, calls: &[Call<'_>]) -> Vec<String> {
    let mut all = names(overall);
    for call in calls {
        for name in names(call.security) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

fn asks_for_several(overall: Option<&Value>) -> bool {
    let all: Vec<usize> = overall
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(serde_json::Map::len)
        .collect();
    !all.is_empty() && all.iter().all(|count| *count > 1)
}

struct Way {
    auth: String,
    connection: String,
    note: Option<String>,
}

/// A scheme as `auth`, and how much it asks of people: the smaller the better.
fn way(scheme: &Place<'_>, prefix: &str) -> Option<(u8, Way)> {
    let simple = |rank, auth: String, connection: String, note| Some((rank, Way { auth, connection, note }));
    let bearer =
        |note| simple(0, "bearer: {}".to_owned(), format!("bearer: {{ token: \"${{{prefix}_TOKEN}}\" }}"), note);
    let basic = || {
        let connection = format!("basic: {{ user: \"${{{prefix}_USER}}\", password: \"${{{prefix}_PASSWORD}}\" }}");
        simple(2, "basic: {}".to_owned(), connection, None)
    };
    match (scheme.text("type")?, scheme.text("scheme").unwrap_or_default().to_ascii_lowercase().as_str()) {
        ("http", "bearer") => bearer(None),
        ("http", "basic") | ("basic", _) => basic(),
        ("apiKey", _) => {
            let name = scheme.text("name").filter(|name| !name.is_empty())?;
            let connection = format!("api_key: {{ value: \"${{{prefix}_KEY}}\" }}");
            match scheme.text("in")? {
                "header" if name.eq_ignore_ascii_case("authorization") => {
                    let note = "the key stands in `Authorization`, and in which words is not told: `bearer` is a guess; for other words \
                                write `api_key: { header: Authorization }` and give the whole value";
                    bearer(Some(note.to_owned()))
                }
                "header" => simple(1, format!("api_key: {{ header: {} }}", yaml(name)), connection, None),
                "query" => simple(4, format!("api_key: {{ query: {} }}", yaml(name)), connection, None),
                _ => None,
            }
        }
        ("oauth2", _) => oauth2(scheme, prefix),
        ("openIdConnect", _) => bearer(Some(
            "it signs in by OpenID Connect, whose endpoints are not in the document: a token is taken".to_owned(),
        )),
        _ => None,
    }
}

fn oauth2(scheme: &Place<'_>, prefix: &str) -> Option<(u8, Way)> {
    let flows = scheme.get("flows").map(|all| all.fields()).unwrap_or_default();
    let old = [(scheme.text("flow").unwrap_or_default(), scheme.clone())];
    let all = if flows.is_empty() { old.to_vec() } else { flows };
    let flow = |names: &[&str]| all.iter().find(|(name, _)| names.contains(name)).map(|(_, flow)| flow);
    let credentials = format!("client_id: \"${{{prefix}_CLIENT_ID}}\", client_secret: \"${{{prefix}_CLIENT_SECRET}}\"");
    let connection = format!("oauth2: {{ {credentials} }}");
    if let Some(flow) = flow(&["clientCredentials", "application"]) {
        let url = yaml(flow.text("tokenUrl")?);
        let auth = format!("oauth2: {{ grant: {{ client_credentials: {{}} }}, token_url: {url} }}");
        return Some((3, Way { auth, connection, note: scopes(flow) }));
    }
    if let Some(flow) = flow(&["authorizationCode", "accessCode"]) {
        let (page, url) = (yaml(flow.text("authorizationUrl")?), yaml(flow.text("tokenUrl")?));
        let auth =
            format!("oauth2: {{ grant: {{ authorization_code: {{ authorize_url: {page} }} }}, token_url: {url} }}");
        return Some((3, Way { auth, connection, note: scopes(flow) }));
    }
    let note = "its OAuth 2.0 flow ends in a browser (`implicit` or `password`): a token is taken as it is".to_owned();
    let connection = format!("bearer: {{ token: \"${{{prefix}_TOKEN}}\" }}");
    Some((5, Way { auth: "bearer: {}".to_owned(), connection, note: Some(note) }))
}

fn scopes(flow: &Place<'_>) -> Option<String> {
    let all: Vec<&str> =
        flow.get("scopes").map(|all| all.fields().into_iter().map(|(name, _)| name).collect()).unwrap_or_default();
    if all.is_empty() {
        return None;
    }
    let shown: Vec<&str> = all.iter().take(6).copied().collect();
    let more = if all.len() > shown.len() { format!(" and {} more", all.len() - shown.len()) } else { String::new() };
    Some(format!(
        "scopes are yours to choose, as `scopes: [..]`; the document has {}{more}",
        super::super::words::line(&shown.join(", "), 200)
    ))
}
