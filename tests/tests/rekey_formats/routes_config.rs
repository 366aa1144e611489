//! What a configuration may say of routes.

use lakewright_core::config::Rekey;

use super::*;

const JOB: &str = r#"
    [[rekey]]
    name = "shop"
    source = "s3://landing/shop/"
    timestamp = { column = "t" }
    target = "s3://lake/shop/"
    [rekey.route]
    column = "type"
    [rekey.route.tables.order]
    target = "s3://lake/shop/orders/"
    table = "shop.orders"
    [rekey.route.tables."refund.created"]
    target = "s3://lake/refunds/"
    table = "shop.refunds"
    partition_by = ["date"]
    on_mismatch = "drop"
"#;

#[test]
fn what_a_destination_leaves_out_is_as_the_job_says() {
    let config = Config::parse(JOB).unwrap();
    let job = &config.rekey[0];
    let [order, refund] = &job.destinations()[..] else {
        unreachable!()
    };
    assert_eq!(order.table.as_ref().unwrap().table, "orders");
    assert_eq!(order.partition_by, job.partition_by);
    assert_eq!(order.on_mismatch, job.on_mismatch);
    assert_eq!(refund.target.to_string(), "s3://lake/refunds/");
    assert_eq!(refund.partition_by, ["date"]);
    assert_eq!(refund.timestamp, job.timestamp);
    assert!(refund.route.is_none() && job.route.as_ref().unwrap().is_quarantine());
    let stored = serde_json::to_string(job).unwrap();
    assert_eq!(&serde_json::from_str::<Rekey>(&stored).unwrap(), job);
}

#[test]
fn the_compaction_of_a_destination_knows_both_ledgers() {
    let text = format!("{JOB}\n[[compact]]\ntable = \"shop.orders\"\n");
    let config = Config::parse(&text).unwrap();
    let [compact] = &config.compact[..] else {
        unreachable!()
    };
    let ledger = compact.ledger.as_ref().unwrap().to_string();
    let commits = compact.commits.as_ref().unwrap().to_string();
    assert_eq!(
        (&*ledger, &*commits),
        (
            "s3://lake/shop/orders/_lakewright/",
            "s3://lake/shop/_lakewright/"
        )
    );
}

#[test]
fn columns_are_not_added() {
    stated("With `route`, `on_unknown = \"add\"` is refused.");
    let with = |from: &str, to: &str| JOB.replace(from, to);
    for (text, key, says) in [
        (
            with("timestamp =", "on_unknown = \"add\"\ntimestamp ="),
            "rekey[0].on_unknown",
            "with route there are several",
        ),
        (
            with("on_mismatch = \"drop\"", "on_unknown = \"add\""),
            "rekey[0].route.tables.refund.created.on_unknown",
            "write \"quarantine\", \"drop\" or \"fail\"",
        ),
    ] {
        is_refused(&text, key, says);
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let with = |from: &str, to: &str| JOB.replace(from, to);
    let other = JOB
        .replace("\"shop\"", "\"other\"")
        .replace("landing/shop", "landing/other");
    for (text, key, says) in [
        (
            with("column = \"type\"", "column = \"\""),
            "rekey[0].route.column",
            "route.column is empty",
        ),
        (
            with("column = \"type\"", "column = \"type\"\notherwise = \"x\""),
            "rekey[0].route.otherwise",
            "is none of route.tables",
        ),
        (
            with("name = \"shop\"", "name = \"shop\"\ntable = \"shop.all\""),
            "rekey[0].table",
            "table has no meaning with route",
        ),
        (
            with("s3://lake/refunds/", "s3://other/refunds/"),
            "rekey[0].route.tables.refund.created.target",
            "in another bucket",
        ),
        (
            with("lake/refunds/", "lake/shop/_lakewright/x/"),
            "rekey[0].route.tables.refund.created.target",
            "inside the job's ledger",
        ),
        (
            with("lake/refunds/", "lake/refunds"),
            "rekey[0].route.tables.refund.created.target",
            "must end with `/`",
        ),
        (
            with("lake/refunds/", "lake/shop/orders/refunds/"),
            "rekey[0].route.tables.refund.created.target",
            "lie inside one another",
        ),
        (
            with("s3://lake/", "s3://landing/")
                .replace("landing/refunds/", "landing/shop/refunds/"),
            "rekey[0].route.tables.refund.created.target",
            "trigger it again",
        ),
        (
            with("shop.refunds", "shop.orders"),
            "rekey[0].route.tables.refund.created.table",
            "a route has a table of its own",
        ),
        (
            with("[\"date\"]", "[]"),
            "rekey[0].route.tables.refund.created.partition_by",
            "partition_by",
        ),
        (
            with("on_mismatch = \"drop\"", "output = []"),
            "rekey[0].route.tables.refund.created.output",
            "output is empty",
        ),
        (
            with("table = \"shop.orders\"", ""),
            "rekey[0].route.tables.order.table",
            "is missing",
        ),
        (
            with("on_mismatch", "on_mismach"),
            "rekey[0].route.tables.refund.created.on_mismach",
            "unknown key",
        ),
        (
            format!("{JOB}{other}"),
            "rekey[1].route.tables.order.table",
            "a route has a table of its own",
        ),
        (
            with(
                "timestamp =",
                "format = \"csv\"\ncsv = { header = false }\ntimestamp =",
            ),
            "rekey[0].csv.header",
            "csv.columns",
        ),
    ] {
        is_refused(&text, key, says);
    }
}

fn is_refused(text: &str, key: &str, says: &str) {
    let error = Config::parse(text).unwrap_err();
    let mut mistakes = error.mistakes().iter();
    assert!(
        mistakes.any(|mistake| mistake.key == key && mistake.message.contains(says)),
        "{error:#?} should say {says} of {key}"
    );
}
