//! People who sign in, over real sockets: a browser that comes back, an address that is pasted, a code on another device,
//! and everybody else who sends something to where we listen.

use std::{sync::Arc, time::Duration};

use renkei::{
    auth::{self, Account, Ground, Person, Prompt},
    config::plan::{Api, Auth, ClientAuth, CodeGrant, Grant, OAuth2},
    model::{BoxFuture, Code, Fault, SystemClock},
    sandbox::{Sandbox, SandboxConfig, WorldConfig},
    store::Memory,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Mutex, mpsc},
};
use url::Url;

use crate::wire::{PausedClock, Wire, api, calm, customers, ground, oauth2};

/// A person whose moves the test makes.
struct Puppet {
    prompts: mpsc::UnboundedSender<Prompt>,
    pastes: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Person for Puppet {
    fn show(&self, prompt: &Prompt) {
        self.prompts.send(prompt.clone()).unwrap();
    }

    fn pasted(&self) -> BoxFuture<'_, String> {
        Box::pin(async {
            match self.pastes.lock().await.recv().await {
                Some(text) => text,
                None => std::future::pending().await,
            }
        })
    }
}

struct Stage {
    sandbox: Sandbox,
    api: Api,
    ground: Ground,
}

impl Stage {
    async fn new(change: impl FnOnce(&mut WorldConfig, &mut CodeGrant)) -> Self {
        let mut world = WorldConfig { public_client: true, ..calm() };
        let mut grant = CodeGrant {
            authorize_url: "http://unset.test".parse().unwrap(),
            redirect_uri: "http://127.0.0.1/callback".parse().unwrap(),
            issuer: None,
            parameters: vec![("prompt".to_owned(), "consent".to_owned())],
        };
        change(&mut world, &mut grant);
        let sandbox = Sandbox::start(SandboxConfig { world, ..SandboxConfig::default() }).await.unwrap();
        let url = sandbox.url();
        grant.authorize_url = format!("{url}/oauth/authorize").parse().unwrap();
        let signing = OAuth2 { client: ClientAuth::Public, ..oauth2(&url, Grant::AuthorizationCode(grant)) };
        let ground =
            Ground { clock: Arc::new(SystemClock), ..ground(Memory::new(), PausedClock::new(Default::default()), 7) };
        Self { api: api(&url, Auth::OAuth2(Box::new(signing))), sandbox, ground }
    }

    /// Signs in, with the person's moves as `plays` makes them from the page's address.
    async fn sign_in<F: Future<Output = ()>>(
        &self,
        plays: impl FnOnce(Url, mpsc::UnboundedSender<String>) -> F,
    ) -> Result<(), Fault> {
        let (prompts, mut shown) = mpsc::unbounded_channel();
        let (paste, pastes) = mpsc::unbounded_channel();
        let person = Puppet { prompts, pastes: Mutex::new(pastes) };
        let account = Account::new(&self.api, &self.ground).unwrap();
        let moves = async {
            let Some(Prompt::Browser { url, .. }) = shown.recv().await else { panic!("no page was shown") };
            plays(url.parse().unwrap(), paste.clone()).await;
            std::future::pending::<()>().await;
        };
        let signed_in = tokio::select! {
            signed_in = account.sign_in(&person) => signed_in?.unwrap(),
            () = moves => unreachable!(),
        };
        account.keep(signed_in).await
    }

    async fn call(&self) -> Result<(), Fault> {
        let client = auth::client(&self.api, &self.ground).unwrap();
        client.execute(&customers(&self.sandbox.url())).await.map(drop)
    }

    fn tokens(&self) -> u64 {
        // The page of the authorization counts there too.
        self.sandbox.world().counters().tokens
    }
}

/// Asks a server and returns what it said.
async fn raw(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).await.unwrap();
    said
}

fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
}

async fn get(url: &Url) -> String {
    let target = &url[url::Position::BeforePath..];
    raw(&authority(url), &format!("GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", authority(url)))
        .await
}

/// What a browser does with the page: the address that it is sent back to.
async fn back(page: &Url) -> Url {
    let said = get(page).await;
    let location = said.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{said}"));
    location.parse().unwrap()
}

