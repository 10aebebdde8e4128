//! Which path means what. Routes are named by their template, so an account groups them whatever ids they carry.

use http::Method;

use super::config::App;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Route {
    Token,
    Authorize,
    Device,
    Login,
    Customers,
    CustomersDeleted,
    CustomerIds,
    Orders,
    Events,
    Products,
    Changes,
    Leads,
    Lead(String),
    LeadByExternalId(String),
    Batch,
    BatchUpsert,
    BatchAtomic,
    Rpc,
    Jobs,
    Plain,
    Once,
    Search,
    Job(String),
    JobFile(String, String),
    Control,
    Unknown,
}

impl Route {
    pub fn of(path: &str) -> Self {
        match path {
            "/oauth/token" => Self::Token,
            "/oauth/authorize" => Self::Authorize,
            "/oauth/device" => Self::Device,
            "/session/login" => Self::Login,
            "/shop/customers" => Self::Customers,
            "/shop/customers/deleted" => Self::CustomersDeleted,
            "/shop/customers/ids" => Self::CustomerIds,
            "/shop/orders" => Self::Orders,
            "/shop/events" => Self::Events,
            "/shop/products" => Self::Products,
            "/shop/changes" => Self::Changes,
            "/crm/leads" => Self::Leads,
            "/crm/leads/batch" => Self::Batch,
            "/crm/leads/batch/upsert" => Self::BatchUpsert,
            "/crm/leads/batch/atomic" => Self::BatchAtomic,
            "/crm/rpc/lead.upsert" => Self::Rpc,
            "/crm/jobs" => Self::Jobs,
            "/crm/leads/plain" => Self::Plain,
            "/crm/leads/once" => Self::Once,
            "/crm/leads/search" => Self::Search,
            _ if path.starts_with("/sandbox/") => Self::Control,
            _ => Self::of_lead(path).or_else(|| Self::of_job(path)).unwrap_or(Self::Unknown),
        }
    }

    fn of_lead(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/crm/leads/")?;
        let (last, make): (_, fn(String) -> Self) = match rest.strip_prefix("by-external-id/") {
            Some(external_id) => (external_id, Self::LeadByExternalId),
            None => (rest, Self::Lead),
        };
        let name = decoded(last)?;
        (!name.is_empty() && !last.contains('/')).then(|| make(name))
    }

    fn of_job(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/crm/jobs/")?;
        match rest.split_once('/') {
            None => Some(Self::Job(decoded(rest)?)),
            Some((id, file)) => Some(Self::JobFile(decoded(id)?, decoded(file)?)),
        }
    }

    pub fn app(&self) -> App {
        match self {
            Self::Token | Self::Authorize | Self::Device | Self::Login => App::Oauth,
            Self::Control => App::Control,
            Self::Leads | Self::Lead(_) | Self::LeadByExternalId(_) => App::Crm,
            Self::Batch | Self::BatchUpsert | Self::BatchAtomic | Self::Rpc => App::Crm,
            Self::Jobs | Self::Job(_) | Self::JobFile(..) | Self::Plain | Self::Once | Self::Search => App::Crm,
            Self::Customers | Self::CustomersDeleted | Self::CustomerIds => App::Shop,
            Self::Orders | Self::Events | Self::Products | Self::Changes | Self::Unknown => App::Shop,
        }
    }

    pub fn allows(&self, method: &Method) -> bool {
        match self {
            Self::Token | Self::Device | Self::Login | Self::Batch | Self::BatchUpsert => method == Method::POST,
            Self::BatchAtomic | Self::Rpc | Self::Jobs | Self::Plain | Self::Once => method == Method::POST,
            Self::Customers | Self::CustomersDeleted | Self::CustomerIds => method == Method::GET,
            Self::Orders | Self::Events | Self::Products | Self::Changes => method == Method::GET,
            Self::Job(_) | Self::JobFile(..) | Self::Search | Self::Authorize => method == Method::GET,
            Self::Leads => method == Method::GET || method == Method::POST,
            Self::Lead(_) => [Method::GET, Method::PATCH, Method::DELETE].contains(method),
            Self::LeadByExternalId(_) => method == Method::PUT,
            Self::Control | Self::Unknown => true,
        }
    }

    pub fn template(&self) -> &'static str {
        match self {
            Self::Token => "/oauth/token",
            Self::Authorize => "/oauth/authorize",
            Self::Device => "/oauth/device",
            Self::Login => "/session/login",
            Self::Customers => "/shop/customers",
            Self::CustomersDeleted => "/shop/customers/deleted",
            Self::CustomerIds => "/shop/customers/ids",
            Self::Orders => "/shop/orders",
            Self::Events => "/shop/events",
            Self::Products => "/shop/products",
            Self::Changes => "/shop/changes",
            Self::Leads => "/crm/leads",
            Self::Lead(_) => "/crm/leads/{id}",
            Self::LeadByExternalId(_) => "/crm/leads/by-external-id/{external_id}",
            Self::Batch => "/crm/leads/batch",
            Self::BatchUpsert => "/crm/leads/batch/upsert",
            Self::BatchAtomic => "/crm/leads/batch/atomic",
            Self::Rpc => "/crm/rpc/lead.upsert",
            Self::Jobs => "/crm/jobs",
            Self::Plain => "/crm/leads/plain",
            Self::Once => "/crm/leads/once",
            Self::Search => "/crm/leads/search",
            Self::Job(_) => "/crm/jobs/{id}",
            Self::JobFile(..) => "/crm/jobs/{id}/{file}",
            Self::Control => "/sandbox",
            Self::Unknown => "unknown",
        }
    }
}

/// A path segment with its `%` escapes undone. `+` is itself in a path.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_route_and_an_escaped_id_is_read_plain() {
        assert_eq!(Route::of("/crm/leads/batch"), Route::Batch);
        assert_eq!(Route::of("/crm/leads/lead_000001"), Route::Lead("lead_000001".into()));
        let escaped = Route::of("/crm/leads/by-external-id/a%2Fb%E8%97%A4+c");
        assert_eq!(escaped, Route::LeadByExternalId("a/b藤+c".into()));
    }

    #[test]
    fn a_path_that_is_broken_or_goes_deeper_is_unknown() {
        for path in ["/", "/crm/leads/", "/crm/leads/a/b", "/crm/leads/%zz", "/crm/leads/%f", "/crm/leads/%ff"] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }
}
