//! Answers of every shape, as tables.

use http::Method;

use super::*;
use crate::{
    config::plan::{MatchBy, Repeat, RequestPlan},
    expr::Template,
    model::Fields,
};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn operation(makes: Makes, answer: AnswerShape) -> Operation {
    let request = RequestPlan::new(Method::POST, "/leads", Template::compile("/leads").unwrap());
    Operation {
        name: "write_lead".to_owned(),
        request,
        makes,
        created: None,
        batch: None,
        repeat: vec![Repeat::Upsert { unique: "id".to_owned() }],
        answer,
        first_error: None,
        read: None,
        schema: None,
        sink_id: Some(path("id")),
    }
}

fn test(ok: Option<&str>, errors: Option<&str>) -> RowTest {
    RowTest { ok: ok.map(path), errors: errors.map(path) }
}

fn said(operation: &Operation, status: u16, body: &str, sent: &[&str]) -> Result<Said, Fault> {
    let fields: Vec<Fields> = sent.iter().map(|text| Fields::parse(text.as_bytes()).unwrap()).collect();
    let names: Vec<(String, String)> = (0..sent.len()).map(|at| (format!("key-{at}"), format!("id-{at}"))).collect();
    let sent = fields.iter().zip(&names).map(|(fields, (key, id))| Sent { fields, key, id: Some(id), secrets: &[] });
    super::read(operation, StatusCode::from_u16(status).unwrap(), body.as_bytes(), &sent.collect::<Vec<_>>())
}

fn read(operation: &Operation, status: u16, body: &str, sent: &[&str]) -> Result<Vec<Verdict>, Fault> {
    said(operation, status, body, sent).map(|said| match said {
        Said::Verdicts(verdicts) => verdicts,
        other => panic!("{other:?}"),
    })
}

fn created(id: &str) -> Verdict {
    Verdict::Created(Some(id.to_owned()))
}

fn refused_with(message: &str) -> Verdict {
    Verdict::Rejected(Reason::new(Code::RecordRefused, message))
}

