//! How connections sign in: what goes together, what is missing, and what contradicts itself.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{
    plan::{Auth, CertificateFiles, ClientAuth, Connection, Grant, Lifetime, OAuth2, SessionToken},
    tests_load::Workspace,
    *,
};
use crate::model::Code;

const VARIABLES: [(&str, &str); 3] = [("S", "hush"), ("KEY", "-----BEGIN PRIVATE KEY-----"), ("FILE", FILE)];
const FILE: &str =
    r#"{"type":"service_account","client_email":"bot@p.test","private_key":"PEM","private_key_id":"k7"}"#;

/// A connector and a connection with these credentials.
fn checked(connector: &str, connection: &str) -> Checked {
    let connector = format!(
        "version: 1\nbase_url: https://a.example\nauth: {connector}\nconfig: {{ region: {{ default: eu }} }}\nstreams:\n  \
         people: {{ get: /people, key: id }}\n"
    );
    let workspace = format!("version: 1\nconnections:\n  crm: {{ connector: crm, {connection} }}\n");
    let files = [("renkei.yaml", workspace.as_str()), ("connectors/crm/connector.yaml", &connector)];
    Workspace::new(&files).check(&VARIABLES)
}

#[track_caller]
fn auth(connector: &str, connection: &str) -> Auth {
    let checked = checked(connector, connection);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let Connection::Api(api) = &checked.plan.unwrap().connections["crm"] else { panic!() };
    api.auth.clone()
}

fn oauth2(connector: &str, connection: &str) -> OAuth2 {
    let Auth::OAuth2(oauth2) = auth(&format!("{{ oauth2: {{ token_url: /t, {connector} }} }}"), connection) else {
        panic!()
    };
    *oauth2
}

#[test]
fn a_client_proves_itself_with_a_secret_an_assertion_or_a_certificate() {
    let grant = "grant: { client_credentials: {} }";
    let given = |auth: &str| oauth2(grant, &format!("auth: {{ oauth2: {{ client_id: me, {auth} }} }}")).client;
    assert!(matches!(given("client_secret: \"${S}\""), ClientAuth::Basic { .. }));
    assert!(matches!(given("client_secret: \"${S}\", secret_in: body"), ClientAuth::Post { .. }));
    let jwt = given("client_auth: { private_key_jwt: { private_key: \"${KEY}\", key_id: k1 } }");
    let ClientAuth::PrivateKeyJwt { key, audience } = jwt else { panic!() };
    assert_eq!((key.id.as_deref(), audience.as_str()), (Some("k1"), "https://a.example/t"));
    let certificate = "auth: { oauth2: { client_id: me, client_auth: { tls_client_auth: {} } } }, client_certificate: { pem: { \
                       certificate: me.pem } }";
    assert!(matches!(oauth2(grant, certificate).client, ClientAuth::Tls));
}

#[test]
fn a_service_account_is_a_key_with_its_names_or_the_vendors_key_file() {
    let jwt = |connector: &str, connection: &str| {
        let connector = format!("grant: {{ jwt_bearer: {{ {connector} }} }}");
        let connection = format!("auth: {{ oauth2: {{ grant: {{ jwt_bearer: {{ {connection} }} }} }} }}");
        let Grant::JwtBearer(bearer) = oauth2(&connector, &connection).grant else { panic!() };
        bearer
    };
    let file = jwt("claims: { scope: a b, n: 3 }, lifetime: 1h", "private_key: \"${FILE}\"");
    assert_eq!(
        (file.issuer.as_str(), file.subject.as_str(), file.audience.as_str()),
        ("bot@p.test", "bot@p.test", "https://a.example/t")
    );
    assert_eq!((file.key.pem.expose_secret(), file.key.id.as_deref()), ("PEM", Some("k7")));
    assert_eq!(file.claims, [("scope".to_owned(), "\"a b\"".to_owned()), ("n".to_owned(), "3".to_owned())]);
    assert_eq!(file.lifetime, Duration::from_secs(3600));
    let pem =
        jwt("audience: https://id.test", "private_key: \"${KEY}\", issuer: app, subject: user@x.test, key_id: k2");
    assert_eq!(
        (pem.issuer.as_str(), pem.subject.as_str(), pem.audience.as_str()),
        ("app", "user@x.test", "https://id.test")
    );
    assert!(pem.key.pem.expose_secret().starts_with("-----BEGIN"));
}

