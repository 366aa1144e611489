use crate::config::Config;

const JOBS: &str = r#"[[rekey]]
name = "anpr"
source = "s3://landing/anpr/"
timestamp = { column = "t" }
target = "s3://lake/anpr/"

[[compact]]
table = "lake.anpr"

[[split]]
name = "users"
target = "s3://objects/users/"
sources = ["s3://results/"]

[[repartition]]
name = "ev"
source = "lake.ev"
target = "s3://lake/ev/"
"#;

/// The mistakes of [`JOBS`] with one line replaced, or with one put below it.
fn mistakes(line: &str, becomes: &str) -> Vec<String> {
    assert!(JOBS.contains(line), "{line}");
    let text = JOBS.replacen(line, becomes, 1);
    match Config::parse(&text) {
        Ok(_) => Vec::new(),
        Err(error) => error.mistakes().iter().map(ToString::to_string).collect(),
    }
}

/// How a mistake begins; column 0 is any.
fn place_of((line, column): (usize, usize)) -> String {
    match column {
        0 => format!("line {line}, column "),
        _ => format!("line {line}, column {column}: "),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn each_mistake_is_told_with_its_place_and_what_to_write() {
    let mut wrong = Vec::new();
    let rekey = "name = \"anpr\"";
    let compact = "table = \"lake.anpr\"";
    let split = "name = \"users\"";
    let repartition = "name = \"ev\"";
    for (below, line, place, says) in [
        (
            rekey,
            "partitions_by = [\"year\"]",
            (3, 1),
            "rekey[0]: unknown key `partitions_by`; did you mean `partition_by`?",
        ),
        (
            rekey,
            "bogus = 1",
            (3, 1),
            "known here: batch, column, csv, encryption",
        ),
        (
            compact,
            "target_size = -1",
            (9, 1),
            "target_size = -1: write a size above 0, such as \"256MiB\"",
        ),
        (
            compact,
            "target_size = \"9 apples\"",
            (9, 1),
            "write a size above 0",
        ),
        (
            compact,
            "quiet_for = \"soon\"",
            (9, 1),
            "quiet_for = \"soon\": write a number with its unit, such as \"90s\"",
        ),
        (compact, "files = 0", (9, 1), "files = 0: write 1 or more"),
        (
            compact,
            "mode = \"catalogue\"",
            (9, 1),
            "write \"catalog\" or \"in_place\"; did you mean `catalog`?",
        ),
        (rekey, "partition_by = []", (3, 1), "partition_by is empty"),
        (
            rekey,
            "column = [{ name = \"a\", hash = { secret = \"kms:a\" } }]",
            (3, 0),
            "\"kms:a\" names no secret: write \"secretsmanager:NAME\" for one of AWS Secrets Manager, or \"ssm:/PATH/NAME\" for a SecureString parameter",
        ),
        (
            rekey,
            "column = [{ name = \"a\", hash = { secret = \"secretsmanager:a b\" } }]",
            (3, 0),
            "names no secret",
        ),
        (
            rekey,
            "column = [{ name = \"a\", mask = {}, hash = { secret = \"secretsmanager:a\" } }]",
            (3, 0),
            "has both mask and hash",
        ),
        (
            rekey,
            "format = \"regex\"",
            (3, 1),
            "regex is missing: write the pattern of the lines",
        ),
        (
            rekey,
            "regex = { pattern = \"(?<a>.)\" }",
            (3, 1),
            "regex has no meaning where format is not \"regex\"",
        ),
        (
            rekey,
            "format = \"regex\"\nregex = { pattern = \"(?<a>.\" }",
            (4, 0),
            "unclosed group",
        ),
        (
            rekey,
            "format = \"regex\"\nregex = { pattern = \"(.)\" }",
            (4, 0),
            "has no named group",
        ),
        (
            rekey,
            "column = [{ name = \"a\" }]",
            (3, 11),
            "`a` has no operation: write one of from, drop",
        ),
        (
            rekey,
            "column = [{ name = \"a\", from = \"A\" }]",
            (3, 25),
            "read from the field of its name anyway",
        ),
        (
            rekey,
            "on_unknown = \"add\"",
            (3, 1),
            "no meaning without table",
        ),
        (
            rekey,
            "on_unknown = \"add\"\ntable = \"lake.t\"\nformat = \"csv\"\ncsv = { header = false }",
            (3, 1),
            "name them in csv.columns",
        ),
        (
            rekey,
            "column = [{ name = \"a\", drop = true, constant = 1 }]",
            (3, 11),
            "both drop and constant",
        ),
        (
            rekey,
            "column = [{ name = \"a\", from = \"b\", event = \"offset\" }]",
            (3, 25),
            "from has no meaning with event",
        ),
        (
            rekey,
            "column = [{ name = \"a\", cast = \"number\" }]",
            (3, 25),
            "cast = \"number\": ",
        ),
        (
            rekey,
            "column = [{ name = \"a\", key = \"tenant=\" }]",
            (3, 25),
            "write the name alone",
        ),
        (
            rekey,
            "column = [{ name = \"a\", key = -1 }]",
            (3, 25),
            "key = -1: write a part's name, such as \"tenant\", or its place, from 1",
        ),
        (
            rekey,
            "column = [{ name = \"a\", constant = 1.5 }]",
            (3, 25),
            "constant = 1.5: write a text, a whole number, true or false",
        ),
        (
            rekey,
            "column = [{ name = \"a\", key = 0 }]",
            (3, 25),
            "counted from 1",
        ),
        (
            rekey,
            "column = [{ name = \"a\", event = \"time\" }]",
            (3, 25),
            "write \"source\", \"landed_at\" or \"offset\"",
        ),
        (
            rekey,
            "column = [{ name = \"a\", mask = {} }, { name = \"b\", from = \"A\" }]",
            (3, 38),
            "the field `A` has an operation already, that of column[0]",
        ),
        (
            rekey,
            "column = [{ name = \"a\", from = \"b\" }, { name = \"A\", from = \"c\" }]",
            (3, 39),
            "`A` is made twice, by column[0] too",
        ),
        (
            rekey,
            "partition_by = [\"a\"]\ncolumn = [{ name = \"a\", drop = true }]",
            (3, 1),
            "partition_by names `a`, which column drops",
        ),
        (
            rekey,
            "partition_by = [\"a\"]\ncolumn = [{ name = \"b\", from = \"a\" }]",
            (3, 1),
            "partition_by names `a`, which column calls `b`",
        ),
        (
            rekey,
            "column = [{ name = \"Year\", constant = 1 }]",
            (3, 11),
            "`Year` is a part of the record's time",
        ),
        (
            rekey,
            "format = \"csv\"\ntable = \"d.t\"\ncsv = { header = false }\ncolumn = [{ name = \"a\", mask = {} }]",
            (5, 1),
            "name them in csv.columns",
        ),
        (
            rekey,
            "partition_by = \"year\"",
            (3, 1),
            "it is a list: write `partition_by = [\"year\"]`",
        ),
        (
            rekey,
            "partition_by = [\"year\", 5]",
            (3, 25),
            "partition_by[1] = 5: it is a text: write \"5\"",
        ),
        (
            rekey,
            "partition_by = [\"year\", \"Year\"]",
            (3, 1),
            "`year` and `Year`",
        ),
        (
            rekey,
            "output = [{ format = \"json\", compression = \"snappy\" }]",
            (3, 30),
            "choose none, gzip or zstd",
        ),
        (
            rekey,
            "output = [{ format = \"orc\" }]",
            (3, 13),
            "output[0].format = \"orc\": write \"parquet\", \"json\" or \"csv\"",
        ),
        (
            rekey,
            "sort_by_time = \"yes\"",
            (3, 1),
            "write true or false, without quotes",
        ),
        (
            rekey,
            "csv = { delimiter = \"\\\\t\" }",
            (3, 9),
            "write one character; a tab is \"\\t\"",
        ),
        (
            rekey,
            "table = \"anpr\"",
            (3, 1),
            "table = \"anpr\": write it as \"database.table\"",
        ),
        (
            rekey,
            "limits = { nesting_depth = -1 }",
            (3, 12),
            "write a whole number from 0 to 4294967295",
        ),
        (
            split,
            "key = \"{user_id.json\"",
            (12, 1),
            "key = \"{user_id.json\"",
        ),
        (
            split,
            "format = \"template\"",
            (10, 0),
            "template is missing",
        ),
        (
            repartition,
            "files = \"1+\"",
            (17, 1),
            "or one with its sign in quotes, such as \"+1\"",
        ),
        (
            repartition,
            "columns = [\"make\"]\npartition_by = [\"makes\"]",
            (18, 1),
            "which columns does not write; did you mean `make`?",
        ),
        (
            repartition,
            "columns = [{ name = \"run\", constant = 1, mask = {} }]",
            (17, 12),
            "`run`: constant goes together with type alone",
        ),
        (
            repartition,
            "encryption = { algorithm = \"AES-256\" }",
            (17, 16),
            "did you mean `AES256`?",
        ),
    ] {
        let found = mistakes(below, &format!("{below}\n{line}"));
        let place = place_of(place);
        let is_it = |found: &String| found.starts_with(&place) && found.contains(says);
        if found.len() != 1 || !found.iter().any(is_it) {
            wrong.push(format!("{line}: {found:#?} should say {place}{says}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_mistake_in_place_of_a_line_is_told() {
    let mut wrong = Vec::new();
    let source = "source = \"s3://landing/anpr/\"";
    let timestamp = "timestamp = { column = \"t\" }";
    for (line, becomes, place, says) in [
        (
            source,
            "source = \"s3:/landing/anpr/\"",
            (3, 1),
            "source = \"s3:/landing/anpr/\": write s3://bucket/prefix/",
        ),
        (
            source,
            "source = \"arn:aws:s3:::landing\"",
            (3, 1),
            "write s3://bucket/prefix/",
        ),
        (
            source,
            "source = \"s3://Acme_Landing/anpr/\"",
            (3, 1),
            "`Acme_Landing` is not a bucket's name: those have lower-case letters, digits, dots and hyphens",
        ),
        (
            source,
            "source = \"s3://landing/anpr\"",
            (3, 1),
            "must end with `/`",
        ),
        (source, "", (1, 1), "rekey[0]: the key `source` is missing"),
        (
            timestamp,
            "timestamp = \"ts\"",
            (4, 1),
            "it is a table: write `timestamp = { column = \"ts\" }`",
        ),
        (
            timestamp,
            "timestamp = { column = \"t\", zone = \"Europe/Berln\" }",
            (4, 29),
            "is not an IANA time zone: write one such as Europe/Berlin; did you mean `Europe/Berlin`?",
        ),
        (
            timestamp,
            "timestamp = { column = \"t\", format = \"yyyy-MM-dd HH:mm\" }",
            (4, 29),
            "it has no `%` directive: patterns are strptime's; write `%Y-%m-%d %H:%M`",
        ),
        (
            timestamp,
            "timestamp = { colum = \"t\" }",
            (4, 15),
            "unknown key `timestamp.colum`; did you mean `column`?",
        ),
        (
            "[[rekey]]",
            "[rekey]",
            (1, 2),
            "write `[[rekey]]`, with two brackets",
        ),
        (
            "[[rekey]]",
            "[[reky]]",
            (1, 3),
            "unknown key `reky`; did you mean `rekey`?",
        ),
        (
            "source = \"lake.ev\"",
            "source = \"s3://lake/raw/\"",
            (15, 0),
            "format is missing: write what the objects under s3://lake/raw/ hold",
        ),
        (
            "source = \"lake.ev\"",
            "source = \"ev\"",
            (17, 1),
            "write a table as \"database.table\"",
        ),
        (
            "target = \"s3://lake/ev/\"",
            "target = \"s3://landing/anpr/ev/\"",
            (18, 1),
            "the source of rekey `anpr`, which would read every file",
        ),
        ("target = \"s3://lake/anpr/\"", "target = lake", (5, 10), ""),
    ] {
        let found = mistakes(line, becomes);
        let place = place_of(place);
        let is_it = |found: &String| found.starts_with(&place) && found.contains(says);
        if !found.iter().any(is_it) {
            wrong.push(format!("{becomes}: {found:#?} should say {place}{says}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = r#"[[rekey]]
name = "a"
source = "s3://landing/a/"
timestamp = { column = "t", zone = "Europe/Berln" }
target = "s3://lake/a"
colour = "blue"

[[split]]
name = "a"
target = "landing"
sources = "s3://results/"

[[compact]]
table = "lake.a"
min_files = 1
"#;
    let error = Config::parse(text).unwrap_err();
    let found: Vec<_> = error
        .mistakes()
        .iter()
        .map(|mistake| (mistake.line, mistake.key.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (4, "rekey[0].timestamp.zone"),
            (5, "rekey[0].target"),
            (6, "rekey[0].colour"),
            (10, "split[0].target"),
            (11, "split[0].sources"),
            (15, "compact[0].min_files"),
        ],
        "{error}"
    );
}

#[test]
fn a_file_of_another_encoding_is_told_as_a_mistake() {
    let latin = |text: &str| text.chars().map(|of| of as u8).collect::<Vec<_>>();
    let says = "0xE9 is not UTF-8: save the file as UTF-8";
    for (bytes, place) in [
        (latin("# é\n"), "line 1, column 3: "),
        (
            latin("[[rekey]]\nname = \"caf\u{e9}\"\n"),
            "line 2, column 12: ",
        ),
    ] {
        let error = Config::read(&bytes).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(says), "{error}");
    }
    assert!(Config::read(JOBS.as_bytes()).is_ok());
}

#[test]
fn targets_of_one_kind_may_not_lie_inside_one_another() {
    let job = |name: &str, source: &str, target: &str| {
        format!(
            "[[rekey]]\nname = \"{name}\"\nsource = \"s3://landing/{source}/\"\ntimestamp = {{ column = \"t\" }}\ntarget = \"s3://lake/{target}/\"\n"
        )
    };
    let shared = job("a", "a", "t") + &job("b", "b", "t");
    assert!(
        Config::parse(&shared).is_ok(),
        "several sources fill one table"
    );
    let nested = job("a", "a", "t") + &job("b", "b", "t/u");
    let error = Config::parse(&nested).unwrap_err().to_string();
    assert!(error.contains("lie inside one another"), "{error}");
}

#[test]
fn a_table_to_which_columns_are_added_is_not_managed_by_another_job() {
    let job = |managed, policy: &str| {
        let becomes =
            format!("target = \"s3://lake/anpr/\"\ntable = \"lake.ev\"\non_unknown = \"{policy}\"");
        let text = JOBS.replacen("target = \"s3://lake/anpr/\"", &becomes, 1);
        Config::parse(&format!(
            "{text}table = \"lake.ev\"\nmanage_table = {managed}\n"
        ))
    };
    assert!(job(false, "add").is_ok() && job(true, "drop").is_ok());
    let error = job(true, "add").unwrap_err().to_string();
    let says = "manage_table would take the columns out again that rekey `anpr` adds";
    assert!(error.contains(says), "{error}");
}
