//! Every grant and every proof of a client, against a server that checks them: signatures, times, codes and verifiers.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use chrono::TimeDelta;
use renkei::{
    config::plan::{ClientAuth, Grant, JwtBearer, OAuth2, SigningKey},
    model::{Code, Fault},
    sandbox::WorldConfig,
    store::Memory,
};

use crate::{
    openssl::Desk,
    wire::{BASE_URL, PausedClock, Wire, calm, client, customers, ground, oauth2},
};

const TOKEN_URL: &str = "http://sandbox.test/oauth/token";

fn key(desk: &Desk, name: &str) -> SigningKey {
    SigningKey { pem: desk.text(name).into(), password: None, id: Some("k1".to_owned()) }
}

fn assertion(desk: &Desk, name: &str) -> OAuth2 {
    let client = ClientAuth::PrivateKeyJwt { key: key(desk, name), audience: TOKEN_URL.to_owned() };
    OAuth2 { client, ..oauth2(BASE_URL, Grant::ClientCredentials) }
}

fn bearer(desk: &Desk, name: &str) -> OAuth2 {
    let grant = Grant::JwtBearer(JwtBearer {
        key: key(desk, name),
        issuer: "service@sandbox.test".to_owned(),
        subject: "service@sandbox.test".to_owned(),
        audience: TOKEN_URL.to_owned(),
        claims: vec![("scope".to_owned(), "\"read\"".to_owned())],
        lifetime: Duration::from_secs(300),
    });
    OAuth2 { client: ClientAuth::Public, client_id: String::new(), ..oauth2(BASE_URL, grant) }
}

/// One call at a server that knows a public key, with its clock so far from ours.
async fn called(oauth2: OAuth2, public_key: &str, skew: TimeDelta) -> (Result<(), Fault>, Arc<Wire>) {
    let clock = PausedClock::new(skew);
    let world = WorldConfig { client_key: Some(public_key.to_owned()), ..calm() };
    let wire = Wire::new(world, clock.clone(), Duration::from_millis(10));
    let client = client(oauth2, &wire, &ground(Memory::new(), clock, 7));
    let ended = client.execute(&customers(BASE_URL)).await.map(drop);
    (ended, wire)
}

#[tokio::test(start_paused = true)]
async fn a_signed_assertion_proves_a_client_and_is_a_grant_with_rsa_and_with_p256() {
    let desk = Desk::new();
    for kind in ["rsa", "ec"] {
        desk.key(kind, kind);
        let (key, public) = (format!("{kind}.key"), desk.text(&format!("{kind}.pub")));
        for oauth2 in [assertion(&desk, &key), bearer(&desk, &key)] {
            let (ended, wire) = called(oauth2, &public, TimeDelta::zero()).await;
            ended.unwrap_or_else(|fault| panic!("{kind}: {fault}"));
            assert_eq!(wire.token_requests.load(Relaxed), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_sealed_signs_with_its_password() {
    let desk = Desk::new();
    desk.key("ec", "ec");
    desk.openssl("pkcs8 -topk8 -in ec.key -out sealed.key -passout pass:hush");
    let mut oauth2 = assertion(&desk, "sealed.key");
    let ClientAuth::PrivateKeyJwt { key, .. } = &mut oauth2.client else { panic!() };
    key.password = Some("hush".into());
    called(oauth2, &desk.text("ec.pub"), TimeDelta::zero()).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_key_is_refused_and_says_whose_move_it_is() {
    let desk = Desk::new();
    desk.key("one", "ec");
    desk.key("two", "ec");
    for oauth2 in [assertion(&desk, "one.key"), bearer(&desk, "one.key")] {
        let (ended, wire) = called(oauth2, &desk.text("two.pub"), TimeDelta::zero()).await;
        let fault = ended.unwrap_err();
        assert_eq!((fault.code, fault.exit_code()), (Code::TokenRefused, 4), "{fault}");
        assert_eq!(wire.token_requests.load(Relaxed), 1, "a refusal is not asked about again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_sign_is_named_before_anything_is_sent() {
    let desk = Desk::new();
    desk.key("p384", "p384");
    std::fs::write(desk.path("no.key"), "hello").unwrap();
    for (name, words) in [("p384.key", "P-256"), ("no.key", "no private key")] {
        let clock = PausedClock::new(TimeDelta::zero());
        let wire = Wire::new(calm(), clock.clone(), Duration::ZERO);
        let api = crate::wire::api(BASE_URL, renkei::config::plan::Auth::OAuth2(Box::new(assertion(&desk, name))));
        let Err(fault) = renkei::auth::client_over(&api, wire.clone(), &ground(Memory::new(), clock, 7)) else {
            panic!()
        };
        assert_eq!((fault.code, fault.exit_code()), (Code::SigningKey, 4));
        assert!(fault.message.contains(words), "{fault}");
        assert_eq!(wire.token_requests.load(Relaxed), 0);
    }
}

/// Assertions carry times. Ours are those of the server's own clock, once it told.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ten_minutes_off_signs_in_all_the_same() {
    let desk = Desk::new();
    desk.key("ec", "ec");
    for minutes in [-10, 10] {
        for oauth2 in [assertion(&desk, "ec.key"), bearer(&desk, "ec.key")] {
            let (ended, wire) = called(oauth2, &desk.text("ec.pub"), TimeDelta::minutes(minutes)).await;
            ended.unwrap_or_else(|fault| panic!("{minutes} min: {fault}"));
            assert_eq!(wire.token_requests.load(Relaxed), 2, "refused once, then signed by the server's time");
        }
    }
    // A token's life is counted from when it came, so a clock that is off changes nothing for the others.
    for minutes in [-10, 10] {
        let plain = oauth2(BASE_URL, Grant::ClientCredentials);
        let (ended, wire) = called(plain, "", TimeDelta::minutes(minutes)).await;
        ended.unwrap();
        assert_eq!((wire.token_requests.load(Relaxed), wire.refused.load(Relaxed)), (1, 0));
    }
}

/// An assertion is good for one use; an attempt after a lost answer needs one of its own.
#[tokio::test(start_paused = true)]
async fn an_attempt_after_a_lost_answer_carries_an_assertion_of_its_own() {
    let desk = Desk::new();
    desk.key("ec", "ec");
    for oauth2 in [assertion(&desk, "ec.key"), bearer(&desk, "ec.key")] {
        let clock = PausedClock::new(TimeDelta::zero());
        let world = WorldConfig { client_key: Some(desk.text("ec.pub")), ..calm() };
        let wire = Wire::new(world, clock.clone(), Duration::from_millis(10));
        wire.fare(&[crate::wire::Fate::LostAfter], crate::wire::Fate::Arrives);
        let client = client(oauth2, &wire, &ground(Memory::new(), clock, 7));
        client.execute(&customers(BASE_URL)).await.unwrap();
        assert_eq!(wire.token_requests.load(Relaxed), 2);
    }
}
