//! Columns and fields that some of the files lack.

use super::*;

#[test]
fn columns_that_files_lack() {
    stated(
        "Columns, and fields of structs, are matched by name whatever its case; they come in the order in which the files first have them, and what a file lacks is null in its rows.",
    );
    let ints = |from: i32| column((from..from + 3).collect::<Int32Array>());
    let text = |text: &str| column(StringArray::from(vec![Some(text), None, Some("z")]));
    let files = [
        file(vec![("a", ints(0)), ("b", text("x"))]),
        file(vec![("c", text("y")), ("A", ints(3))]),
        file(vec![("b", text("w"))]),
    ];
    let merged = merge(&files, options()).unwrap();
    let expected = batch(vec![
        (
            "a",
            column(Int32Array::from(vec![
                Some(0),
                Some(1),
                Some(2),
                Some(3),
                Some(4),
                Some(5),
                None,
                None,
                None,
            ])),
        ),
        (
            "b",
            column(StringArray::from(vec![
                Some("x"),
                None,
                Some("z"),
                None,
                None,
                None,
                Some("w"),
                None,
                Some("z"),
            ])),
        ),
        (
            "c",
            column(StringArray::from(vec![
                None,
                None,
                None,
                Some("y"),
                None,
                Some("z"),
                None,
                None,
                None,
            ])),
        ),
    ]);
    let found = rows(&merged.file);
    assert_same(&found, &expected);
    assert_eq!(
        found
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert_indexed(&merged.file);
    // Each file becomes a separate row group: the copying path must also fill missing columns.
    let mut alone = options();
    alone.row_group.rows = 3;
    let merged = merge(&files, alone).unwrap();
    assert_eq!(merged.summary.copied, 3);
    assert_same(&rows(&merged.file), &expected);
}

fn structs(fields: Vec<(&str, ArrayRef)>, valid: &[bool]) -> StructArray {
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = fields
        .into_iter()
        .map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column))
        .unzip();
    StructArray::new(
        Fields::from(fields),
        columns,
        Some(NullBuffer::from(valid.to_vec())),
    )
}

#[test]
fn fields_that_files_lack() {
    let ints = || column(Int32Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let texts = || {
        column(StringArray::from(vec![
            Some("a"),
            Some("b"),
            None,
            Some("d"),
        ]))
    };
    let valid = [true, true, false, true];
    let list_of = |values: StructArray| {
        // Rows: two entries, none, null, two entries.
        let field = Arc::new(Field::new("element", values.data_type().clone(), true));
        column(ListArray::new(
            field,
            OffsetBuffer::new(vec![0, 2, 2, 2, 4].into()),
            column(values),
            Some(NullBuffer::from(vec![true, true, false, true])),
        ))
    };
    let lists = || {
        column(ListArray::from_iter_primitive::<
            arrow::datatypes::Int32Type,
            _,
            _,
        >([
            Some(vec![Some(1), Some(2)]),
            Some(vec![]),
            None,
            Some(vec![None, Some(3), Some(4)]),
        ]))
    };
    let only = |name: &'static str, values: ArrayRef| structs(vec![(name, values)], &valid);
    let both = || structs(vec![("x", ints()), ("y", texts())], &valid);
    let files = [
        vec![
            ("s", column(only("x", ints()))),
            ("l", list_of(only("x", ints()))),
        ],
        vec![
            ("s", column(only("y", texts()))),
            ("l", list_of(only("Y", texts()))),
        ],
        vec![("s", column(both())), ("l", list_of(both()))],
        // The neighbour that tells which structs exist is itself a list.
        vec![
            ("s", column(only("z", lists()))),
            ("l", list_of(only("z", lists()))),
        ],
        vec![(
            "l",
            list_of(structs(vec![("deep", column(only("z", lists())))], &valid)),
        )],
    ]
    .map(|columns| {
        written(
            &batch(columns),
            WriterProperties::builder()
                .set_data_page_row_count_limit(1)
                .set_write_batch_size(1)
                .build(),
        )
    });
    let merged = merge(&files, options()).unwrap();
    let expected: Vec<String> = files.iter().flat_map(|file| json(&rows(file))).collect();
    let found = json(&rows(&merged.file));
    let parsed = |lines: &[String]| -> Vec<serde_json::Value> {
        let lower = |line: &String| line.replace("\"Y\"", "\"y\"");
        lines
            .iter()
            .map(|line| serde_json::from_str(&lower(line)).unwrap())
            .collect()
    };
    assert_eq!(parsed(&found), parsed(&expected));
    assert_indexed(&merged.file);
}
