//! Writing to the sandbox's CRM while it misbehaves; what arrived is what its own account says.

use renkei::{
    config::plan::{
        AnswerShape, Api, BatchPlan, Body, Changed, CreatedTest, Makes, MatchBy, Operation, Repeat, RowTest,
    },
    model::{SystemClock, Verdict},
    sandbox::{FaultKind, FaultPlan, Sandbox, SandboxConfig, WorldConfig},
    sink::Sink,
    store::Item,
};
use std::sync::Arc;

use super::{
    server::{api, noon, path, request, template},
    writing::{create, items, object, sink_of, staged, value},
};
use http::Method;

pub struct Crm {
    pub sandbox: Sandbox,
    token: String,
}

impl Crm {
    pub async fn start() -> Self {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let world = WorldConfig { customers: 1, shop_quota: None, crm_quota: None, ..WorldConfig::default() };
        let config = SandboxConfig { world, clock: Arc::new(SystemClock), ..SandboxConfig::default() };
        let sandbox = Sandbox::start(config).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = http.post(format!("{}/oauth/token", sandbox.url())).basic_auth("demo", Some("demo-secret"));
        let form =
            form.header("content-type", "application/x-www-form-urlencoded").body("grant_type=client_credentials");
        let answer = form.send().await.unwrap().bytes().await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        Self { sandbox, token: answer["access_token"].as_str().unwrap().to_owned() }
    }

    pub fn api(&self, attempts: u32) -> Api {
        let mut api = api(&self.sandbox.url());
        api.headers = vec![("authorization".parse().unwrap(), template(&format!("Bearer {}", self.token)))];
        api.retry.attempts = attempts;
        api
    }

    pub fn next(&self, faults: &[FaultKind]) {
        self.sandbox.world().set_faults(FaultPlan { next: faults.iter().copied().collect(), ..FaultPlan::none() });
    }

    /// Leads by `external_id`, and requests that were answered from memory.
    pub fn account(&self) -> (usize, u64) {
        let world = self.sandbox.world();
        (world.leads().len(), world.counters().replayed)
    }

    /// Whether no two leads share an `external_id`.
    pub fn is_without_doubles(&self) -> bool {
        let world = self.sandbox.world();
        world.leads().iter().all(|lead| world.leads_of(lead.text("external_id").unwrap()).count() == 1)
    }

    /// Requests that arrived.
    pub fn requests(&self) -> u64 {
        self.sandbox.world().counters().requests
    }
}

fn lead() -> renkei::config::plan::Node {
    object(&[
        ("external_id", value("record.id")),
        ("name", value("record.name")),
        ("email", value("record.id ~ \"@x.test\"")),
    ])
}

fn create_lead() -> Operation {
    let mut operation = create();
    operation.request = request(Method::POST, "/crm/leads");
    operation.request.body = Some(Body::Json(lead()));
    operation
}

pub fn ids(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Created(Some(_)))).count()
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_with_the_same_key_and_answered_from_memory() {
    let crm = Crm::start().await;
    for (fault, replayed) in [(FaultKind::ResetAfter, 1), (FaultKind::ErrorAfter, 2), (FaultKind::HalfBody, 3)] {
        crm.next(&[fault]);
        let item = Item { ..items(replayed).pop().unwrap() };
        let sink = sink_of(crm.api(3), create_lead(), Changed::Same, noon());
        assert_eq!(ids(&sink.write(&staged(vec![item])).await.unwrap()), 1, "{fault:?}");
        assert_eq!(crm.account(), (replayed, replayed as u64), "{fault:?}");
    }
    crm.sandbox.stop().await;
}

#[tokio::test]
async fn a_batch_whose_answers_were_lost_is_written_once_by_the_next_run() {
    let crm = Crm::start().await;
    let batch = staged(items(10));
    crm.next(&[FaultKind::ResetAfter, FaultKind::ResetBefore, FaultKind::ErrorAfter]);
    let first = sink_of(crm.api(1), create_lead(), Changed::Same, noon()).write(&batch).await;
    assert!(first.is_err());
    crm.next(&[]);
    let second = sink_of(crm.api(1), create_lead(), Changed::Same, noon()).write(&batch).await.unwrap();
    assert_eq!(ids(&second), 10);
    let (leads, replayed) = crm.account();
    assert_eq!(leads, 10);
    assert!(replayed >= 2, "{replayed}");
    crm.sandbox.stop().await;
}

#[tokio::test]
async fn whatever_breaks_every_record_arrives_once() {
    let crm = Crm::start().await;
    let plan = FaultPlan {
        reset_before: 0.1,
        reset_after: 0.1,
        error_before: 0.1,
        error_after: 0.1,
        half_body: 0.1,
        ..FaultPlan::none()
    };
    crm.sandbox.world().set_faults(plan);
    let batch = staged(items(60));
    // Half of all attempts fail here for good, which is when a breaker would leave the operation alone.
    let mut api = crm.api(4);
    api.breaker.failures = 1.0;
    let sink = sink_of(api, create_lead(), Changed::Same, noon());
    let mut runs = 0;
    let verdicts = loop {
        runs += 1;
        assert!(runs < 200, "the batch never came through");
        if let Ok(verdicts) = sink.write(&batch).await {
            break verdicts;
        }
    };
    assert_eq!((ids(&verdicts), crm.account().0), (60, 60));
    crm.sandbox.stop().await;
}

fn upsert(path_text: &str, answer: AnswerShape) -> Operation {
    let mut request = request(Method::POST, path_text);
    request.body = Some(Body::Json(object(&[("inputs", value("batch"))])));
    Operation {
        request,
        makes: Makes::Upsert,
        created: Some(CreatedTest::Field { path: path("created"), values: Vec::new() }),
        batch: Some(BatchPlan { size: 20, each: lead() }),
        repeat: vec![Repeat::Upsert { unique: "external_id".to_owned() }],
        answer,
        ..create()
    }
}

#[tokio::test]
async fn batches_in_both_shapes_are_understood_and_repeating_them_changes_nothing() {
    let crm = Crm::start().await;
    let positional = AnswerShape::Positional {
        list: path("."),
        test: RowTest { ok: Some(path("success")), errors: Some(path("errors")) },
    };
    let matched = MatchBy::Field { answer: path("external_id"), sent: path("id") };
    let listed = AnswerShape::Listed { ok: path("results"), errors: Some(path("errors")), matched: matched.into() };
    for (path, answer, before) in [("/crm/leads/batch", positional, 0), ("/crm/leads/batch/upsert", listed, 30)] {
        let all: Vec<Item> = items(before + 30).split_off(before);
        crm.next(&[FaultKind::ResetAfter]);
        let sink = sink_of(crm.api(3), upsert(path, answer), Changed::Same, noon());
        let verdicts = sink.write(&staged(all.clone())).await.unwrap();
        // The answer to the request that was reset is lost, and the second one says that these leads were there already.
        assert_eq!(ids(&verdicts), 10, "{path}");
        assert_eq!(crm.account().0, before + 30, "{path}");
        let again = sink.write(&staged(all)).await.unwrap();
        assert!(again.iter().all(|verdict| matches!(verdict, Verdict::Updated(Some(_)))), "{again:?}");
        assert_eq!(crm.account().0, before + 30, "{path}");
    }
    crm.sandbox.stop().await;
}
