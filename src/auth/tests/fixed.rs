//! Credentials that never change.

use http::Method;

use super::support::World;
use crate::{
    auth::client_over,
    config::plan::Auth,
    http::script::{Script, answer, api, call},
};

#[tokio::test(start_paused = true)]
async fn fixed_credentials_are_put_where_they_belong() {
    let cases = [
        (Auth::Bearer { token: "t0ken".into() }, "authorization", "Bearer t0ken"),
        (Auth::Basic { user: "me".to_owned(), password: "pä:ss".into() }, "authorization", "Basic bWU6cMOkOnNz"),
        (Auth::ApiKeyHeader { header: "x-key".parse().unwrap(), value: "k3y".into() }, "x-key", "k3y"),
    ];
    for (auth, header, value) in cases {
        let server = Script::list(vec![answer(200, &[], "{}")]);
        let client = client_over(&api(auth), server.clone(), &World::new().ground).unwrap();
        client.execute(&call(Method::GET, "orders")).await.unwrap();
        let sent = &server.seen()[0].headers[header];
        assert_eq!((sent.to_str().unwrap(), sent.is_sensitive()), (value, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_in_the_query_replaces_the_one_a_page_link_brought_along() {
    let server = Script::list(vec![answer(200, &[], "{}")]);
    let auth = Auth::ApiKeyQuery { parameter: "key".to_owned(), value: "k&y".into() };
    let client = client_over(&api(auth), server.clone(), &World::new().ground).unwrap();
    client.execute(&call(Method::GET, "orders?page=2&key=old&q=a%20b")).await.unwrap();
    client.execute(&call(Method::GET, "orders?q=a%20b")).await.unwrap();
    let urls: Vec<String> = server.seen().iter().map(|request| request.url.query().unwrap().to_owned()).collect();
    assert_eq!(urls, ["page=2&q=a+b&key=k%26y", "q=a%20b&key=k%26y"]);
}

#[test]
fn a_secret_with_a_line_break_is_refused_before_anything_is_sent() {
    let server = Script::list(vec![answer(200, &[], "{}")]);
    let auth = Auth::Bearer { token: "planted\n".into() };
    let Err(fault) = client_over(&api(auth), server, &World::new().ground) else { panic!() };
    assert_eq!(fault.exit_code(), 4);
    assert!(!format!("{fault:?}").contains("planted"));
}
