//! The client certificate of one connection (mTLS), as its files are now.
//!
//! The hard idea: files are replaced while we run, and not at one moment. They are looked at before each request, which
//! costs a stat of each, and read again when they changed. What cannot be read or does not fit together, such as a new
//! certificate beside the old key, is half a replacement: the certificate from before goes on until the rest is there.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use rustls::{crypto::ring::sign::any_supported_type, pki_types::PrivateKeyDer, sign::CertifiedKey};
use tokio::{sync::Mutex, time::Instant};
use zeroize::Zeroizing;

use super::keys::{self, Dates, Identity, KeyError};
use crate::{
    config::plan::{CertificateFiles, ClientCertificate},
    model::{Clock, SystemClock},
};

/// A larger file is no certificate.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate that nears its end is warned of again after this.
const WARN_AGAIN: Duration = Duration::from_secs(86_400);

/// Why the certificate cannot be used, with the file's name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the client certificate {file} cannot be used: {why}")]
pub struct Trouble {
    file: String,
    why: String,
}

/// A certificate with its key, read and fit to be used.
pub struct Loaded {
    /// Grows with each certificate that is read.
    pub version: u64,
    /// Chain and key in PEM, as the network library takes them.
    pub pem: Zeroizing<Vec<u8>>,
    pub dates: Dates,
}

/// One connection's certificate.
pub struct Certificate {
    connection: String,
    plan: ClientCertificate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How the files looked when they were read last, well or not.
    stamps: Option<Vec<Stamp>>,
    loaded: Option<Arc<Loaded>>,
    trouble: Option<Trouble>,
    warned: Option<Instant>,
}

/// Tells one state of a file from another. Nothing: it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Reads the certificate of a connection once, to look at it.
pub fn look(plan: &ClientCertificate) -> Result<Dates, Trouble> {
    read(&plan.files, 0).map(|loaded| loaded.dates)
}

impl Certificate {
    pub fn new(connection: &str, plan: &ClientCertificate) -> Self {
        Self { connection: connection.to_owned(), plan: plan.clone(), state: Mutex::default() }
    }

    /// The newest certificate that can be used; the trouble where there never was one.
    pub async fn now(&self) -> Result<Arc<Loaded>, Trouble> {
        let mut state = self.state.lock().await;
        let stamps = Some(self.plan.files.paths().into_iter().map(stamp).collect());
        if state.stamps != stamps {
            state.stamps = stamps;
            self.read_again(&mut state).await;
        }
        match (state.loaded.clone(), &state.trouble) {
            (Some(loaded), _) => {
                self.warn(&mut state, &loaded);
                Ok(loaded)
            }
            (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => Err(trouble(self.plan.files.path(), "it was not read")),
        }
    }

    async fn read_again(&self, state: &mut State) {
        let version = state.loaded.as_ref().map_or(1, |loaded| loaded.version + 1);
        let files = self.plan.files.clone();
        // Off the async threads, because opening a sealed key is meant to take time.
        let read = tokio::task::spawn_blocking(move || read(&files, version)).await;
        match read.unwrap_or_else(|_| Err(trouble(self.plan.files.path(), "reading it ended early"))) {
            Ok(loaded) => {
                tracing::debug!(connection = self.connection, version, "read the client certificate");
                *state = State { stamps: state.stamps.take(), loaded: Some(Arc::new(loaded)), ..State::default() };
            }
            Err(trouble) => {
                if state.loaded.is_some() {
                    tracing::warn!(connection = self.connection, "{trouble}; the one from before goes on");
                }
                state.trouble = Some(trouble);
            }
        }
    }

    fn warn(&self, state: &mut State, loaded: &Loaded) {
        if state.warned.is_some_and(|at| at.elapsed() < WARN_AGAIN) {
            return;
        }
        state.warned = Some(Instant::now());
        let left = loaded.dates.not_after - SystemClock.now();
        if TimeDelta::from_std(self.plan.warn_before).is_ok_and(|before| left <= before) {
            tracing::warn!(
                connection = self.connection,
                days_left = left.num_days(),
                "the client certificate of `{}` ends at {}",
                loaded.dates.subject,
                loaded.dates.not_after
            );
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let seen = fs::metadata(path).ok()?;
    Some((seen.ino(), seen.len(), seen.ctime(), seen.ctime_nsec()))
}

fn trouble(file: &Path, why: impl Into<String>) -> Trouble {
    Trouble { file: file.display().to_string(), why: why.into() }
}

fn read(files: &CertificateFiles, version: u64) -> Result<Loaded, Trouble> {
    let unfit = |path: &Path, error: &KeyError| trouble(path, error.to_string());
    let identity = match files {
        CertificateFiles::Pem { certificate, key, password } => Identity {
            chain: keys::certificates(&bytes(certificate)?).map_err(|error| unfit(certificate, &error))?,
            key: keys::private_key(&bytes(key)?, password.as_ref()).map_err(|error| unfit(key, &error))?,
        },
        CertificateFiles::Pkcs12 { file, password } => {
            keys::pkcs12(&bytes(file)?, password.as_ref()).map_err(|error| unfit(file, &error))?
        }
    };
    let own = identity.chain.first().ok_or_else(|| trouble(files.path(), "it holds no certificate"))?;
    let dates = keys::dates(own).map_err(|error| unfit(files.path(), &error))?;
    let key = any_supported_type(&identity.key).map_err(|_| trouble(files.path(), "its key is of an unknown kind"))?;
    CertifiedKey::new(identity.chain.clone(), key)
        .keys_match()
        .map_err(|_| trouble(files.path(), "the key does not belong to the certificate"))?;
    Ok(Loaded { version, pem: pem(&identity), dates })
}

fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error: io::Error| trouble(path, error.to_string()))?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(trouble(path, "it is larger than 1 MiB")),
        false => Ok(bytes),
    }
}

fn pem(identity: &Identity) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(String::new());
    let mut add = |name: &str, der: &[u8]| {
        let content = Zeroizing::new(STANDARD.encode(der));
        text.push_str(&format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", *content));
    };
    let kind = match &identity.key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    add(kind, identity.key.secret_der());
    identity.chain.iter().for_each(|certificate| add("CERTIFICATE", certificate));
    Zeroizing::new(text.as_bytes().to_vec())
}