const THREE: [&str; 3] = [r#"{"mail":"a@x.test"}"#, r#"{"mail":"b@x.test"}"#, r#"{"mail":"c@x.test"}"#];

#[test]
fn a_whole_answer_is_about_the_one_record() {
    let one = |makes| read(&operation(makes, AnswerShape::whole()), 201, r#"{"id":77}"#, &["{}"]).unwrap();
    let id = || Some("77".to_owned());
    assert_eq!(one(Makes::Create), [Verdict::Created(id())]);
    assert_eq!(one(Makes::Upsert), [Verdict::Updated(id())]);
    assert_eq!(one(Makes::Update), [Verdict::Updated(id())]);
    assert_eq!(one(Makes::Delete), [Verdict::Deleted]);
    let empty = read(&operation(Makes::Create, AnswerShape::whole()), 204, "", &["{}"]);
    assert_eq!(empty.unwrap(), [Verdict::Created(None)]);
}

#[test]
fn a_whole_answer_about_several_records_names_none_of_them() {
    let verdicts = read(&operation(Makes::Create, AnswerShape::whole()), 200, r#"{"id":77}"#, &["{}", "{}"]);
    assert_eq!(verdicts.unwrap(), [Verdict::Created(None), Verdict::Created(None)]);
}

#[test]
fn an_upsert_says_by_status_or_field_whether_the_record_is_new() {
    let with = |test| Operation { created: Some(test), ..operation(Makes::Upsert, AnswerShape::whole()) };
    let by_status = with(CreatedTest::Status(StatusCode::CREATED));
    assert_eq!(read(&by_status, 201, r#"{"id":"a"}"#, &["{}"]).unwrap(), [created("a")]);
    assert!(matches!(read(&by_status, 200, r#"{"id":"a"}"#, &["{}"]).unwrap()[..], [Verdict::Updated(_)]));
    let by_field = with(CreatedTest::Field { path: path("is"), values: vec!["new".to_owned()] });
    for (body, is_new) in
        [(r#"{"is":true}"#, true), (r#"{"is":"new"}"#, true), (r#"{"is":"old"}"#, false), ("{}", false)]
    {
        let verdicts = read(&by_field, 200, body, &["{}"]).unwrap();
        assert_eq!(matches!(verdicts[..], [Verdict::Created(_)]), is_new, "{body}");
    }
}

fn positional() -> Operation {
    let shape = AnswerShape::Positional { list: path("r"), test: test(Some("ok"), Some("errors")) };
    operation(Makes::Create, shape)
}

#[test]
fn positional_entries_belong_to_the_records_in_their_order() {
    let body =
        r#"{"r":[{"ok":true,"id":"1"},{"ok":false,"errors":[{"message":"b@x.test is taken"}]},{"ok":true,"id":"3"}]}"#;
    let expected = [created("1"), refused_with("the sink refused the record: *** is taken"), created("3")];
    assert_eq!(read(&positional(), 200, body, &THREE).unwrap(), expected);
}

#[test]
fn without_a_yes_an_entry_without_errors_is_accepted() {
    let shape = AnswerShape::Positional { list: path("."), test: test(None, Some("errors")) };
    let body = r#"[{"id":"1","errors":[]},{"errors":"no"},{"id":"3","errors":null}]"#;
    let verdicts = read(&operation(Makes::Create, shape), 200, body, &THREE).unwrap();
    assert_eq!(verdicts, [created("1"), refused_with("the sink refused the record: no"), created("3")]);
}

#[test]
fn a_positional_answer_of_another_length_decides_nothing() {
    for (body, code) in [
        (r#"{"r":[{"ok":true},{"ok":true}]}"#, Code::Unanswered),
        (r#"{"r":[]}"#, Code::Unanswered),
        (r#"{"r":[{"ok":true},{"ok":true},{"ok":true},{"ok":true}]}"#, Code::StrangeAnswer),
        (r#"{"r":[{"ok":true},{},{"ok":true}]}"#, Code::StrangeAnswer),
        (r#"{"r":{}}"#, Code::StrangeAnswer),
        ("{}", Code::StrangeAnswer),
        ("<html>", Code::StrangeAnswer),
        ("", Code::StrangeAnswer),
    ] {
        let fault = read(&positional(), 200, body, &THREE).unwrap_err();
        assert_eq!(fault.code, code, "{body}");
        assert!(fault.help.contains("stays staged"), "{}", fault.help);
    }
}

fn listed(matched: MatchBy) -> Operation {
    operation(Makes::Create, AnswerShape::Listed { ok: path("ok"), errors: Some(path("bad")), matched: matched.into() })
}

fn by_mail() -> Operation {
    listed(MatchBy::Field { answer: path("key"), sent: path("mail") })
}

#[test]
fn listed_entries_are_matched_whatever_their_order() {
    let body =
        r#"{"ok":[{"key":"c@x.test","id":3},{"key":"a@x.test","id":1}],"bad":[{"key":"b@x.test","message":"no"}]}"#;
    let expected = [created("1"), refused_with("the sink refused the record: no"), created("3")];
    assert_eq!(read(&by_mail(), 207, body, &THREE).unwrap(), expected);
    let body = r#"{"ok":[{"at":2,"id":3},{"at":"0","id":1}],"bad":[{"at":1,"message":"no"}]}"#;
    assert_eq!(read(&listed(MatchBy::Index(path("at"))), 207, body, &THREE).unwrap(), expected);
}

#[test]
fn a_list_that_is_absent_or_null_is_empty() {
    let body = r#"{"ok":null,"bad":[{"key":"a@x.test"},{"key":"b@x.test"},{"key":"c@x.test"}]}"#;
    let silent = refused_with("the sink refused the record and did not say why");
    assert_eq!(read(&by_mail(), 200, body, &THREE).unwrap(), [silent.clone(), silent.clone(), silent]);
}

#[test]
fn a_listed_answer_that_does_not_fit_decides_nothing() {
    let (a, b, c) = (r#"{"key":"a@x.test"}"#, r#"{"key":"b@x.test"}"#, r#"{"key":"c@x.test"}"#);
    for (ok, bad, code) in [
        (format!("{a},{b}"), String::new(), Code::Unanswered),
        (String::new(), String::new(), Code::Unanswered),
        (format!("{a},{b},{c}"), a.to_owned(), Code::StrangeAnswer),
        (format!("{a},{b},{b}"), String::new(), Code::StrangeAnswer),
        (format!(r#"{a},{b},{{"key":"d@x.test"}}"#), String::new(), Code::StrangeAnswer),
        (format!("{a},{b},{{}}"), String::new(), Code::StrangeAnswer),
        (format!("{a},{b},7"), String::new(), Code::StrangeAnswer),
    ] {
        let body = format!(r#"{{"ok":[{ok}],"bad":[{bad}]}}"#);
        assert_eq!(read(&by_mail(), 200, &body, &THREE).unwrap_err().code, code, "{body}");
    }
    for at in ["3", "-1", "\"x\"", "null"] {
        let body = format!(r#"{{"ok":[{{"at":{at}}}]}}"#);
        let fault = read(&listed(MatchBy::Index(path("at"))), 200, &body, &THREE).unwrap_err();
        assert_eq!(fault.code, Code::StrangeAnswer, "{body}");
    }
}

#[test]
fn records_that_share_a_value_take_its_answers_in_their_order() {
    let twins = [r#"{"mail":"t"}"#, r#"{"mail":"t"}"#];
    let body = r#"{"ok":[{"key":"t","id":"1"},{"key":"t","id":"2"}]}"#;
    assert_eq!(read(&by_mail(), 200, body, &twins).unwrap(), [created("1"), created("2")]);
    let body = r#"{"ok":[{"key":"t","id":"1"}]}"#;
    assert_eq!(read(&by_mail(), 200, body, &twins).unwrap_err().code, Code::Unanswered);
}

#[test]
fn entries_are_matched_by_the_key_they_echo_or_by_the_id_at_the_sink() {
    let body = r#"{"ok":[{"is":"id-2"},{"is":"id-0"}],"bad":[{"about":{"ids":["id-1"]},"message":"no"}]}"#;
    let by_id = Match { by: MatchBy::Id(path("is")), in_errors: Some(path("about.ids")) };
    let shape = AnswerShape::Listed { ok: path("ok"), errors: Some(path("bad")), matched: by_id };
    let update = Operation { sink_id: None, ..operation(Makes::Update, shape) };
    let changed = Verdict::Updated(None);
    let expected = [changed.clone(), refused_with("the sink refused the record: no"), changed];
    assert_eq!(read(&update, 207, body, &THREE).unwrap(), expected);
    let by_key = listed(MatchBy::Key(path("is")));
    let body = body.replace("id-", "key-").replace("\"about\":{\"ids\":[\"key-1\"]}", "\"is\":\"key-1\"");
    assert_eq!(read(&by_key, 207, &body, &THREE).unwrap()[1], expected[1]);
}

#[test]
fn one_refusal_may_name_several_records_but_none_twice() {
    let matched = Match { by: MatchBy::Index(path("at")), in_errors: Some(path("rows")) };
    let shape = AnswerShape::Listed { ok: path("ok"), errors: Some(path("bad")), matched };
    let create = operation(Makes::Create, shape);
    let of = |rows: &str| format!(r#"{{"ok":[{{"at":1,"id":"x"}}],"bad":[{{"rows":{rows},"message":"no"}}]}}"#);
    let no = || refused_with("the sink refused the record: no");
    assert_eq!(read(&create, 207, &of("[0,2]"), &THREE).unwrap(), [no(), created("x"), no()]);
    for (rows, code) in [
        ("[0,0]", Code::StrangeAnswer),
        ("[0,1,2]", Code::StrangeAnswer),
        ("[]", Code::StrangeAnswer),
        ("[[0]]", Code::StrangeAnswer),
        ("[0]", Code::Unanswered),
    ] {
        assert_eq!(read(&create, 207, &of(rows), &THREE).unwrap_err().code, code, "{rows}");
    }
}

fn whole(ok: Option<&str>, errors: &[&str]) -> Operation {
    let errors = errors.iter().map(|text| path(text)).collect();
    operation(Makes::Create, AnswerShape::Whole(WholeAnswer { ok: ok.map(path), errors }))
}

#[test]
fn a_success_that_says_no_is_a_refusal_with_its_words() {
    let slack = whole(Some("ok"), &["error"]);
    let one = |operation: &Operation, body: &str| said(operation, 200, body, &["{}"]);
    assert_eq!(one(&slack, r#"{"ok":false,"error":"no_user"}"#).unwrap(), Said::Refused(Some("no_user".into())));
    assert_eq!(one(&slack, r#"{"ok":false}"#).unwrap(), Said::Refused(None));
    assert_eq!(one(&slack, r#"{"ok":true,"id":"7"}"#).unwrap(), Said::Verdicts(vec![created("7")]));
    let shopify = whole(None, &["data.userErrors", "errors"]);
    let no = r#"{"data":{"userErrors":[{"field":["email"],"message":"is taken"}]}}"#;
    assert_eq!(one(&shopify, no).unwrap(), Said::Refused(Some("is taken".into())));
    let down = r#"{"errors":[{"message":"unknown field"}]}"#;
    assert_eq!(one(&shopify, down).unwrap(), Said::Refused(Some("unknown field".into())));
    let yes = r#"{"data":{"userErrors":[]},"id":"7"}"#;
    assert_eq!(one(&shopify, yes).unwrap(), Said::Verdicts(vec![created("7")]));
}

#[test]
fn a_success_that_says_neither_yes_nor_no_decides_nothing() {
    for body in ["", "{}", "<html>", r#"{"data":null}"#, r#"{"ok":null,"id":null}"#] {
        for operation in [whole(Some("okay"), &["error"]), whole(None, &["data.userErrors"])] {
            assert_eq!(said(&operation, 200, body, &["{}"]).unwrap_err().code, Code::StrangeAnswer, "{body}");
        }
    }
}
