//! Decides whether Parquet files can be merged page by page, without decoding rows.

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet_merge::{Input, Unified, unify};

use super::{Origin, Shape, shape::same};

/// The unified schema of these files, if it is the schema of the run's files and each column is the one that reading
/// the rows would use. `None` if a column is a partition key, is a constant, is renamed, masked, hashed or left out, or is converted to another type.
pub fn united(shape: &Shape, files: &[Input]) -> Option<Unified> {
    let keeps_its_name = |written: &super::Written| match written.from {
        Origin::Read(index) => shape
            .read
            .get(index)
            .is_some_and(|read| same(&read.name, &written.column.name)),
        Origin::Key(_) | Origin::Masked(..) | Origin::Hashed(..) | Origin::Constant(_) => false,
    };
    if !shape.partition_by.is_empty() || !shape.files.iter().all(keeps_its_name) {
        return None;
    }
    let columns: &Schema = &*shape.files_schema().ok()?;
    let written = ArrowSchemaConverter::new()
        .with_coerce_types(true)
        .convert(columns)
        .ok()?;
    let schemas = files.iter().map(|file| {
        let schema = file.metadata.file_metadata().schema_descr();
        (file.name.as_str(), schema)
    });
    let unified = unify(std::iter::once(("", &written)).chain(schemas)).ok()?;
    let fields = unified.schema().root_schema().get_fields();
    (fields == written.root_schema().get_fields()).then_some(unified)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{RecordBatch, new_empty_array},
        datatypes::{DataType, Field},
    };
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet_merge::{Footer, read_footer};

    use super::*;
    use crate::{catalog::Column, config::Config};

    fn file(fields: &[(&str, DataType, bool)]) -> Input {
        let fields = fields
            .iter()
            .map(|(name, data_type, nullable)| Field::new(*name, data_type.clone(), *nullable));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = schema.fields().iter();
        let columns = columns.map(|field| new_empty_array(field.data_type()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
        writer.write(&batch).unwrap();
        let bytes = Bytes::from(writer.into_inner().unwrap());
        let Footer::Read(metadata) = read_footer(&bytes, bytes.len() as u64, 1 << 20).unwrap()
        else {
            panic!("the bytes are the whole file");
        };
        Input {
            name: "file".to_owned(),
            size: bytes.len() as u64,
            metadata: Arc::from(metadata),
        }
    }

    /// Whether files can be merged for a job with these settings, whose source has the columns `n` and `s` and the
    /// partition key `day`.
    fn unites(settings: &str, with_key: bool, files: &[Input]) -> bool {
        let text = format!(
            "[[repartition]]\nname = \"j\"\nsource = \"d.t\"\ntarget = \"s3://b/t/\"\n{settings}"
        );
        let job = Config::parse(&text).unwrap().repartition.remove(0);
        let column = |name: &str, hive_type: &str| Column {
            name: name.to_owned(),
            hive_type: hive_type.to_owned(),
        };
        let columns = [column("n", "bigint"), column("s", "string")];
        let keys = [column("day", "int")];
        let keys = if with_key { &keys[..] } else { &[] };
        let shape = Shape::new(&job, &columns, keys, &[]).unwrap();
        united(&shape, files).is_some()
    }

    #[test]
    fn files_that_make_the_columns_as_they_are() {
        use DataType::{Boolean, Int32, Int64, Utf8};
        let same = || file(&[("n", Int64, true), ("s", Utf8, true)]);
        let other_case = || file(&[("N", Int64, true), ("S", Utf8, true)]);
        for (files, expected) in [
            (vec![same()], true),
            (vec![same(), other_case()], true),
            // Widening gives the same values as reading the rows.
            (vec![file(&[("n", Int32, false), ("s", Utf8, false)])], true),
            // A missing column is null.
            (vec![same(), file(&[("s", Utf8, true)])], true),
            (vec![file(&[("s", Utf8, true), ("n", Int64, true)])], true),
            (
                vec![file(&[
                    ("n", Int64, true),
                    ("s", Utf8, true),
                    ("more", Boolean, true),
                ])],
                false,
            ),
            (vec![same(), file(&[("n", Utf8, true)])], false),
            (
                vec![file(&[("n", Int64, true), ("s", Boolean, true)])],
                false,
            ),
        ] {
            let schemas = files.iter().map(|file| {
                let schema = file.metadata.file_metadata().schema_descr();
                format!("{:?}", schema.root_schema())
            });
            let schemas = schemas.collect::<Vec<_>>();
            assert_eq!(unites("", false, &files), expected, "{schemas:?}");
        }
    }

    #[test]
    fn columns_that_change() {
        let files = [file(&[
            ("n", DataType::Int64, true),
            ("s", DataType::Utf8, true),
        ])];
        for (settings, expected) in [
            ("columns = [\"n\", \"s\"]", true),
            ("columns = [\"s\", \"n\"]", true),
            ("columns = [\"n\"]", false),
            ("columns = [\"n\", { name = \"s\", as = \"t\" }]", false),
            ("columns = [\"n\", { name = \"s\", type = \"int\" }]", false),
            ("columns = [\"n\", { name = \"s\", mask = {} }]", false),
            (
                "columns = [\"n\", \"s\", { name = \"c\", constant = 1 }]",
                false,
            ),
            ("partition_by = [\"s\"]", false),
        ] {
            assert_eq!(unites(settings, false, &files), expected, "{settings}");
        }
        assert!(!unites("", true, &files));
        // If names are exchanged, they are those of other columns.
        let files = [file(&[
            ("n", DataType::Utf8, true),
            ("s", DataType::Utf8, true),
        ])];
        let exchanged = "columns = [{ name = \"n\", as = \"s\", type = \"string\" }, { name = \"s\", as = \"n\" }]";
        assert!(!unites(exchanged, false, &files));
    }
}
