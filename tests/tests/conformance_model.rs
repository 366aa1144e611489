//! The suites that every store and what keeps secrets must pass, over the model.

use std::sync::Arc;

use async_trait::async_trait;
use lakewright_core::{config::SecretName, location::Location};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings, virtual_time};
use lakewright_ports::Secrets;
use lakewright_tests::conformance::{self, Keeper};

#[test]
fn the_model_conforms() {
    for settings in [
        Settings::default(),
        Settings {
            versioned: true,
            opaque_etags: true,
            ..Settings::default()
        },
        Settings {
            page: 7,
            ..Settings::default()
        },
    ] {
        let rates = FaultRates {
            conflict: 0.5,
            ..FaultRates::default()
        };
        let outcomes = virtual_time(async move {
            let client = Client::new(Cloud::new(1, settings, rates), 1, Plan::default());
            conformance::run(&client, &Location::new("bucket", "conformance/")).await
        });
        let surprises = conformance::surprises(&outcomes, &[]);
        assert!(surprises.is_empty(), "{settings:?}: {surprises:#?}");
    }
}

struct Model(Arc<Cloud>);

#[async_trait]
impl Keeper for Model {
    async fn put(&self, name: &SecretName, value: &str) -> Result<(), String> {
        let rotate = |state: &mut lakewright_model::State| {
            state.secrets.rotate(name, value.as_bytes());
        };
        self.0.with(rotate);
        Ok(())
    }
}

#[test]
fn the_secrets_of_the_model_conform() {
    let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
    let outcomes = virtual_time(async {
        let connect =
            || Box::new(Client::new(Arc::clone(&cloud), 1, Plan::default())) as Box<dyn Secrets>;
        conformance::run_secrets(&connect, &Model(Arc::clone(&cloud)), "a").await
    });
    assert_eq!(outcomes.len(), 2);
    let surprises = conformance::surprises(&outcomes, &[]);
    assert!(surprises.is_empty(), "{surprises:#?}");
}
