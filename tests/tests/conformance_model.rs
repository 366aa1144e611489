//! The suite that every store must pass, over the model.

use lakewright_core::location::Location;
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings, virtual_time};
use lakewright_tests::conformance;

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
