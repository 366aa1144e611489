mod corrupt;
mod files;
mod meaning;
mod outputs;
mod paths;
mod schemas;
mod sorting;
mod spark;

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    datatypes::{Field, Schema},
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
        arrow_writer::ArrowWriterOptions,
    },
    basic::Encoding,
    column::page::Page,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};

use super::*;

/// How the files of a test are written.
fn written(batch: &RecordBatch, properties: WriterProperties) -> Bytes {
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, column)| column);
    RecordBatch::try_new(schema, columns.collect()).unwrap()
}

fn input(name: &str, file: &Bytes) -> Input {
    let size = file.len() as u64;
    let tail = file.slice(file.len().saturating_sub(100)..);
    let footer = match read_footer(&tail, size, 1 << 24).unwrap() {
        Footer::Read(footer) => footer,
        Footer::Needs(range) => {
            let tail = file.slice(usize::try_from(range.start).unwrap()..);
            match read_footer(&tail, size, 1 << 24).unwrap() {
                Footer::Read(footer) => footer,
                Footer::Needs(range) => panic!("{range:?} again"),
            }
        }
    };
    Input {
        name: name.to_owned(),
        size,
        metadata: Arc::from(footer),
    }
}

/// The result of a merge.
#[derive(Debug)]
struct Merged {
    file: Bytes,
    summary: MergeSummary,
    unified: Unified,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Schema(#[from] SchemaRefusal),
    #[error(transparent)]
    Merge(#[from] MergeError),
}

fn merge(files: &[Bytes], options: MergeOptions) -> Result<Merged, Failure> {
    merge_of(files, options, false)
}

/// Merges files with or without their page indexes.
fn merge_of(files: &[Bytes], options: MergeOptions, with_indexes: bool) -> Result<Merged, Failure> {
    let names: Vec<String> = (0..files.len())
        .map(|file| format!("file {file}"))
        .collect();
    let mut inputs: Vec<Input> = names
        .iter()
        .zip(files)
        .map(|(name, file)| input(name, file))
        .collect();
    if with_indexes {
        for (input, file) in inputs.iter_mut().zip(files) {
            let reader =
                ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
            input.metadata = Arc::new(reader.parse_and_finish(file).unwrap());
        }
    }
    let schemas = inputs.iter().map(|input| {
        (
            input.name.as_str(),
            input.metadata.file_metadata().schema_descr(),
        )
    });
    let unified = unify(schemas)?;
    let merge = Merge::new(unified.clone(), inputs.clone(), options.clone())?;
    let merged = work_off(files, unified, merge)?;
    // A footer that the merge itself reads has no page index, so the bounds may differ.
    if options.sort_by.is_empty() && !with_indexes {
        let on_the_way = merge_unread(files, &inputs, options)?;
        assert_eq!(on_the_way.file, merged.file);
    }
    Ok(merged)
}

/// The same merge, but the merge itself reads the footers.
fn merge_unread(
    files: &[Bytes],
    inputs: &[Input],
    options: MergeOptions,
) -> Result<Merged, Failure> {
    let mut survey = Survey::default();
    for input in inputs {
        survey.add(input)?;
    }
    let surveyed = survey.finish()?;
    let unread = inputs.iter().map(|input| Unread {
        name: input.name.clone(),
        size: input.size,
    });
    let unified = surveyed.unified;
    let firsts = surveyed.firsts.into_iter().map(|(_, first)| first);
    let merge = Merge::unread(
        unified.clone(),
        &firsts.collect::<Vec<_>>(),
        surveyed.compressions,
        unread.collect(),
        options,
    )?;
    work_off(files, unified, merge)
}

fn work_off(files: &[Bytes], unified: Unified, mut merge: Merge) -> Result<Merged, Failure> {
    let mut file = Vec::new();
    let mut waiting: Vec<Fetch> = Vec::new();
    let mut supplied = Vec::new();
    let summary = loop {
        match merge.step(std::mem::take(&mut supplied))? {
            Step::Fetch(fetches) => {
                waiting.extend(fetches);
                // Answer the latest request first.
                let fetch = waiting.pop().expect("there is something to wait for");
                let range = usize::try_from(fetch.range.start).unwrap()
                    ..usize::try_from(fetch.range.end).unwrap();
                supplied.push((fetch.clone(), files[fetch.input].slice(range)));
            }
            Step::Write(bytes) => file.extend(bytes),
            Step::Done(summary) => break summary,
        }
    };
    assert_eq!(summary.bytes, file.len() as u64);
    let file = Bytes::from(file);
    verify(&footer(&file), summary.bytes, summary.rows, &unified).unwrap();
    Ok(Merged {
        file,
        summary,
        unified,
    })
}

fn footer(file: &Bytes) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(file)
        .unwrap()
}

/// All rows of a file, in the types of its Parquet schema.
fn rows(file: &Bytes) -> RecordBatch {
    let options = ArrowReaderOptions::new()
        .with_skip_arrow_metadata(true)
        .with_page_index_policy(PageIndexPolicy::Optional);
    let builder =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// The rows of files with the same schema.
fn all_rows(files: &[Bytes]) -> RecordBatch {
    let batches: Vec<_> = files.iter().map(rows).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Asserts that the columns are equal. Nullability is not compared.
#[track_caller]
fn assert_same(merged: &RecordBatch, expected: &RecordBatch) {
    assert_eq!(merged.num_rows(), expected.num_rows());
    assert_eq!(merged.num_columns(), expected.num_columns());
    for (index, column) in expected.columns().iter().enumerate() {
        let name = expected.schema().field(index).name().clone();
        assert!(
            merged.column(index).to_data() == column.to_data(),
            "column {name}"
        );
    }
}

/// Asserts that no page with dictionary indices follows a page with values and without indices.
#[track_caller]
fn assert_dictionary_first(file: &Bytes) {
    let metadata = footer(file);
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    for group in 0..metadata.num_row_groups() {
        let indexes = metadata.page_index_for_row_group(group);
        let group = reader.get_row_group(group).unwrap();
        for leaf in 0..group.num_columns() {
            let pages = group
                .get_column_page_reader(leaf)
                .unwrap()
                .map(Result::unwrap);
            let mut behind = false;
            let data = pages.filter(Page::is_data_page);
            for (number, page) in data.enumerate() {
                let uses_dictionary = page.encoding() == Encoding::RLE_DICTIONARY
                    || page.encoding() == Encoding::PLAIN_DICTIONARY;
                assert!(
                    !(behind && uses_dictionary),
                    "page {number} of column {leaf}"
                );
                let index = indexes.column_index(leaf);
                let is_null = index.is_some_and(|index| index.is_null_page(number));
                behind |= !uses_dictionary && !is_null;
            }
        }
    }
}

/// Reads page by page and asserts that values are within the bounds and that the null counts are right.
#[track_caller]
fn assert_indexed(file: &Bytes) {
    use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
    assert_dictionary_first(file);
    let metadata = footer(file);
    for (group_index, group) in metadata.row_groups().iter().enumerate() {
        let pages = metadata.page_index_for_row_group(group_index);
        for (leaf, chunk) in group.columns().iter().enumerate() {
            let statistics = chunk.statistics().expect("every chunk has statistics");
            assert!(statistics.null_count_opt().is_some());
            let locations = pages
                .page_locations(leaf)
                .expect("every chunk has an offset index");
            let index = pages.column_index(leaf);
            let ends = locations
                .iter()
                .skip(1)
                .map(|page| page.first_row_index)
                .chain([group.num_rows()]);
            for (page, (location, end)) in locations.iter().zip(ends).enumerate() {
                let first = usize::try_from(location.first_row_index).unwrap();
                let count = usize::try_from(end).unwrap() - first;
                let selection =
                    RowSelection::from(vec![RowSelector::skip(first), RowSelector::select(count)]);
                let options = ArrowReaderOptions::new()
                    .with_skip_arrow_metadata(true)
                    .with_page_index_policy(PageIndexPolicy::Required);
                let builder =
                    ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options)
                        .unwrap();
                let mask = parquet::arrow::ProjectionMask::roots(
                    builder.parquet_schema(),
                    [builder.parquet_schema().get_column_root_idx(leaf)],
                );
                let reader = builder
                    .with_row_groups(vec![group_index])
                    .with_projection(mask)
                    .with_row_selection(selection)
                    .with_batch_size(count.max(1))
                    .build()
                    .unwrap();
                let batches: Vec<_> = reader.map(Result::unwrap).collect();
                let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
                assert_eq!(found, count, "rows of page {page} of column {leaf}");
                if chunk.column_descr().path().parts().len() > 1 {
                    continue;
                }
                let column = batches[0].column(0);
                if let Some(index) = index {
                    let nulls = i64::try_from(column.null_count()).unwrap();
                    assert_eq!(
                        index.null_count(page),
                        Some(nulls),
                        "nulls of {page} of {leaf}"
                    );
                    assert_eq!(
                        index.is_null_page(page),
                        column.null_count() == column.len()
                    );
                    files::assert_bounds(index, page, column);
                }
            }
        }
    }
}
