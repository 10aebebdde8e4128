//! Points: a server that charges by query, answers 200 when the bucket is too empty, and gives back what a query did not use.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use renkei::{
    config::plan::{AnswerRule, Budget, Meaning, Points, When},
    http::{Request, Response, SendError, Transport},
    model::{BoxFuture, Path},
};
use tokio::time::{Instant, sleep};

use crate::load::{MS, SECOND, api, call, callers, client_over};

const MAX: f64 = 1000.0;
const RESTORE: f64 = 100.0;

/// What is in the bucket, and what became of the calls.
struct Bucket {
    available: f64,
    at: Instant,
    charged: f64,
    refused: usize,
}

struct Server(Mutex<Bucket>);

impl Server {
    fn holding(available: f64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Bucket { available, at: Instant::now(), charged: 0.0, refused: 0 })))
    }

    fn refill(bucket: &mut Bucket) {
        let passed = bucket.at.elapsed().as_secs_f64();
        bucket.available = (bucket.available + passed * RESTORE).min(MAX);
        bucket.at = Instant::now();
    }

    fn answer(&self, requested: f64, actual: f64) -> String {
        let mut bucket = self.0.lock().unwrap();
        Self::refill(&mut bucket);
        let is_refused = bucket.available < requested;
        match is_refused {
            true => bucket.refused += 1,
            false => {
                bucket.available -= actual;
                bucket.charged += actual;
            }
        }
        let errors = if is_refused { r#""errors":[{"extensions":{"code":"THROTTLED"}}],"# } else { "" };
        format!(
            r#"{{{errors}"extensions":{{"cost":{{"requestedQueryCost":{requested},"throttleStatus":{{"maximumAvailable":{MAX:.1},"currentlyAvailable":{:.0},"restoreRate":{RESTORE:.1}}}}}}}}}"#,
            bucket.available.floor()
        )
    }
}

impl Transport for Server {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            sleep(20 * MS).await;
            // A heavy query asks for 120 and uses 80 of it, a light one 12.
            let (requested, actual) = if request.url.path().contains("heavy") { (120.0, 80.0) } else { (12.0, 12.0) };
            let body = self.answer(requested, actual).into();
            sleep(30 * MS).await;
            Ok(Response { status: StatusCode::OK, headers: HeaderMap::new(), body })
        })
    }
}

fn budget() -> Budget {
    let path = |text: &str| Some(Path::parse(&format!("extensions.cost.{text}")).unwrap());
    let points = Points {
        // Half of what the server has: its answers tell better.
        max: 500,
        per_second: 50,
        cost: 100,
        available: path("throttleStatus.currentlyAvailable"),
        requested: path("requestedQueryCost"),
        maximum: path("throttleStatus.maximumAvailable"),
        restore: path("throttleStatus.restoreRate"),
    };
    Budget { points: vec![points], ..Budget::default() }
}

/// A minute of heavy and light calls. Returns points charged, refusals, and calls of each kind.
async fn a_minute(holding: f64) -> (f64, usize, [usize; 2]) {
    let (mut api, server) = (api(budget()), Server::holding(holding));
    let when = When {
        body: Some((Path::parse("errors[0].extensions.code").unwrap(), vec!["THROTTLED".to_owned()])),
        ..When::default()
    };
    api.answers = vec![AnswerRule { when, is: Meaning::Throttle { after: Some(SECOND) } }];
    let client = client_over(&api, server.clone());
    let (mut heavy, light) = (call(&api, "heavy"), call(&api, "light"));
    heavy.url = api.base_url.join("/heavy").unwrap();
    let time = Duration::from_secs(60);
    let (heavy, light) = tokio::join!(callers(&client, &heavy, 4, time), callers(&client, &light, 4, time));
    let bucket = server.0.lock().unwrap();
    (bucket.charged, bucket.refused, [heavy, light])
}

#[tokio::test(start_paused = true)]
async fn points_are_spent_as_they_come_back_and_no_query_is_refused_also_not_a_dear_one() {
    let (charged, refused, [heavy, light]) = a_minute(MAX).await;
    assert_eq!(refused, 0, "{charged} points, {heavy} heavy, {light} light");
    // A bucket that never overflows gives what was in it and what came back, less what lies in it at the end: a query is
    // only sent when all that it may ask for is there.
    assert!(charged >= 0.97 * (MAX + 60.0 * RESTORE - 120.0), "{charged} points");
    assert!(heavy >= 40 && light >= 40, "{heavy} heavy and {light} light: cheap ones do not push dear ones aside");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_others_emptied_is_known_after_the_first_answers() {
    let (charged, refused, _) = a_minute(0.0).await;
    assert!(refused <= 8, "{refused} refused: those that left before the first answer");
    assert!(charged >= 0.9 * 60.0 * RESTORE - 120.0, "{charged} points");
}
