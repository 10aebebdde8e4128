//! Where traces and logs go: the file first, key by key, then the variables that OpenTelemetry defines (OpenTelemetry specification,
//! "Environment variables" and "OTLP exporter", read 2026-11-25).
//!
//! A mistake in the file is a diagnostic like any other. A variable is set for many programs at once, so one that cannot be used is
//! no reason to do nothing: it is left out and told in a log line, by its name and never by its value.

use std::{cell::RefCell, time::Duration};

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan_telemetry::{Destination, OtlpPlan, TelemetryPlan},
    raw_telemetry::{RawOtlp, RawTelemetry},
    shape::{Named, Secret, Spanned},
};
use crate::{model::Code, telemetry::otlp::Sampler};

const SPANS: u64 = 2_000;
const MS: Duration = Duration::from_millis(1);

/// The environment, and what is wrong with it.
struct Variables<'c> {
    check: &'c Check<'c>,
    unusable: RefCell<Vec<String>>,
}

/// A signal's names: in variables, and its path.
struct Names {
    upper: &'static str,
    path: &'static str,
}

const TRACES: Names = Names { upper: "TRACES", path: "v1/traces" };
const LOGS: Names = Names { upper: "LOGS", path: "v1/logs" };

impl Check<'_> {
    pub fn telemetry(&self, raw: Option<&RawTelemetry>) -> TelemetryPlan {
        let variables = Variables { check: self, unusable: RefCell::default() };
        let typed = raw.and_then(|raw| raw.otlp.as_ref());
        let otlp = self.otlp(typed, &variables);
        TelemetryPlan { otlp, unusable: variables.unusable.take() }
    }

    fn otlp(&self, typed: Option<&Spanned<RawOtlp>>, variables: &Variables<'_>) -> Option<OtlpPlan> {
        let default = RawOtlp::default();
        let raw = typed.map_or(&default, |typed| &typed.value);
        let is_disabled = variables.get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let endpoint = raw.endpoint.as_ref().and_then(|endpoint| self.url(endpoint));
        let headers = raw.headers.as_ref().map(|headers| self.otlp_headers(headers));
        let of = |names: &Names, is_wanted: Option<bool>| {
            let is_none =
                || variables.get(&format!("OTEL_{}_EXPORTER", names.upper)).is_some_and(|text| text == "none");
            if !is_wanted.unwrap_or_else(|| !is_none()) {
                return None;
            }
            let url = match (&raw.endpoint, &endpoint) {
                (Some(_), url) => below(url.as_ref()?, names.path),
                (None, _) => variables.endpoint(names)?,
            };
            let headers = headers.clone().unwrap_or_else(|| variables.headers(names));
            Some(Destination { url, headers })
        };
        let (traces, logs) = (of(&TRACES, raw.traces), of(&LOGS, raw.logs));
        let is_off = raw.traces == Some(false) && raw.logs == Some(false);
        if let Some(typed) = typed
            && raw.endpoint.is_none()
            && !is_off
            && traces.is_none()
            && logs.is_none()
            && variables.unusable.borrow().is_empty()
        {
            let help = "write `endpoint: http://127.0.0.1:4318`, or set OTEL_EXPORTER_OTLP_ENDPOINT";
            self.missing_key(typed.span, typed.span, "endpoint", help.to_owned());
        }
        let resource = match &raw.resource {
            Some(named) => named.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect(),
            None => variables.pairs("OTEL_RESOURCE_ATTRIBUTES"),
        };
        let named = resource.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone());
        let service = raw.service.as_ref().map(|service| service.value.clone());
        let service = service.or_else(|| variables.get("OTEL_SERVICE_NAME")).or(named);
        let plan = OtlpPlan {
            traces,
            logs,
            ca: raw.ca.as_ref().map(|ca| self.place(ca)),
            connect: self.time(raw.connect.as_ref(), 1_000 * MS, 10 * MS..=10_000 * MS),
            service: service.unwrap_or_else(|| "renkei".to_owned()),
            resource,
            sampler: match &raw.sample {
                Some(share) => Sampler::Share { share: share.value.0, follow: true },
                None => variables.sampler(),
            },
            spans_max: u32::try_from(self.number(raw.spans_max.as_ref(), SPANS, 1..=100_000)).unwrap_or(u32::MAX),
        };
        let is_wanted = plan.traces.is_some() || plan.logs.is_some();
        (is_wanted && !is_disabled).then_some(plan)
    }

    fn otlp_headers(&self, raw: &Named<Spanned<Secret>>) -> Vec<(HeaderName, SecretString)> {
        let one = |(name, value): &(Spanned<String>, Spanned<Secret>)| {
            let header = self.header(name)?;
            let text = value.value.0.expose_secret();
            if !text.contains(HOLE) && HeaderValue::from_str(text).is_err() {
                let problem = Problem::new(Code::BadPath, value.span, "this holds what cannot be sent in a header");
                self.report(problem.help("look at where it comes from; it is one line of visible letters"));
                return None;
            }
            Some((header, value.value.0.clone()))
        };
        raw.iter().filter_map(one).collect()
    }
}

