//! Customers of the sandbox's shop, created in the account and changed there.

use std::collections::BTreeMap;

use renkei::sandbox::{Sandbox, SandboxConfig, WorldConfig};
use serde_json::{Value, json};

use crate::{
    account::Account,
    workspace::{Workspace, counts, said},
};

const PIPELINE: &str = "\
from: { connection: shop, stream: customers }
steps:
  - filter: record.email is not none
to:
  connection: stripe
  operation: create_customer
  changed: { operation: update_customer }
  fields:
    name: record.name
    email: record.email
    address: '{\"country\": record.country}'
    metadata: '{\"shop_id\": record.id, \"tier\": record.tier}'
";

async fn shop() -> Sandbox {
    let world = WorldConfig { customers: 60, shop_quota: None, crm_quota: None, ..WorldConfig::default() };
    Sandbox::start(SandboxConfig { world, ..SandboxConfig::default() }).await.unwrap()
}

fn workspace(account: &Account, shop: &Sandbox, pipeline: &str) -> Workspace {
    let connections = format!(
        "  shop:\n    connector: shop\n    base_url: {}\n    auth: {{ oauth2: {{ client_id: demo, client_secret: \
         \"${{SHOP_SECRET}}\" }} }}\n  stripe:\n    connector: stripe\n    base_url: {}\n    auth: {{ bearer: {{ token: \
         \"${{STRIPE_KEY}}\" }} }}\n",
        shop.url(),
        account.url
    );
    Workspace::new(&connections, &[("create", pipeline)]).with("SHOP_SECRET", "demo-secret")
}

/// The account's customers by the shop's id.
async fn created(account: &Account) -> BTreeMap<String, Value> {
    let customers = account.customers().await;
    let count = customers.len();
    let by_shop_id: BTreeMap<String, Value> = customers
        .into_values()
        .map(|customer| (customer["metadata"]["shop_id"].as_str().unwrap().to_owned(), customer))
        .collect();
    assert_eq!(by_shop_id.len(), count, "a customer was created twice");
    by_shop_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_created_once_and_changed_where_it_is() {
    let Some(account) = Account::open() else { return };
    let shop = shop().await;
    let workspace = workspace(&account, &shop, PIPELINE);
    let first = workspace.run("create");
    let before = created(&account).await;
    assert_eq!(first["created"], before.len());
    assert!(before.len() > 30, "{first}");
    for customer in before.values() {
        assert!(customer["email"].is_string() && customer["address"]["country"].is_string(), "{customer}");
        assert!(customer["metadata"]["tier"].is_string(), "{customer}");
    }

    let second = workspace.run("create");
    assert_eq!((&second["created"], &second["updated"]), (&json!(0), &json!(0)), "{second}");
    assert_eq!(created(&account).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_refuses_is_a_dead_letter_and_the_others_go_on() {
    let Some(account) = Account::open() else { return };
    let shop = shop().await;
    let refused = PIPELINE.replace("\"country\": record.country", "\"planet\": record.country");
    let output = workspace(&account, &shop, &refused).output("create");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let counts = counts(&output);
    assert!(counts["rejected"].as_u64().unwrap() > 30, "{counts}");
    assert!(created(&account).await.is_empty());
}
