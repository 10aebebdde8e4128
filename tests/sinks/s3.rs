//! A server that speaks S3, with what somebody else sees of it, and a way to it on which answers are lost.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Lines, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use renkei::{
    auth::{self, Ground, Vault},
    config::plan::{Api, Auth, AwsKeys, S3},
    http::Client,
    model::{SystemClock, SystemEntropy},
    store::{Memory, Seal},
};

use crate::database::env;

/// The Python that has what tests need. Nothing: then the test says so and ends, and under CI it fails.
pub fn python() -> Option<PathBuf> {
    let Some(venv) = env("RENKEI_TEST_VENV") else {
        let what = "RENKEI_TEST_VENV is not set, so this test has no S3 and no DuckDB. Use scripts/test --test sinks.";
        assert!(env("CI").is_none(), "{what}");
        std::io::stderr().write_all(format!("SKIPPED: {what}\n").as_bytes()).unwrap();
        return None;
    };
    Some(PathBuf::from(venv).join("bin/python"))
}

pub fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sinks").join(name)
}

pub struct Server {
    pub url: String,
    pub id: String,
    pub secret: String,
    process: Child,
    talk: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
}

impl Server {
    pub fn start() -> Option<Self> {
        let mut command = Command::new(python()?);
        command.arg(script("s3.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told = lines.next().expect("the server starts").unwrap();
        let [url, id, secret] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
        let (url, id, secret) = (url.to_owned(), id.to_owned(), secret.to_owned());
        let talk = Mutex::new((process.stdin.take().unwrap(), lines));
        Some(Self { url, id, secret, process, talk })
    }

    /// Does what the line says, and tells all objects.
    pub fn say(&self, line: &str) -> BTreeMap<String, Vec<u8>> {
        let mut talk = self.talk.lock().unwrap();
        writeln!(talk.0, "{line}").unwrap();
        let told: BTreeMap<String, String> = serde_json::from_str(&talk.1.next().unwrap().unwrap()).unwrap();
        told.into_iter().map(|(name, content)| (name, BASE64_STANDARD.decode(content).unwrap())).collect()
    }

    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.say("list")
    }

    /// The bucket as a connection's plan has it.
    pub fn bucket(&self, url: &str, prefix: &str) -> S3 {
        let keys = AwsKeys {
            id: self.id.clone(),
            secret: self.secret.clone().into(),
            token: None,
            region: "us-east-1".to_owned(),
        };
        let base_url = format!("{url}/lake").parse().unwrap();
        let api = Api { auth: Auth::Aws(Box::new(keys)), ..Api::new("lake", base_url) };
        S3 { api: Arc::new(api), prefix: prefix.to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

pub fn client(bucket: &S3) -> Client {
    let vault = Vault::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
    let ground = Ground { vault, clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy::new()) };
    auth::client(&bucket.api, &ground).unwrap()
}

/// A way to a server that passes everything on, except that it keeps the answers to some requests to itself.
pub struct Lossy {
    pub url: String,
    /// Answers to be lost, of those whose request begins with the method.
    pub losses: Arc<AtomicUsize>,
}

impl Lossy {
    pub async fn before(server: &Server, method: &'static str) -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let losses = Arc::new(AtomicUsize::new(0));
        let (target, left) = (server.url.trim_start_matches("http://").to_owned(), losses.clone());
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (target, left) = (target.clone(), left.clone());
                tokio::spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
                    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                    let mut is_lost = false;
                    loop {
                        tokio::select! {
                            Ok(read) = near.read(&mut asked) => {
                                if read == 0 { return; }
                                // A request begins with its method; what follows of a body hardly does.
                                if asked[..read].starts_with(method.as_bytes()) {
                                    let take = |left: usize| left.checked_sub(1);
                                    is_lost = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
                                }
                                if far.write_all(&asked[..read]).await.is_err() { return; }
                            }
                            Ok(read) = far.read(&mut answered) => {
                                if read == 0 || is_lost || near.write_all(&answered[..read]).await.is_err() { return; }
                            }
                            else => return,
                        }
                    }
                });
            }
        });
        Self { url, losses }
    }
}
