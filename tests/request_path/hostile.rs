//! The whole path against the sandbox at its worst: short-lived tokens, a strict quota, stalls, resets, half bodies and
//! errors before and after the effect. Every call is repeatable, so every lead must be there, and once.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, header};
use renkei::{
    auth::{self, Ground, Vault},
    config::plan::{AnswerRule, Auth, Bucket, ClientAuth, Grant, Meaning, OAuth2, Retry, Timeouts, When},
    http::Call,
    model::{SystemClock, SystemEntropy},
    sandbox::{FaultPlan, Quota, Sandbox, SandboxConfig, WorldConfig},
    store::{Memory, Seal},
};

use crate::support::{api, call};

const LEADS: usize = 120;

#[tokio::test]
async fn every_lead_arrives_once_through_faults_quotas_and_expiring_tokens() {
    let faults = FaultPlan {
        latency: 0.1,
        latency_ms: 20,
        stall: 0.02,
        stall_ms: 2_000,
        reset_before: 0.05,
        reset_after: 0.05,
        error_before: 0.05,
        error_after: 0.05,
        half_body: 0.05,
        ..FaultPlan::none()
    };
    let quota = Some(Quota { per_second: 200, burst: 5 });
    let world = WorldConfig {
        seed: 7,
        token_ttl: Duration::from_secs(1),
        crm_quota: quota,
        retry_after_date: true,
        key_required: true,
        ..WorldConfig::default()
    };
    let sandbox = Sandbox::start(SandboxConfig { world, faults, ..SandboxConfig::default() }).await.unwrap();
    let base_url = sandbox.url();
    let mut crm = api(&base_url);
    crm.auth = Auth::OAuth2(Box::new(OAuth2 {
        grant: Grant::ClientCredentials,
        token_url: format!("{base_url}/oauth/token").parse().unwrap(),
        client_id: "demo".to_owned(),
        client: ClientAuth::Basic { secret: "demo-secret".into() },
        scopes: Vec::new(),
        parameters: Vec::new(),
    }));
    crm.budget.buckets = vec![Bucket { requests: 190, per: Duration::from_secs(1), burst: 1 }];
    crm.timeouts = Timeouts { attempt: Duration::from_millis(500), ..crm.timeouts };
    crm.retry = Retry { attempts: 10, base: Duration::from_millis(5), cap: Duration::from_millis(50) };
    // The same key while the first request is still under way.
    let when = When { status: vec![(409, 409)], ..When::default() };
    crm.answers = vec![AnswerRule { when, is: Meaning::Retry { after: Some(Duration::from_millis(10)) } }];
    let ground = Ground {
        vault: Vault::new(Arc::new(Memory::new()), Arc::new(Seal::plain())),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::seeded(7)),
    };
    let client = auth::client(&crm, &ground).unwrap();
    let callers: Vec<_> = (0..LEADS)
        .map(|number| {
            let create = create(&base_url, number);
            let client = client.clone();
            tokio::spawn(async move { client.execute(&create).await.unwrap().accepted().unwrap() })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let world = sandbox.world();
    assert_eq!(world.leads().len(), LEADS, "seed 7");
    for number in 0..LEADS {
        assert_eq!(world.leads_of(&format!("lead-{number}")).count(), 1, "lead-{number}, seed 7");
    }
    let counters = world.counters();
    assert!(counters.faults.len() >= 5 && counters.replayed > 0, "{counters:?}");
    assert!(client.usage().retries > 10, "{:?}", client.usage());
}

fn create(base_url: &str, number: usize) -> Call {
    let mut create = call(Method::POST, base_url, "/crm/leads");
    create.body = format!(r#"{{"external_id":"lead-{number}","email":"l{number}@example.com"}}"#).into();
    create.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    create.headers.insert("idempotency-key", format!("key-{number}").parse().unwrap());
    create
}
