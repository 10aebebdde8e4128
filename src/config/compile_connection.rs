//! Connections: a connector and an account become one `Api`; folders and databases stand for themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use url::Url;

use super::{
    check::Check,
    compile_auth::Given,
    compile_body::ATTEMPT_MAX,
    compile_connector::Connector,
    diagnostic::Problem,
    fill::HOLE,
    plan::{
        Api, BODY_BYTES_MAX, Connection, Egress, Folder, HistoryPlan, Postgres, Retry, Sqlite, StorePlan, Timeouts,
    },
    raw_shared::{RawRetry, RawTimeouts},
    raw_slo::RawProbe,
    raw_workspace::{RawConnection, RawHistory, RawPostgres, RawRedb, RawStore, RawWorkspace},
    shape::{OneOrMany, Spanned},
    source::Span,
};
use crate::model::Code;

const MS: Duration = Duration::from_millis(1);
const KINDS: &str = "`connector`, `jsonl`, `csv`, `parquet`, `s3`, `postgres`, `mysql` and `sqlite`";
const DISK_MAX: u64 = 10_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
const HISTORY_KEEP: Duration = Duration::from_secs(30 * 86_400);
const HISTORY_MAX: u64 = 32_000_000;

/// The connectors by folder name. Nothing stands for one whose file cannot be read.
pub type Connectors = BTreeMap<String, Option<Connector>>;

