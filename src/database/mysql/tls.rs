//! What `ssl-mode` means. The words are MySQL's own, and so is their meaning; lower case is read too:
//!
//! | ssl-mode             | encrypted                | certificate checked                   |
//! |----------------------|--------------------------|---------------------------------------|
//! | DISABLED             | no                       | -                                     |
//! | PREFERRED (default)  | if the server offers it  | no                                    |
//! | REQUIRED             | yes                      | no                                    |
//! | VERIFY_CA            | yes                      | against `ca`                          |
//! | VERIFY_IDENTITY      | yes                      | against `ca`, and the host name       |
//!
//! As with MySQL's own client the two last need a `ca`. A `ca` that would not be looked at is refused, because somebody relies on it.

use std::{path::Path, str::FromStr};

use mysql_async::SslOpts;

use crate::model::{Blame, Code, Fault};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

impl FromStr for Mode {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text.to_ascii_uppercase().as_str() {
            "DISABLED" => Ok(Self::Disabled),
            "PREFERRED" => Ok(Self::Preferred),
            "REQUIRED" => Ok(Self::Required),
            "VERIFY_CA" => Ok(Self::VerifyCa),
            "VERIFY_IDENTITY" => Ok(Self::VerifyIdentity),
            _ => Err(Fault::halt(Code::OutOfRange, Blame::Config, "the database URL has an ssl-mode that is none")
                .help("Nothing was sent. Write DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY.")),
        }
    }
}

impl Mode {
    fn is_checked(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyIdentity)
    }

    /// How the library is told. Nothing: without TLS.
    pub fn options(self, ca: Option<&Path>) -> Result<Option<SslOpts>, Fault> {
        let unfit = |message: &str, help: &str| {
            Err(Fault::halt(Code::Tls, Blame::Config, message).help(format!("Nothing was sent. {help}")))
        };
        let Some(ca) = ca.filter(|_| self.is_checked()) else {
            return match (self, ca) {
                (Self::Disabled, None) => Ok(None),
                (Self::Preferred | Self::Required, None) => {
                    Ok(Some(SslOpts::default().with_danger_accept_invalid_certs(true)))
                }
                (_, None) => unfit(
                    "an ssl-mode that checks certificates needs a `ca`",
                    "Name the PEM file under `ca` of the connection; for a server with a public certificate that is the system's, \
                     such as /etc/ssl/certs/ca-certificates.crt.",
                ),
                (_, Some(_)) => unfit(
                    "the connection has a `ca`, and its ssl-mode looks at no certificate",
                    "Write ?ssl-mode=VERIFY_IDENTITY or ?ssl-mode=VERIFY_CA behind the database URL, or remove `ca`.",
                ),
            };
        };
        if let Err(error) = std::fs::File::open(ca) {
            return unfit(
                &format!("the certificates in {} cannot be read: {error}", ca.display()),
                "`ca` names a PEM file with the certificates that sign the server's.",
            );
        }
        let checked = SslOpts::default().with_root_certs(vec![ca.to_owned().into()]).with_disable_built_in_roots(true);
        Ok(Some(match self {
            // The library passes over a name that does not fit only where the error holds this word, which since rustls 0.23.20 is
            // the case for the name itself and not for the error. The chain has been checked by then: names come last.
            Self::VerifyCa => checked
                .with_danger_skip_domain_validation(true)
                .with_danger_tls_hostname_override(Some("NotValidForName")),
            _ => checked,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_and_a_ca_that_do_not_go_together_are_refused() {
        let ca = Path::new("Cargo.toml");
        for (mode, ca, fits) in [
            ("disabled", None, true),
            ("PREFERRED", None, true),
            ("REQUIRED", Some(ca), false),
            ("preferred", Some(ca), false),
            ("VERIFY_CA", None, false),
            ("verify_identity", None, false),
            ("verify_identity", Some(ca), true),
        ] {
            let options = mode.parse::<Mode>().unwrap().options(ca);
            assert_eq!(options.is_ok(), fits, "{mode} {ca:?}");
        }
        assert!("VERIFY_FULL".parse::<Mode>().is_err());
        assert!(Mode::VerifyCa.options(Some(Path::new("nowhere.pem"))).is_err());
    }
}
