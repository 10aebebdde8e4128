//! What `sslmode` means. The words are PostgreSQL's own, and so is their meaning:
//!
//! | sslmode            | encrypted                | certificate checked                              |
//! |--------------------|--------------------------|--------------------------------------------------|
//! | disable            | no                       | -                                                |
//! | prefer (default)   | if the server offers it  | no                                               |
//! | require            | yes                      | against `ca`, if one is given; the name is not   |
//! | verify-ca          | yes                      | against `ca` or the system's roots               |
//! | verify-full        | yes                      | the same, and the host name                      |

use std::{path::Path, str::FromStr, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::model::{Blame, Code, Fault};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for Mode {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(Fault::halt(Code::OutOfRange, Blame::Config, "the database URL has an sslmode that is none")
                .help("Nothing was sent. Write disable, prefer, require, verify-ca or verify-full.")),
        }
    }
}

impl Mode {
    pub fn ssl_mode(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// The connector that checks what the mode asks for.
pub fn connector(mode: Mode, ca: Option<&Path>) -> Result<MakeRustlsConnect, Fault> {
    let provider = Arc::new(ring::default_provider());
    let chain: Option<Arc<dyn ServerCertVerifier>> = match (mode, ca) {
        (Mode::Disable | Mode::Prefer, _) | (Mode::Require, None) => None,
        (_, Some(ca)) => Some(private_roots(ca, &provider)?),
        (_, None) => Some(Arc::new(Verifier::new(provider.clone()).map_err(|error| unusable(&error))?)),
    };
    let check = Check { chain, is_name_checked: mode == Mode::VerifyFull, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(check))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn private_roots(ca: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Fault> {
    let failed = |why: String| {
        Fault::halt(Code::Tls, Blame::Config, format!("the certificates in {} cannot be used: {why}", ca.display()))
            .help("Nothing was sent. `ca` names a PEM file with the certificates that sign the server's.")
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    Ok(verifier.map_err(|error| failed(error.to_string()))?)
}

fn unusable(error: &Error) -> Fault {
    Fault::halt(Code::Tls, Blame::Host, format!("TLS cannot be set up: {error}"))
        .help("Nothing was sent. The system's root certificates may be missing (Debian: ca-certificates).")
}

/// Checks the chain, the name, both or neither. That the server holds the certificate's key is always checked.
#[derive(Debug)]
struct Check {
    chain: Option<Arc<dyn ServerCertVerifier>>,
    is_name_checked: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Verifiers look at the name last, so the chain was good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.is_name_checked => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
