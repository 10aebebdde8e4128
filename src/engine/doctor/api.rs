//! The checks of a connection to an API, each only where the ones before it leave it a chance.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use tokio::time::Instant;

use super::{
    Doctor, Line, State, UNREACHED,
    access::{self, Read},
    network, quota,
};
use crate::{
    auth::{self, Account, Ground},
    config::plan::{Api, Auth, Budget, Paginate, Retry, Slices, Stream},
    http::{Accounts, Client, HttpTransport, Policy, Request, Response, Seams, SendError, Transport, told},
    model::{BoxFuture, Checkpoint, Fault},
    source,
    store::Memory,
};

/// A check waits no longer for quota.
const WAIT_MAX: Duration = Duration::from_secs(10);

impl Doctor {
    pub(super) async fn api(&self, api: &Arc<Api>) -> Vec<Line> {
        let transport = Arc::new(Watched::new(api));
        let addresses = transport.network.addresses(&api.base_url).await;
        let look = match &addresses {
            // It would be refused again, for the same reason.
            Err(SendError::Egress(_)) => None,
            _ => Some(transport.network.look(&api.base_url, api.timeouts.attempt).await),
        };
        let seen_at = self.ground.clock.now();
        let mut lines = network::reach(&api.base_url, &addresses, look.as_ref(), seen_at);
        let account = Account::over(api, transport.clone(), &self.ground);
        let certificate = account.as_ref().ok().and_then(Account::certificate);
        lines.extend(network::client_certificate(certificate, look.as_ref(), seen_at));
        let is_reached = !lines.iter().any(|line| line.state == State::Failed);
        let shown = look.and_then(Result::ok).map(|look| look.headers);
        lines.push(network::clock(shown.as_ref(), seen_at));
        let (signing_in, is_signed_in) = self.sign_in(api, account, is_reached).await;
        lines.extend(signing_in);
        if !is_reached || !is_signed_in {
            let why = if is_reached { "nobody is signed in" } else { UNREACHED };
            lines.extend(["read", "quota"].map(|check| Line::not_tried(check, why)));
            return lines;
        }
        let read = self.read(api, &transport).await;
        lines.push(access::read(read.as_ref()));
        let answered = transport.last().or(shown);
        lines.push(quota::quota(&api.budget, answered.map(|headers| told(&headers, &api.budget))));
        lines
    }

    /// The sign-in with its scopes, and whether a request can be signed now.
    async fn sign_in(&self, api: &Api, account: Result<Account<'_>, Fault>, is_reached: bool) -> (Vec<Line>, bool) {
        let is_kept = matches!(api.auth, Auth::OAuth2(_) | Auth::Session(_));
        let same_host = api.auth.places().iter().all(|place| place.host() == api.base_url.host());
        let failed = |fault: &Fault| (access::sign_in_failed(&api.auth, fault), false);
        let account = match (account, &self.store) {
            (Err(fault), _) => return failed(&fault),
            (_, Err(fault)) if is_kept => return failed(fault),
            (Ok(_), _) if is_kept && same_host && !is_reached => {
                return (access::sign_in_not_tried(&api.auth, UNREACHED), false);
            }
            (Ok(account), _) => account,
        };
        let ready = async {
            let before = account.status().await?;
            account.ready().await?;
            Ok((before, account.status().await?))
        };
        match ready.await {
            Ok((before, now)) => (access::signed_in(&api.auth, &before, &now, self.ground.clock.now()), true),
            Err(fault) => failed(&fault),
        }
    }

    /// Reads the smallest first page of the first stream. Nothing where there is no stream.
    async fn read(&self, api: &Arc<Api>, transport: &Arc<Watched>) -> Option<Read> {
        let stream = api.streams.values().next()?;
        let began = Instant::now();
        let read = async {
            let client = self.client(api, transport.clone())?;
            let source = source::of_stream(api, &Arc::new(smallest(stream)), &client, Arc::default(), None);
            source.read(&Checkpoint::default()).await
        };
        let page = read.await;
        Some(Read { stream: stream.name.clone(), page, took: began.elapsed() })
    }

    /// A client that tries once and waits for little, on the account that everybody shares.
    fn client(&self, api: &Api, transport: Arc<Watched>) -> Result<Client, Fault> {
        let signer = auth::build(api, transport.clone(), &self.ground)?;
        let Ground { clock, entropy, .. } = self.ground.clone();
        let store = self.store.clone().unwrap_or_else(|_| Arc::new(Memory::new()));
        let account = Accounts::new(store, clock.clone()).of(api);
        let wait_max = api.budget.wait_max.min(WAIT_MAX);
        let policy = Policy {
            retry: Retry { attempts: 1, ..api.retry.clone() },
            budget: Budget { wait_max, ..api.budget.clone() },
            ..Policy::of(api)
        };
        Ok(Client::new(policy, Seams { transport, signer, clock, entropy }).sharing(account, Arc::default()))
    }
}

/// The stream with pages of one record, where it names their size itself.
pub fn smallest(stream: &Stream) -> Stream {
    let mut smallest = stream.clone();
    match &mut smallest.paginate {
        Paginate::Page { size: Some(size), .. }
        | Paginate::Offset { size, .. }
        | Paginate::Cursor { size: Some(size), .. } => size.records = 1,
        Paginate::Page { size: None, .. }
        | Paginate::None
        | Paginate::Cursor { size: None, .. }
        | Paginate::NextUrl { .. }
        | Paginate::Link => {}
    }
    if let Some(slices) = &stream.slices {
        smallest.slices = Some(Arc::new(Slices { concurrency: 1, ..(**slices).clone() }));
    }
    smallest
}

/// The network, and the head of the last answer that came from the API itself.
struct Watched {
    network: HttpTransport,
    signs_in_at: Vec<url::Url>,
    last: Mutex<Option<HeaderMap>>,
}

impl Watched {
    fn new(api: &Api) -> Self {
        let signs_in_at = api.auth.places().into_iter().cloned().collect();
        Self { network: HttpTransport::looking(api), signs_in_at, last: Mutex::default() }
    }

    fn last(&self) -> Option<HeaderMap> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Transport for Watched {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            let signs_in = self.signs_in_at.contains(&request.url);
            let answered = self.network.send(request).await;
            if let (Ok(response), false) = (&answered, signs_in) {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(response.headers.clone());
            }
            answered
        })
    }
}