#[test]
fn a_person_signs_in_at_a_page_or_with_a_device_and_a_refresh_token_may_stand_for_it() {
    let connector = "client_id: me, grant: { authorization_code: { authorize_url: https://id.test/auth } }";
    let Grant::AuthorizationCode(code) = oauth2(connector, "auth: { oauth2: {} }").grant else { panic!() };
    assert_eq!(
        (code.redirect_uri.as_str(), code.authorize_url.as_str()),
        ("http://127.0.0.1/callback", "https://id.test/auth")
    );
    let token = "auth: { oauth2: { grant: { refresh_token: { token: \"${S}\" } } } }";
    assert!(matches!(oauth2(connector, token).grant, Grant::RefreshToken { .. }));
    let device = "client_id: me, grant: { device_code: { device_url: /device } }";
    assert!(matches!(oauth2(device, "auth: { oauth2: {} }").grant, Grant::DeviceCode { .. }));
}

#[test]
fn a_session_sends_its_cookie_back_and_a_certificate_is_a_file_or_two() {
    let login = "login: { post: /login, body: { form: { p: \"{{ secrets.p }}\", r: \"{{ config.region }}\" } } }";
    let connection = "auth: { session: { secrets: { p: \"${S}\" } } }, client_certificate: { pkcs12: { file: me.p12, password: \"${S}\" } }";
    let Auth::Session(session) = auth(&format!("{{ session: {{ {login}, token: {{ cookie: sid }} }} }}"), connection)
    else {
        panic!()
    };
    assert_eq!((session.send[0].0.as_str(), session.send[0].1.as_str()), ("cookie", "sid={{ token }}"));
    assert!(matches!((session.token, session.lifetime), (SessionToken::Cookie(_), Lifetime::Unknown)));
    let checked = checked(
        "{ bearer: {} }",
        "auth: { bearer: { token: \"${S}\" } }, client_certificate: { pem: { certificate: me.pem }, warn_before: 7d }",
    );
    let Connection::Api(api) = &checked.plan.unwrap().connections["crm"] else { panic!() };
    let certificate = api.client_certificate.as_ref().unwrap();
    let CertificateFiles::Pem { certificate: file, key, .. } = &certificate.files else { panic!() };
    assert_eq!((file == key, certificate.warn_before), (true, Duration::from_secs(7 * 86_400)));
}

#[test]
fn two_connections_with_one_refresh_token_are_warned_of() {
    let connector = "version: 1\nbase_url: https://a.example\nauth: { oauth2: { token_url: /t, client_id: me } }\nstreams:\n  \
                     people: { get: /people, key: id }\n";
    let account = |token| {
        format!("connector: crm, auth: {{ oauth2: {{ grant: {{ refresh_token: {{ token: \"${{{token}}}\" }} }} }} }}")
    };
    for (second, warnings) in [("S", 1), ("KEY", 0)] {
        let workspace =
            format!("version: 1\nconnections:\n  one: {{ {} }}\n  two: {{ {} }}\n", account("S"), account(second));
        let files = [("renkei.yaml", workspace.as_str()), ("connectors/crm/connector.yaml", connector)];
        let checked = Workspace::new(&files).check(&VARIABLES);
        assert_eq!((checked.report.errors(), checked.report.warnings()), (0, warnings), "{}", checked.report);
        assert!(!checked.report.to_string().contains("hush"));
    }
}

/// A connector, a connection, and what is said of the two.
type Wrong<'a> = (&'a str, &'a str, Code, &'a str);

