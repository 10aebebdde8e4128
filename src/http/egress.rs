//! Where requests may go. A server's answer (a page link, a redirect, a name's addresses) must not talk us into
//! sending credentials or a probe to a place that nobody configured.
//!
//! Two pure questions: may this URL be asked at all ([`Egress::decide`]), and may this name's address be connected to
//! ([`address`]). Both return their reason.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::config::plan;

/// The places that the configuration names.
#[derive(Clone, Debug)]
pub struct Egress {
    base: Url,
    /// Lower-case hosts, with a port where one is written.
    hosts: Vec<(String, Option<u16>)>,
}

/// Why a URL may be asked, or why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It is at the base URL's scheme, host and port.
    Base,
    /// Its host is declared under `egress`.
    Declared,
    Refused(Refusal),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Neither the base URL's host nor a declared one.
    Host,
    /// The host is right, the port is another one.
    Port,
    /// Credentials would leave without TLS, or over something that is not HTTP.
    Scheme,
    /// The URL brings its own user or password.
    UserInfo,
}

impl Refusal {
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::Host => "its host is neither the base URL's nor declared under egress",
            Refusal::Port => "its port is not the configured one",
            Refusal::Scheme => "it is not HTTPS while the configured URL is",
            Refusal::UserInfo => "it carries a user or password, which belong under `auth: basic`",
        }
    }
}

impl Egress {
    pub fn new(base: &Url, declared: &plan::Egress) -> Self {
        Self { base: base.clone(), hosts: declared.hosts.iter().map(|host| split_port(host)).collect() }
    }

    /// Decides by scheme, host and port; addresses come later, when the name is resolved.
    pub fn decide(&self, url: &Url) -> Decision {
        let scheme_ok = url.scheme() == "https" || (url.scheme() == "http" && self.base.scheme() == "http");
        if !scheme_ok {
            return Decision::Refused(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Decision::Refused(Refusal::UserInfo);
        }
        let Some(host) = url.host_str() else { return Decision::Refused(Refusal::Host) };
        if same_origin(&self.base, url) {
            return Decision::Base;
        }
        let port = url.port_or_known_default();
        let default_port = if url.scheme() == "https" { Some(443) } else { Some(80) };
        let mut named = self.hosts.iter().filter(|(name, _)| name == host).peekable();
        if named.peek().is_none() && self.base.host_str() != Some(host) {
            return Decision::Refused(Refusal::Host);
        }
        match named.any(|(_, declared)| port == declared.or(default_port)) {
            true => Decision::Declared,
            false => Decision::Refused(Refusal::Port),
        }
    }
}

/// Same scheme, host and port.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

/// Whether the URL's host is a loopback address or name, which no proxy can reach for us.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

pub fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// What kind of place an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Address {
    Public,
    Loopback,
    /// RFC 1918, carrier-grade NAT, unique local.
    Private,
    /// Also where clouds serve their metadata and credentials (169.254.169.254).
    LinkLocal,
    /// Unspecified, multicast, reserved, documentation.
    Special,
}

pub fn address(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(ip) => address_v4(ip),
        IpAddr::V6(ip) => address_v6(ip),
    }
}

fn address_v4(ip: Ipv4Addr) -> Address {
    match ip.octets() {
        [127, ..] => Address::Loopback,
        [10, ..] | [192, 168, ..] => Address::Private,
        [172, second, ..] if (16..32).contains(&second) => Address::Private,
        [100, second, ..] if (64..128).contains(&second) => Address::Private,
        [169, 254, ..] => Address::LinkLocal,
        [0, ..] | [192, 0, 0, _] | [192, 0, 2, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Address::Special
        }
        [224..=255, ..] => Address::Special,
        _ => Address::Public,
    }
}

fn address_v6(ip: Ipv6Addr) -> Address {
    if let Some(inner) = ip.to_ipv4_mapped().or_else(|| nat64(ip)) {
        return address_v4(inner);
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Address::Loopback,
        [0, 0, 0, 0, 0, 0, ..] => Address::Special,
        [first, ..] if first & 0xfe00 == 0xfc00 => Address::Private,
        // The cloud metadata address of AWS over IPv6, fd00:ec2::254, is unique local and caught above.
        [first, ..] if first & 0xffc0 == 0xfe80 => Address::LinkLocal,
        [first, ..] if first & 0xff00 == 0xff00 => Address::Special,
        // 6to4 (2002::/16) and Teredo (2001:0::/32) wrap IPv4 addresses; no API lives there.
        [0x2002, ..] | [0x2001, 0, ..] | [0x2001, 0xdb8, ..] => Address::Special,
        _ => Address::Public,
    }
}