impl Check<'_> {
    pub fn store(&self, raw: &RawWorkspace) -> StorePlan {
        let default = RawRedb::default();
        let redb = raw.store.as_ref().map_or(&default, |RawStore::Redb(redb)| redb);
        let path = redb.path.as_ref().map_or_else(|| self.reading.base.join("state"), |path| self.place(path));
        let disk_bytes_max = self.size(redb.disk_max.as_ref(), DISK_MAX, 64_000_000..=100_000_000_000_000);
        StorePlan { path, disk_bytes_max, key: self.reading.env.variable("RENKEI_KEY") }
    }

    pub fn history(&self, raw: &RawHistory) -> HistoryPlan {
        let keep = self.time(raw.keep.as_ref(), HISTORY_KEEP, HOUR..=3660 * 24 * HOUR);
        let is_off = raw.max.as_ref().is_some_and(|max| max.value.0 == 0);
        let max = raw.max.as_ref().filter(|_| !is_off);
        let bytes_max = self.size(max, HISTORY_MAX, 1_000_000..=100_000_000_000);
        HistoryPlan { keep, bytes_max: if is_off { 0 } else { bytes_max } }
    }

    pub fn connection(
        &self,
        name: &Spanned<String>,
        raw: &Spanned<RawConnection>,
        connectors: &Connectors,
    ) -> Option<Connection> {
        let (owner, raw) = (raw.span, &raw.value);
        self.name("connection", name);
        let kinds = [
            raw.connector.is_some(),
            raw.jsonl.is_some(),
            raw.csv.is_some(),
            raw.parquet.is_some(),
            raw.s3.is_some(),
            raw.postgres.is_some(),
            raw.mysql.is_some(),
            raw.sqlite.is_some(),
        ];
        match kinds.iter().filter(|is_there| **is_there).count() {
            0 => {
                let help = format!("say what it is with one of {KINDS}");
                self.missing_key(name.span, owner, "connector", help);
                return None;
            }
            1 => {}
            _ => {
                let message = format!("the connection `{}` is of two kinds", name.value);
                self.conflict(name.span, message, format!("keep one of {KINDS}"));
                return None;
            }
        }
        if let Some(connector) = &raw.connector {
            let Some(known) = connectors.get(&connector.value) else {
                self.no_such_connector(connector, connectors.keys().map(String::as_str));
                return None;
            };
            return self.api(name, owner, raw, known.as_ref()?).map(|api| Connection::Api(Arc::new(api)));
        }
        self.only_for_connectors(raw);
        if let Some(postgres) = &raw.postgres {
            return self.postgres(name, postgres).map(|postgres| Connection::Postgres(Arc::new(postgres)));
        }
        if let Some(mysql) = &raw.mysql {
            return Some(self.mysql(name, mysql));
        }
        if let Some(sqlite) = &raw.sqlite {
            let sqlite = Sqlite { name: name.value.clone(), path: self.place(&sqlite.path) };
            return Some(Connection::Sqlite(Arc::new(sqlite)));
        }
        self.folder(name, raw).map(|folder| Connection::Folder(Arc::new(folder)))
    }

    fn folder(&self, name: &Spanned<String>, raw: &RawConnection) -> Option<Folder> {
        if let Some(s3) = &raw.s3 {
            return self.s3(name, s3, raw);
        }
        let jsonl = raw.jsonl.as_ref().map(|jsonl| self.jsonl(name, jsonl));
        let csv = || Some(self.csv_folder(name, raw.csv.as_ref()?));
        jsonl.or_else(csv).or_else(|| Some(self.parquet_folder(name, raw.parquet.as_ref()?)))
    }

    fn only_for_connectors(&self, raw: &RawConnection) {
        let keys = [
            ("base_url", raw.base_url.as_ref().map(|url| url.span)),
            ("auth", raw.auth.as_ref().map(|auth| auth.span)),
            ("body_max", raw.body_max.as_ref().map(|size| size.span)),
            ("ca", raw.ca.as_ref().filter(|_| raw.s3.is_none()).map(|ca| ca.span)),
            ("client_certificate", raw.client_certificate.as_ref().map(|raw| raw.span)),
            ("probe", raw.probe.as_ref().map(|raw| raw.span)),
        ];
        for (key, span) in keys {
            if let Some(span) = span {
                let message = format!("`{key}` belongs to a connection with a connector");
                self.conflict(span, message, "remove it here; a database's `ca` stands under `postgres` or `mysql`");
            }
        }
    }

    fn api(&self, name: &Spanned<String>, owner: Span, raw: &RawConnection, connector: &Connector) -> Option<Api> {
        let base = raw.base_url.as_ref().or(connector.raw.base_url.as_ref());
        if base.is_none() {
            let help = format!("write `base_url:` here or in connectors/{}/connector.yaml", connector.name);
            self.missing_key(name.span, owner, "base_url", help);
        }
        let base_url = base.and_then(|base| self.url(base));
        let settings = self.settings(name.span, owner, raw.config.as_ref(), connector);
        // Templates of the credentials see the connector's settings, and this connector's alone.
        self.settings.replace(connector.raw.config.names().into_iter().map(str::to_owned).collect());
        let auth = self.auth(&Given {
            connector: connector.raw.auth.as_ref(),
            connection: raw.auth.as_ref(),
            name: name.span,
            owner,
            base_url: base_url.as_ref(),
            has_certificate: raw.client_certificate.is_some(),
        });
        if let (Some(url), Some(base)) = (&base_url, base) {
            self.warn_plain_http(base, url);
        }
        let body_max = raw.body_max.as_ref().or(connector.raw.body_max.as_ref());
        let body_bytes_max = self.size(body_max, BODY_BYTES_MAX as u64, 64 << 10..=1 << 30);
        let budget = self.budget(connector, &raw.budget);
        let timeouts = self.timeouts(raw.timeouts.as_ref(), connector.raw.timeouts.as_ref());
        let retry = self.retry(raw.retry.as_ref(), connector.raw.retry.as_ref());
        let breaker = self.breaker(raw.breaker.as_ref(), connector.raw.breaker.as_ref());
        let egress = self.egress(raw, connector.raw.hosts.as_ref());
        let ca = raw.ca.as_ref().map(|ca| self.place(ca));
        let client_certificate = match &raw.client_certificate {
            Some(raw) => Some(self.client_certificate(raw)?),
            None => None,
        };
        let known = |(name, item): (&String, &Option<Arc<_>>)| item.clone().map(|item| (name.clone(), item));
        let streams: BTreeMap<_, _> = connector.streams.iter().filter_map(known).collect();
        let is_broken = |probe: &RawProbe| connector.streams.contains_key(&probe.call.value);
        let probe = raw.probe.as_ref().map(|raw| &raw.value);
        let probe = probe.and_then(|raw| self.probe(raw, &connector.name, &streams, is_broken(raw)));
        Some(Api {
            name: name.value.clone(),
            connector: connector.name.clone(),
            base_url: base_url?,
            headers: connector.headers.clone(),
            settings,
            auth: auth?,
            budget,
            timeouts,
            retry,
            breaker,
            answers: connector.answers.clone(),
            egress,
            ca,
            client_certificate,
            trace_context: raw.trace_context.unwrap_or(false),
            body_bytes_max: usize::try_from(body_bytes_max).unwrap_or(usize::MAX),
            scratch: self.scratch.borrow().clone(),
            probe,
            streams,
            operations: connector
                .operations
                .iter()
                .filter_map(|(name, item)| Some((name.clone(), item.clone()?)))
                .collect(),
        })
    }

    pub(super) fn warn_plain_http(&self, base: &Spanned<String>, url: &Url) {
        let host = url.host_str().unwrap_or_default();
        let local = host == "localhost" || host.starts_with("127.") || host == "[::1]" || host.ends_with(".invalid");
        if url.scheme() == "http" && !local {
            let message = "credentials and records travel unencrypted to this host";
            let problem = Problem::new(Code::BadPath, base.span, message).warning();
            self.report(problem.help("use https if the host offers it"));
        }
    }

    pub(super) fn egress(&self, raw: &RawConnection, declared: Option<&OneOrMany<String>>) -> Egress {
        let own = raw.egress.as_ref().and_then(|egress| egress.hosts.as_ref());
        let lists = [declared, own];
        let hosts = lists.into_iter().flatten().flat_map(|list: &OneOrMany<String>| &list.0);
        let hosts = hosts.inspect(|host| self.host(host)).map(|host| host.value.to_lowercase()).collect();
        Egress { hosts, private: raw.egress.as_ref().and_then(|egress| egress.private).unwrap_or(false) }
    }

    fn host(&self, host: &Spanned<String>) {
        let proper = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if host.value.is_empty() || !host.value.chars().all(|c| proper(c) || c == HOLE) {
            let problem = Problem::new(Code::BadPath, host.span, "this is no host name");
            self.report(problem.help("write the name alone, such as files.example.com"));
        }
    }

    pub(super) fn timeouts(&self, connection: Option<&RawTimeouts>, connector: Option<&RawTimeouts>) -> Timeouts {
        let pick = |get: fn(&RawTimeouts) -> Option<&Spanned<super::units::Time>>| {
            connection.and_then(get).or(connector.and_then(get))
        };
        let unless_said = Timeouts::default();
        let connect = self.time(pick(|raw| raw.connect.as_ref()), unless_said.connect, MS..=60_000 * MS);
        let attempt = self.time(pick(|raw| raw.attempt.as_ref()), unless_said.attempt, MS..=ATTEMPT_MAX);
        Timeouts { connect, attempt }
    }

    pub(super) fn retry(&self, connection: Option<&RawRetry>, connector: Option<&RawRetry>) -> Retry {
        let pick = |get: fn(&RawRetry) -> Option<&Spanned<super::units::Time>>| {
            connection.and_then(get).or(connector.and_then(get))
        };
        let attempts = connection.and_then(|raw| raw.attempts.as_ref());
        let attempts = attempts.or(connector.and_then(|raw| raw.attempts.as_ref()));
        let unless_said = Retry::default();
        let attempts = self.number(attempts, unless_said.attempts.into(), 1..=10);
        let hour = 3_600_000 * MS;
        let base = self.time(pick(|raw| raw.base.as_ref()), unless_said.base, MS..=hour);
        let cap = self.time(pick(|raw| raw.cap.as_ref()), unless_said.cap.max(base), MS..=hour);
        if let Some(span) = pick(|raw| raw.cap.as_ref()).map(|cap| cap.span).filter(|_| cap < base) {
            self.conflict(
                span,
                "`cap` is shorter than `base`",
                "no delay is longer than `cap`; raise it or lower `base`",
            );
        }
        Retry { attempts: u32::try_from(attempts).unwrap_or(unless_said.attempts), base, cap }
    }

    fn postgres(&self, name: &Spanned<String>, raw: &RawPostgres) -> Option<Postgres> {
        self.postgres_url(raw.url.value.0.expose_secret(), raw.url.span);
        let schema = raw.schema.as_ref().map_or("public", |schema| schema.value.as_str());
        if let Some(schema) = &raw.schema {
            self.identifier("schema", schema);
        }
        Some(Postgres {
            name: name.value.clone(),
            url: raw.url.value.0.clone(),
            schema: schema.to_owned(),
            ca: raw.ca.as_ref().map(|ca| self.place(ca)),
        })
    }

    fn postgres_url(&self, url: &str, span: Span) {
        let parsed = Url::parse(url).ok();
        let proper = |url: &Url| matches!(url.scheme(), "postgres" | "postgresql") && url.host_str().is_some();
        if !url.contains(HOLE) && !parsed.as_ref().is_some_and(proper) {
            let problem = Problem::new(Code::BadPath, span, "this is no PostgreSQL URL");
            self.report(problem.help("write postgres://user:${PGPASSWORD}@host:5432/database"));
        }
    }

    /// A name that PostgreSQL takes in quotes.
    pub fn identifier(&self, what: &str, name: &Spanned<String>) {
        let text = &name.value;
        if text.is_empty() || text.len() > 63 || text.chars().any(char::is_control) {
            let problem = Problem::new(Code::BadPath, name.span, format!("this cannot be the name of a {what}"));
            self.report(problem.help("use 1 to 63 bytes without control characters"));
        }
    }
}