fn expect_wrong(cases: &[Wrong<'_>]) {
    for (connector, connection, code, words) in cases {
        let report = checked(connector, connection).report;
        let said = |one: &Diagnostic| format!("{} {}", one.message, one.help.clone().unwrap_or_default());
        let told = report.diagnostics.iter().any(|one| one.code == *code && said(one).contains(words));
        assert!(told, "{connection}: {words}: {report}");
    }
}

#[test]
fn what_oauth_lacks_or_says_against_itself_is_told() {
    let jwt = "{ oauth2: { token_url: /t, grant: { jwt_bearer: {} } } }";
    let client = "{ oauth2: { token_url: /t, client_id: me, grant: { client_credentials: {} } } }";
    let code = "{ oauth2: { token_url: /t, client_id: me, grant: { authorization_code: { authorize_url: /a } } } }";
    expect_wrong(&[
        (jwt, "auth: { oauth2: { grant: { jwt_bearer: { private_key: \"${KEY}\" } } } }", Code::MissingKey, "`issuer`"),
        (jwt, "auth: { oauth2: { grant: { jwt_bearer: { issuer: a } } } }", Code::MissingKey, "`private_key`"),
        (jwt, "auth: { oauth2: { grant: { jwt_bearer: { private_key: \"{${S}\" } } } }", Code::KeyFile, "client_email"),
        (
            jwt,
            "auth: { oauth2: { grant: { jwt_bearer: { private_key: plain } } } }",
            Code::LiteralSecret,
            "version control",
        ),
        (jwt, "auth: { oauth2: { grant: { client_credentials: {} } } }", Code::Conflict, "another grant"),
        (
            jwt,
            "auth: { oauth2: { grant: { jwt_bearer: { private_key: \"${FILE}\", claims: { iss: x } } } } }",
            Code::Conflict,
            "`iss`",
        ),
        (client, "auth: { oauth2: {} }", Code::MissingKey, "client_secret"),
        (client, "auth: { oauth2: { client_auth: { tls_client_auth: {} } } }", Code::MissingKey, "client_certificate"),
        (
            client,
            "auth: { oauth2: { client_secret: \"${S}\", client_auth: { private_key_jwt: { private_key: \"${KEY}\" } } } }",
            Code::Conflict,
            "two ways",
        ),
        (
            client,
            "auth: { oauth2: { client_secret: \"${S}\", parameters: { grant_type: x } } }",
            Code::Conflict,
            "`grant_type`",
        ),
        (
            code,
            "auth: { oauth2: { grant: { authorization_code: { redirect_uri: \"http://example.com/x\" } } } }",
            Code::BadPath,
            "unencrypted",
        ),
    ]);
}

#[test]
fn what_a_session_a_signature_or_a_certificate_lacks_is_told() {
    let session = "{ session: { login: { post: /login, body: { json: \"{{ secrets.p }}\" } }, token: { body: t } } }";
    let hmac = "{ hmac: { string: \"{{ method }}\", headers: { X-S: \"{{ signature }} {{ secrets.id }}\" } } }";
    expect_wrong(&[
        (session, "auth: { session: {} }", Code::MissingKey, "`send`"),
        (session, "auth: { session: { send: { X-T: \"{{ token }}\" } } }", Code::MissingKey, "secrets.p"),
        (
            session,
            "auth: { session: { send: { X-T: \"{{ secrets.p }}\" }, secrets: { p: \"${S}\" } } }",
            Code::Expression,
            "secrets",
        ),
        (hmac, "auth: { hmac: { secret: \"${S}\" } }", Code::MissingKey, "secrets.id"),
        (hmac, "auth: { hmac: { secrets: { id: \"${S}\" } } }", Code::MissingKey, "`secret`"),
        (
            hmac,
            "auth: { hmac: { secret: \"${S}\", secrets: { id: \"${S}\" }, string: \"{{ config.nowhere }}\" } }",
            Code::Expression,
            "config.nowhere",
        ),
        ("{ bearer: {} }", "auth: { bearer: { token: \"${S}\" } }, client_certificate: {}", Code::MissingKey, "pkcs12"),
        (
            "{ bearer: {} }",
            "auth: { bearer: { token: \"${S}\" } }, client_certificate: { pem: { certificate: a, password: b } }",
            Code::LiteralSecret,
            "",
        ),
    ]);
}