/// The IPv4 address inside a NAT64 one (64:ff9b::/96).
fn nat64(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}

fn split_port(host: &str) -> (String, Option<u16>) {
    // A URL's own parser knows about brackets, IDNA and upper case; the scheme has no default port to lose.
    match Url::parse(&format!("any://{host}")).ok().as_ref().and_then(|url| Some((url.host_str()?, url.port()))) {
        Some((name, port)) => (name.to_ascii_lowercase(), port),
        None => (host.to_ascii_lowercase(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(base: &str, hosts: &[&str]) -> Egress {
        let declared = plan::Egress { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), private: false };
        Egress::new(&Url::parse(base).unwrap(), &declared)
    }

    fn decide(egress: &Egress, url: &str) -> Decision {
        egress.decide(&Url::parse(url).unwrap())
    }

    #[test]
    fn only_the_base_url_and_declared_hosts_may_be_asked() {
        let egress = egress("https://api.shop.test/v1", &["files.shop.test", "Other.test:8443", "[2001:db8::1]:99"]);
        assert_eq!(decide(&egress, "https://api.shop.test/v2/x?y"), Decision::Base);
        assert_eq!(decide(&egress, "https://API.shop.test:443/"), Decision::Base);
        assert_eq!(decide(&egress, "https://files.shop.test/a"), Decision::Declared);
        assert_eq!(decide(&egress, "https://other.test:8443/a"), Decision::Declared);
        assert_eq!(decide(&egress, "https://[2001:db8::1]:99/a"), Decision::Declared);
        assert_eq!(decide(&egress, "https://evil.test/"), Decision::Refused(Refusal::Host));
        assert_eq!(decide(&egress, "https://api.shop.test.evil.test/"), Decision::Refused(Refusal::Host));
        assert_eq!(decide(&egress, "https://169.254.169.254/latest"), Decision::Refused(Refusal::Host));
    }

    #[test]
    fn another_port_a_lost_tls_and_a_user_in_the_url_are_refused() {
        let egress = egress("https://api.shop.test/v1", &["other.test:8443"]);
        assert_eq!(decide(&egress, "https://api.shop.test:8443/"), Decision::Refused(Refusal::Port));
        assert_eq!(decide(&egress, "https://other.test/"), Decision::Refused(Refusal::Port));
        assert_eq!(decide(&egress, "http://api.shop.test/v1"), Decision::Refused(Refusal::Scheme));
        assert_eq!(decide(&egress, "file:///etc/passwd"), Decision::Refused(Refusal::Scheme));
        assert_eq!(decide(&egress, "https://me:pw@api.shop.test/"), Decision::Refused(Refusal::UserInfo));
    }

    #[test]
    fn a_configured_loopback_address_is_its_port_only() {
        let egress = egress("http://127.0.0.1:8080", &[]);
        assert_eq!(decide(&egress, "http://127.0.0.1:8080/x"), Decision::Base);
        assert_eq!(decide(&egress, "http://127.0.0.1:6379/x"), Decision::Refused(Refusal::Port));
        assert_eq!(decide(&egress, "http://127.0.0.2:8080/x"), Decision::Refused(Refusal::Host));
    }

    #[test]
    fn addresses_inside_are_told_from_addresses_outside() {
        let kind = |text: &str| address(text.parse().unwrap());
        for (text, expected) in [
            ("8.8.8.8", Address::Public),
            ("127.9.9.9", Address::Loopback),
            ("::1", Address::Loopback),
            ("10.1.2.3", Address::Private),
            ("172.31.0.1", Address::Private),
            ("172.32.0.1", Address::Public),
            ("100.100.100.200", Address::Private),
            ("169.254.169.254", Address::LinkLocal),
            ("fd00:ec2::254", Address::Private),
            ("fe80::1", Address::LinkLocal),
            ("0.0.0.0", Address::Special),
            ("::ffff:127.0.0.1", Address::Loopback),
            ("64:ff9b::a9fe:a9fe", Address::LinkLocal),
            ("2002:7f00:1::", Address::Special),
            ("2606:4700::1111", Address::Public),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