impl Variables<'_> {
    /// A variable that is set and not empty.
    fn get(&self, name: &str) -> Option<String> {
        let text = self.check.reading.env.variable(name)?;
        Some(text.expose_secret().trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn cannot(&self, name: &str, why: &str) {
        let text = format!("{name} {why}");
        let mut all = self.unusable.borrow_mut();
        if !all.contains(&text) {
            all.push(text);
        }
    }

    /// A signal's own variable, or the one of all signals, with its name.
    fn of_signal(&self, names: &Names, rest: &str) -> Option<(String, String, bool)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{rest}", names.upper);
        if let Some(text) = self.get(&own) {
            return Some((own, text, true));
        }
        let all = format!("OTEL_EXPORTER_OTLP_{rest}");
        self.get(&all).map(|text| (all, text, false))
    }

    fn endpoint(&self, names: &Names) -> Option<Url> {
        let (name, text, is_own) = self.of_signal(names, "ENDPOINT")?;
        if let Some((name, protocol, _)) = self.of_signal(names, "PROTOCOL")
            && protocol != "http/protobuf"
        {
            self.cannot(&name, "asks for a protocol other than http/protobuf, which is the only one here");
            return None;
        }
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        match url {
            None => self.cannot(&name, "holds no http or https URL"),
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                self.cannot(&name, "holds a user or a password; use OTEL_EXPORTER_OTLP_HEADERS");
            }
            Some(url) if is_own => return Some(url),
            Some(url) => return Some(below(&url, names.path)),
        }
        None
    }

    fn headers(&self, names: &Names) -> Vec<(HeaderName, SecretString)> {
        let Some((variable, _, _)) = self.of_signal(names, "HEADERS") else { return Vec::new() };
        let one = |(name, value): (String, String)| {
            let header = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| HeaderValue::from_str(&value).is_ok());
            if header.is_none() {
                self.cannot(&variable, "holds what cannot be sent as a header");
            }
            Some((header?, SecretString::from(value)))
        };
        self.pairs(&variable).into_iter().filter_map(one).collect()
    }

    /// `name=value,name=value`, the values encoded as in URLs.
    fn pairs(&self, variable: &str) -> Vec<(String, String)> {
        let text = self.get(variable).unwrap_or_default();
        let one = |pair: &str| {
            let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
                self.cannot(variable, "is no list of `name=value`, split by commas");
                return None;
            };
            // A `+` is a plus here, as in W3C Baggage, and no space as in a form.
            let value = value.trim().replace('+', "%2B").replace('&', "%26");
            let value = url::form_urlencoded::parse(format!("={value}").as_bytes()).next()?.1.into_owned();
            Some((name.trim().to_owned(), value))
        };
        text.split(',').filter(|pair| !pair.trim().is_empty()).filter_map(one).collect()
    }

    fn sampler(&self) -> Sampler {
        let all = Sampler::Share { share: 1.0, follow: true };
        let Some(name) = self.get("OTEL_TRACES_SAMPLER") else { return all };
        let share = || {
            let Some(text) = self.get("OTEL_TRACES_SAMPLER_ARG") else { return 1.0 };
            match text.parse::<f64>() {
                Ok(share) if (0.0..=1.0).contains(&share) => share,
                _ => {
                    self.cannot("OTEL_TRACES_SAMPLER_ARG", "is no number from 0 to 1");
                    1.0
                }
            }
        };
        match name.as_str() {
            "always_on" => Sampler::Share { share: 1.0, follow: false },
            "always_off" => Sampler::Never,
            "traceidratio" => Sampler::Share { share: share(), follow: false },
            "parentbased_always_on" => all,
            "parentbased_always_off" => Sampler::Share { share: 0.0, follow: true },
            "parentbased_traceidratio" => Sampler::Share { share: share(), follow: true },
            _ => {
                self.cannot("OTEL_TRACES_SAMPLER", "names a sampler that is not known here");
                all
            }
        }
    }
}

/// A path below an endpoint's own.
fn below(endpoint: &Url, path: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&format!("{}/{path}", endpoint.path().trim_end_matches('/')));
    url
}
