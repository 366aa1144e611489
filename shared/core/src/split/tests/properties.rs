//! Properties of every result.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Rows in Athena's format are read back.
    #[test]
    fn athena_csv_reads_back(
        table in prop::collection::vec(
            prop::collection::vec(prop::option::of("[a\",\n\r é{]{0,4}"), 2), 0..6),
        pieces in prop::collection::vec(1..9_usize, 1..5),
    ) {
        let mut text = String::from("\"x\",\"y\"\n");
        for row in &table {
            let fields = row.iter().map(|field| match field {
                None => String::new(),
                Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            });
            text.push_str(&fields.collect::<Vec<_>>().join(","));
            text.push('\n');
        }
        let (_, shown) = scan(Framing::AthenaCsv, text.as_bytes(), &pieces).unwrap();
        prop_assert_eq!(header_names(&shown[0]).unwrap(), ["x", "y"]);
        let reader = reader(SourceFormat::Csv, &[("x", "varchar"), ("y", "varchar")]);
        prop_assert_eq!(shown.len() - 1, table.len());
        for (bytes, row) in shown[1..].iter().zip(&table) {
            let read = reader.read(bytes).unwrap();
            let values: Vec<_> =
                read.fields.iter().map(|field| field.value.text().map(String::from)).collect();
            prop_assert_eq!(&values, row);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for format in [SourceFormat::Csv, SourceFormat::Json, SourceFormat::Parquet,
            SourceFormat::Text { delimiter: 1 }] {
            let reader = reader(format, &[("x", "varchar"), ("y", "bigint")]);
            if let Ok(row) = reader.read(&bytes) {
                let mut out = BytesMut::new();
                job("").render(&row, &mut out);
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok());
            }
        }
        let _ = header_names(&bytes);
        let _ = manifest(&bytes, "b");
        let _ = SourceFormat::detect(&bytes);
    }

    #[test]
    fn no_value_climbs_out_of_the_prefix(
        a in prop::option::of("[./%_a\n]{0,6}|_lakewright|\\.\\.|__NULL__"),
        b in prop::option::of("[./a]{0,4}|split"),
        template in prop::sample::select(vec!["{a}", "{a}/{b}", "x{a}/{b}.json", "{a}{b}", ".{a}/x"]),
    ) {
        stated("In a key, `/`, `%` and control characters of a value become `%XX`, and so do the dots of a part that would be `.` or `..`.");
        let keys = KeyTemplate::parse(template, 0).unwrap();
        let row = Row {
            fields: vec![field("a", a.as_deref()), field("b", b.as_deref())],
            document: None,
        };
        let mut key = String::new();
        keys.write(&row, 1, "j", "p/", &mut key).unwrap();
        let name = key.strip_prefix("p/").unwrap();
        prop_assert!(!name.starts_with("_lakewright/"), "{}", name);
        prop_assert_eq!(name.split('/').count(), template.split('/').count(), "{}", name);
        for part in name.split('/') {
            prop_assert!(!matches!(part, "" | "." | ".."), "{}", name);
            prop_assert!(!part.contains(char::is_control));
        }
    }

    #[test]
    fn different_values_have_different_keys(
        a in prop::option::of("[./%_2EF5aNUL\n]{0,8}|__NULL__|__EMPTY__|%5F_NULL__|\\.|%2E|_lakewright"),
        b in prop::option::of("[./%_2EF5aNUL\n]{0,8}|__NULL__|__EMPTY__|%5F_NULL__|\\.|%2E|_lakewright"),
    ) {
        stated("Different values of one column make different keys: null is `__NULL__`, the empty string is `__EMPTY__`, and a value that is one of these texts has `%5F` for its first `_`.");
        for template in ["{a}", "{a}/x"] {
            let keys = KeyTemplate::parse(template, 0).unwrap();
            let key = |value: &Option<String>| {
                let row = Row { fields: vec![field("a", value.as_deref())], document: None };
                let mut key = String::new();
                keys.write(&row, 0, "j", "", &mut key).unwrap();
                key
            };
            prop_assert_eq!(a == b, key(&a) == key(&b), "{:?} {:?} {}", a, b, key(&a));
        }
    }

    #[test]
    fn duplicates_are_those_of_a_slow_search(
        rows in prop::collection::vec(("[ab]{1,2}", "[xy]"), 0..12),
    ) {
        for policy in [OnCollision::Fail, OnCollision::KeepFirst, OnCollision::KeepLast] {
            let mut index = KeyIndex::new("job", 1 << 20);
            for (number, (key, content)) in rows.iter().enumerate() {
                index.insert(number as u64, key, content.as_bytes()).unwrap();
            }
            let found = index.finish(policy);
            let mut expected = Duplicates::default();
            for (number, (key, content)) in rows.iter().enumerate() {
                let mut same_key = rows.iter().enumerate().filter(|(_, row)| row.0 == *key);
                let kept = match policy {
                    OnCollision::KeepLast => same_key.next_back(),
                    _ => same_key.next(),
                };
                let (kept, row) = kept.unwrap();
                if kept != number {
                    let same = row.1 == *content;
                    expected.collisions += u64::from(!same);
                    expected.dropped.push(Dropped { row: number as u64, kept: kept as u64, same });
                }
            }
            prop_assert_eq!(&found, &expected);
        }
    }
}
