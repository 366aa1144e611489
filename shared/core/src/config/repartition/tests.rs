use super::*;
use crate::config::Config;

const EV: &str = r#"
    [[repartition]]
    name = "ev"
    source = "glue_db.ev"
    target = "s3://lake/ev/"
"#;

fn parse(more: &str) -> Result<Repartition, String> {
    Config::parse(&format!("{EV}\n{more}"))
        .map(|mut config| config.repartition.remove(0))
        .map_err(|error| error.to_string())
}

#[test]
fn defaults() {
    let job = parse("").unwrap();
    assert_eq!(job.source.to_string(), "glue_db.ev");
    assert_eq!(job.mode, Mode::Overwrite);
    assert_eq!(job.on_mismatch, Policy::Fail);
    assert_eq!(job.task_size, Size::mib(512));
    assert_eq!(
        job.ledger().to_string(),
        "s3://lake/ev/_lakewright/repartition/ev/"
    );
}

#[test]
fn everything_can_be_said() {
    let text = r#"
        [[repartition]]
        name = "ev"
        source = "s3://landing/ev/"
        format = "csv"
        csv = { delimiter = ";" }
        target = "s3://lake/ev/"
        partition_by = ["Model Year", "Make"]
        files = 2
        mode = "append"
        output = [{ format = "parquet", compression = "snappy" }, { format = "json" }]
        columns = ["Make", { name = "Model Year", type = "int" }, { name = "VIN (1-10)", as = "vin" }]
        on_mismatch = "drop"
        table = "glue_db.target"
        manage_table = true
        bookmark = true
        task_size = "64MiB"
        limits = { record_size = "1MiB" }
    "#;
    let job = Config::parse(text).unwrap().repartition.remove(0);
    assert_eq!(job.columns[2].written(), "vin");
    assert_eq!(job.columns[1].hive_type(), Some("int"));
    let stored = serde_json::to_string(&job).unwrap();
    assert_eq!(serde_json::from_str::<Repartition>(&stored).unwrap(), job);
}

#[test]
fn files_are_counted_from_the_splits() {
    for (text, splits, files) in [
        ("files = 4", 9, 4),
        ("files = \"+1\"", 1, 2),
        ("files = \"-1\"", 3, 2),
        ("files = \"-1\"", 1, 1),
        ("files = \"+0\"", 0, 1),
    ] {
        let job = parse(text).unwrap();
        assert_eq!(job.files.unwrap().of(splits), files, "{text}");
        let stored = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Repartition>(&stored).unwrap(), job);
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    for (more, says) in [
        ("speling = 1", "speling"),
        ("files = 0", "files = 0"),
        ("files = 100001", "at most"),
        ("files = \"1\"", "such as \"+1\""),
        ("files = \"+x\"", "such as \"+1\""),
        ("files = \"+1\"\npartition_by = [\"a\"]", "write a number"),
        ("format = \"csv\"", "format has no meaning with a table"),
        ("merge = true", "merge has no meaning"),
        ("merge = true\nfiles = 1\npartition_by = [\"a\"]", "merge"),
        ("bookmark = true", "mode = \"append\""),
        ("manage_table = true", "manage_table"),
        ("on_mismatch = \"quarantine\"", "write fail or drop"),
        ("task_size = \"1KiB\"", "task_size"),
        ("partition_by = [\"a\", \"A\"]", "`A` twice"),
        ("partition_by = [\"_a\"]", "begin with `_`"),
        ("columns = [\"a\", \"A\"]", "`A` twice"),
        ("columns = [\"a\"]\npartition_by = [\"b\"]", "names `b`"),
        ("columns = [\"a\"]\npartition_by = [\"a\"]", "none is left"),
        ("columns = [{ name = \"a\", type = \"nope\" }]", "nope"),
        (
            "columns = [{ name = \"a\", mask = {}, hash = { secret = \"ssm:s\" } }]",
            "columns: `a` has both mask and hash",
        ),
        (
            "columns = [{ name = \"a\", constant = 1, hash = { secret = \"ssm:s\" } }]",
            "constant goes together with type alone",
        ),
        (
            "columns = [{ name = \"a\", hash = { secret = \"s\" } }]",
            "write \"secretsmanager:NAME\"",
        ),
        ("output = []", "output is empty"),
        (
            "output = [{ format = \"json\", max_file_size = \"1MiB\" }]",
            "max_file_size",
        ),
        ("csv = { quote = \",\" }", "the same"),
        ("limits = { record_size = \"0B\" }", "limits.record_size"),
        // The offsets of a column's text have 31 bits.
        ("limits = { record_size = \"2GiB\" }", "limits.record_size"),
    ] {
        let error = parse(more).unwrap_err();
        assert!(error.contains(says), "{error} should say {says}");
    }
    let prefix = EV.replace("glue_db.ev", "s3://landing/ev/");
    for (text, says) in [
        (EV.replace("lake/ev/", "lake/ev"), "must end with `/`"),
        (EV.replace("\"ev\"", "\"a b\""), "letters, digits"),
        (EV.replace("glue_db.ev", "ev"), "database.table"),
        (format!("{EV}{EV}"), "two jobs"),
        (prefix.clone(), "format is missing"),
        (
            format!("{prefix}\nformat = \"csv\"\nexpression = \"a = 1\""),
            "expression",
        ),
        (
            format!("{prefix}\nformat = \"json\"\ncsv = {{}}"),
            "csv has no meaning",
        ),
        (
            prefix.replace("landing/ev/", "landing/ev") + "\nformat = \"csv\"",
            "must end with `/`",
        ),
        (
            prefix.replace("s3://lake", "s3://landing") + "\nformat = \"csv\"\nmode = \"append\"",
            "read its own rows",
        ),
    ] {
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{error} should say {says}");
    }
}

#[test]
fn a_target_that_would_trigger_rekey_is_refused() {
    let rekey = r#"
        [[rekey]]
        name = "r"
        source = "s3://lake/"
        timestamp = { column = "t" }
        target = "s3://other/"
    "#;
    let error = Config::parse(&format!("{EV}{rekey}"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("source of rekey `r`"), "{error}");
}