#[tokio::test]
async fn a_browser_that_comes_back_signs_in_and_the_grant_is_kept_and_refreshed() {
    let stage = Stage::new(|_, _| {}).await;
    let fault = stage.call().await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::NotSignedIn, 4));
    assert!(fault.help.contains("auth login shop"), "{}", fault.help);
    stage
        .sign_in(|page, _| async move {
            let asked = page.query().unwrap();
            assert!(asked.contains("code_challenge_method=S256") && asked.contains("prompt=consent"), "{page}");
            let answered = get(&back(&page).await).await;
            assert!(
                answered.starts_with("HTTP/1.1 200 OK") && answered.contains("go back to the terminal"),
                "{answered}"
            );
        })
        .await
        .unwrap();
    stage.call().await.unwrap();
    stage.sandbox.world().revoke_tokens();
    stage.call().await.unwrap();
    assert_eq!(stage.sandbox.world().sign_ins().refreshes, 1);
    let status = Account::new(&stage.api, &stage.ground).unwrap().status().await.unwrap();
    assert!(status.refresh_token && status.signed_in_at.is_some());
}

#[tokio::test]
async fn what_else_comes_to_where_we_listen_is_passed_over() {
    let stage = Stage::new(|_, _| {}).await;
    stage
        .sign_in(|page, _| async move {
            let right = back(&page).await;
            let here = authority(&right);
            // A connection that a browser opens ahead and never uses.
            let idle = TcpStream::connect(&here).await.unwrap();
            for request in [
                format!("GET /favicon.ico HTTP/1.1\r\nhost: {here}\r\n\r\n"),
                format!("POST /callback?code=x&state=y HTTP/1.1\r\nhost: {here}\r\n\r\n"),
                "GET /callback?code=x&state=y HTTP/1.1\r\nhost: evil.test\r\n\r\n".to_owned(),
                "GET /callback?code=x&state=y HTTP/1.1\r\n\r\n".to_owned(),
                format!("GET http://evil.test/callback?code=x HTTP/1.1\r\nhost: {here}\r\n\r\n"),
            ] {
                let said = raw(&here, &request).await;
                assert!(said.starts_with("HTTP/1.1 404"), "{request}: {said}");
            }
            raw(&here, "\r\n\r\n\r\n\r\n").await;
            get(&right).await;
            drop(idle);
        })
        .await
        .unwrap();
    stage.call().await.unwrap();
}

#[tokio::test]
async fn an_answer_with_another_state_or_issuer_ends_the_sign_in_and_its_code_is_not_used() {
    for (from, to, issuer, words) in [
        ("state=", "state=x", None, "state"),
        ("code=", "code=y&code=", None, "`code` twice"),
        ("iss=http", "iss=https", Some("right"), "issuer"),
        ("&iss=", "&isss=", Some("right"), "issuer"),
        ("code=", "code=", Some("https://id.other.test"), "issuer"),
    ] {
        let mut stage = Stage::new(|_, _| {}).await;
        if let (Auth::OAuth2(signing), Some(issuer)) = (&mut stage.api.auth, issuer) {
            let Grant::AuthorizationCode(grant) = &mut signing.grant else { panic!() };
            grant.issuer = Some(if issuer == "right" { stage.sandbox.url() } else { issuer.to_owned() });
        }
        let fault = stage
            .sign_in(|page, _| async move {
                let wrong = back(&page).await.as_str().replacen(from, to, 1);
                get(&wrong.parse().unwrap()).await;
            })
            .await
            .unwrap_err();
        assert_eq!((fault.code, fault.exit_code()), (Code::LoginMismatch, 4), "{from} -> {to}: {fault}");
        assert!(fault.message.contains(words), "{from} -> {to}: {fault}");
        assert_eq!(stage.tokens(), 1, "only the page was asked for");
        assert_eq!(stage.call().await.unwrap_err().code, Code::NotSignedIn);
    }
}

#[tokio::test]
async fn an_address_that_is_pasted_signs_in_where_nothing_can_listen() {
    let stage = Stage::new(|_, grant| grant.redirect_uri = "https://example.test/done".parse().unwrap()).await;
    stage
        .sign_in(|page, paste| async move {
            paste.send(format!(" {} \n", back(&page).await)).unwrap();
        })
        .await
        .unwrap();
    stage.call().await.unwrap();
    let fault = stage
        .sign_in(|page, paste| async move {
            let elsewhere = back(&page).await.as_str().replace("example.test", "evil.test");
            paste.send(elsewhere).unwrap();
        })
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::LoginMismatch);
    stage.call().await.unwrap();
}

