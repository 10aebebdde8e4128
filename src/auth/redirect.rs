//! Judges the address that a browser came back with. Pure. Whatever is wrong with it, the code in it is not used.

use secrecy::SecretString;
use url::Url;

use super::login::refused;
use crate::model::{Blame, Code, Fault};

/// A longer address is none of a vendor's.
const ADDRESS_BYTES_MAX: usize = 16 << 10;

/// Characters of a server's own words that are shown.
const SAID_CHARS_MAX: usize = 200;

/// What must come back for this one sign-in.
pub struct Expected {
    pub redirect: Url,
    pub state: String,
    /// Nothing: not checked.
    pub issuer: Option<String>,
}

impl Expected {
    /// The code in an address that a person pasted.
    pub fn code_in_text(&self, text: &str) -> Result<SecretString, Fault> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(mismatch("it is too long"));
        }
        let url = Url::parse(text.trim()).map_err(|_| mismatch("it is no address; paste the whole of it"))?;
        self.code_in(&url)
    }

    /// The code in the address that the browser was sent back to.
    pub fn code_in(&self, url: &Url) -> Result<SecretString, Fault> {
        if !self.leads_here(url) {
            return Err(mismatch("it leads elsewhere than the redirect URI"));
        }
        let state = only(url, "state")?;
        // Before anything else that it says is believed.
        if state.as_deref() != Some(&self.state) {
            return Err(mismatch("its state is not that of this sign-in"));
        }
        let issuer = only(url, "iss")?;
        if self.issuer.is_some() && issuer != self.issuer {
            return Err(mismatch("its issuer is not the declared one"));
        }
        if let Some(error) = only(url, "error")? {
            let description = only(url, "error_description")?.map(|said| format!(": {said}")).unwrap_or_default();
            let said = format!("{error}{description}");
            return Err(refused(&said.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect::<String>()));
        }
        match only(url, "code")? {
            Some(code) if !code.is_empty() => Ok(code.into()),
            _ => Err(mismatch("it has no code")),
        }
    }

    /// Whether an address is the redirect URI, whatever its parameters.
    pub fn leads_here(&self, url: &Url) -> bool {
        let place =
            |url: &Url| (url.scheme().to_owned(), url.host().map(|host| host.to_string()), url.port_or_known_default());
        place(url) == place(&self.redirect) && url.path() == self.redirect.path()
    }
}

/// A parameter's value. One that stands twice could be read by somebody else the other way.
fn only(url: &Url, name: &str) -> Result<Option<String>, Fault> {
    let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(mismatch(&format!("it names `{name}` twice"))),
    }
}

fn mismatch(why: &str) -> Fault {
    Fault::halt(Code::LoginMismatch, Blame::Credentials, format!("the address belongs to no sign-in of ours: {why}"))
        .help(
            "Its code was not used, and nothing was kept. Close old pages of the vendor's and type the command again.",
        )
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn expected() -> Expected {
        Expected {
            redirect: "http://127.0.0.1:7777/callback".parse().unwrap(),
            state: "s1".to_owned(),
            issuer: Some("https://id.test".to_owned()),
        }
    }

    const GOOD: &str = "http://127.0.0.1:7777/callback?code=abc&state=s1&iss=https%3A%2F%2Fid.test";

    #[test]
    fn the_address_of_this_sign_in_gives_its_code() {
        assert_eq!(expected().code_in_text(&format!("  {GOOD}\n")).unwrap().expose_secret(), "abc");
        let unchecked = Expected { issuer: None, ..expected() };
        let plain = "http://127.0.0.1:7777/callback?state=s1&code=a%2Bb";
        assert_eq!(unchecked.code_in_text(plain).unwrap().expose_secret(), "a+b");
        assert!(unchecked.code_in_text(GOOD).is_ok());
    }

    #[test]
    fn every_other_address_is_refused_without_its_code() {
        for (change, to, words) in [
            ("state=s1", "state=s2", "state"),
            ("&state=s1", "", "state"),
            ("state=s1", "state=s1&state=s1", "`state` twice"),
            ("code=abc", "code=abc&code=evil", "`code` twice"),
            ("id.test", "evil.test", "issuer"),
            ("&iss=https%3A%2F%2Fid.test", "", "issuer"),
            ("127.0.0.1:7777", "127.0.0.1:7778", "leads elsewhere"),
            ("127.0.0.1:7777", "evil.test:7777", "leads elsewhere"),
            ("http://", "https://", "leads elsewhere"),
            ("/callback", "/callback/x", "leads elsewhere"),
            ("code=abc", "code=", "no code"),
            ("code=abc", "x=1", "no code"),
            (GOOD, "abc", "no address"),
        ] {
            let fault = expected().code_in_text(&GOOD.replace(change, to)).unwrap_err();
            assert_eq!((fault.code, fault.exit_code()), (Code::LoginMismatch, 4), "{change} -> {to}");
            assert!(fault.message.contains(words), "{change} -> {to}: {}", fault.message);
            assert!(!fault.message.contains("abc") && !fault.message.contains("evil"), "{}", fault.message);
        }
    }

    #[test]
    fn a_refusal_counts_only_with_the_right_state() {
        let refusal = GOOD.replace("code=abc", "error=access_denied&error_description=not%0Atoday");
        let fault = expected().code_in_text(&refusal).unwrap_err();
        assert_eq!(fault.code, Code::LoginRefused);
        assert_eq!(fault.message, "the sign-in was refused: access_denied: nottoday");
        let foreign = refusal.replace("state=s1", "state=s2");
        assert_eq!(expected().code_in_text(&foreign).unwrap_err().code, Code::LoginMismatch);
    }
}
