//! Real input: customers of `localstripe`, a Stripe-compatible API that nobody here wrote, through the real binary. They
//! go into JSON Lines files and PostgreSQL, first all of them, then again after changes, with a SIGKILL in between; and
//! customers of the sandbox's shop go into it.
//!
//! The connector follows Stripe's documents. Where `localstripe` differs:
//!
//! | Stripe | localstripe | what that means here |
//! |---|---|---|
//! | lists newest first | lists oldest first | the stream declares no order, so both are read alike |
//! | honours `Idempotency-Key` for 24 hours | ignores it | creating is tested without a kill: a repeated create would double |
//! | `created[gte]` narrows a list | answers 400 | the stream `new_customers` is not read here |
//! | limits requests per second | does not | the budget of the connector is kept all the same |
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "real/account.rs"]
mod account;
#[path = "real/create.rs"]
mod create;
#[path = "real/extract.rs"]
mod extract;
#[path = "real/workspace.rs"]
mod workspace;