#[tokio::test]
async fn a_person_who_says_no_is_told_so_and_what_was_kept_stays() {
    let stage = Stage::new(|_, _| {}).await;
    stage.sign_in(|page, _| async move { drop(get(&back(&page).await).await) }).await.unwrap();
    let denied = Stage::new(|world, _| world.consent_denied = true).await;
    let fault = denied.sign_in(|page, _| async move { drop(get(&back(&page).await).await) }).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::LoginRefused, 4));
    assert_eq!(fault.message, "the sign-in was refused: access_denied: not today");
    stage.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_who_comes_back_ends_the_wait_after_ten_minutes() {
    let grant = CodeGrant {
        authorize_url: "http://sandbox.test/oauth/authorize".parse().unwrap(),
        redirect_uri: "http://localhost/callback".parse().unwrap(),
        issuer: None,
        parameters: Vec::new(),
    };
    let clock = PausedClock::new(Default::default());
    let wire = Wire::new(calm(), clock.clone(), Duration::ZERO);
    let api = api(
        crate::wire::BASE_URL,
        Auth::OAuth2(Box::new(oauth2(crate::wire::BASE_URL, Grant::AuthorizationCode(grant)))),
    );
    let (prompts, _shown) = mpsc::unbounded_channel();
    let (_paste, pastes) = mpsc::unbounded_channel();
    let person = Puppet { prompts, pastes: Mutex::new(pastes) };
    let account = Account::over(&api, wire, &ground(Memory::new(), clock, 7)).unwrap();
    let Err(fault) = account.sign_in(&person).await else { panic!() };
    assert_eq!((fault.code, fault.exit_code()), (Code::LoginExpired, 4));
}

/// A device sign-in on the paused clock. Returns how it ended, and how many requests it took.
async fn device(change: impl FnOnce(&mut WorldConfig)) -> (Result<(), Fault>, u64) {
    let mut world = calm();
    change(&mut world);
    let clock = PausedClock::new(Default::default());
    let wire = Wire::new(world, clock.clone(), Duration::from_millis(10));
    let device_url = format!("{}/oauth/device", crate::wire::BASE_URL).parse().unwrap();
    let signing = oauth2(crate::wire::BASE_URL, Grant::DeviceCode { device_url });
    let api = api(crate::wire::BASE_URL, Auth::OAuth2(Box::new(signing)));
    let ground = ground(Memory::new(), clock, 7);
    let (prompts, mut shown) = mpsc::unbounded_channel();
    let (_paste, pastes) = mpsc::unbounded_channel();
    let person = Puppet { prompts, pastes: Mutex::new(pastes) };
    let account = Account::over(&api, wire.clone(), &ground).unwrap();
    let ended = match account.sign_in(&person).await {
        Ok(signed_in) => account.keep(signed_in.unwrap()).await,
        Err(fault) => Err(fault),
    };
    let Some(Prompt::Device { url, code, url_with_code, lives }) = shown.recv().await else { panic!() };
    assert_eq!((url.as_str(), code.as_str()), ("http://sandbox.test/oauth/verify", "DEMO-0001"));
    assert_eq!(url_with_code.unwrap(), "http://sandbox.test/oauth/verify?user_code=DEMO-0001");
    assert_eq!(lives.as_secs(), 600);
    if ended.is_ok() {
        let client = auth::client_over(&api, wire.clone(), &ground).unwrap();
        client.execute(&customers(crate::wire::BASE_URL)).await.unwrap();
    }
    let asked = wire.token_requests.load(std::sync::atomic::Ordering::Relaxed);
    (ended, asked)
}

#[tokio::test(start_paused = true)]
async fn a_code_on_another_device_signs_in_once_somebody_has_typed_it() {
    let (ended, asked) = device(|world| world.device_polls = 5).await;
    ended.unwrap();
    assert_eq!(asked, 6);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_asks_too_fast_slows_down_and_one_that_is_denied_or_forgotten_ends() {
    let (ended, asked) = device(|world| (world.device_polls, world.device_interval) = (4, 7)).await;
    ended.unwrap();
    assert!((4..=6).contains(&asked), "told to slow down, and slowed down: {asked}");
    let (ended, _) = device(|world| world.consent_denied = true).await;
    assert_eq!(ended.unwrap_err().code, Code::LoginRefused);
    let (ended, asked) = device(|world| world.device_polls = u32::MAX).await;
    assert_eq!(ended.unwrap_err().code, Code::LoginExpired);
    assert!((500..=600).contains(&asked), "once a second for ten minutes: {asked}");
}
