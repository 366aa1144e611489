//! Makes one Parquet file of many. Only this file knows how.

use std::sync::Arc;

use bytes::Bytes;
use lakewright_core::location::Location;
use parquet::{
    column::writer::ColumnCloseResult,
    errors::ParquetError,
    file::{metadata::ParquetMetaData, properties::WriterProperties, writer::SerializedFileWriter},
};

use super::{
    Budget, Ports,
    error::CompactError,
    footers,
    ledger::{Bin, Plan},
};
use crate::upload::{Finished, PART, Upload};

/// A file that is to be merged.
pub(super) struct Source {
    /// Its name, for errors.
    pub(super) name: String,
    /// Its footer.
    pub(super) metadata: Arc<ParquetMetaData>,
}

/// Whether these files can be merged into one.
///
/// # Errors
/// The two files and the column that stand in the way.
pub(super) fn check(sources: &[Source]) -> Result<(), CompactError> {
    let Some((first, others)) = sources.split_first() else {
        return Ok(());
    };
    let schema = first.metadata.file_metadata().schema();
    let other = others
        .iter()
        .find(|other| other.metadata.file_metadata().schema() != schema);
    match other {
        None => Ok(()),
        Some(other) => Err(CompactError::Unmergeable(format!(
            "{} and {} have different schemas",
            first.name, other.name
        ))),
    }
}

/// Writes the file of a bin, create-only.
pub(super) async fn write(
    ports: &Ports,
    plan: &Plan,
    bin: &Bin,
    _budget: &Budget,
) -> Result<Finished, CompactError> {
    let output = plan.output(bin);
    let wrong = |error: ParquetError| CompactError::Unreadable {
        location: output.clone(),
        message: error.to_string(),
    };
    let mut upload = Upload::new(
        Arc::clone(&ports.store),
        output.clone(),
        "application/vnd.apache.parquet",
    );
    let mut writer: Option<SerializedFileWriter<Vec<u8>>> = None;
    for input in &bin.inputs {
        let location = plan.from.join(&input.name);
        let store = &*ports.store;
        let etag = Some(input.etag.as_str());
        let metadata = footers::footer(store, &location, input.size, etag).await?;
        let bytes = footers::read(store, &location, 0..input.size, etag).await?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => {
                let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
                let properties = Arc::new(WriterProperties::builder().build());
                none.insert(
                    SerializedFileWriter::new(Vec::new(), schema, properties).map_err(wrong)?,
                )
            }
        };
        append(writer, &metadata, &bytes, &location)?;
        writer.flush().map_err(|error| wrong(error.into()))?;
        if writer.inner().len() >= PART {
            let part = std::mem::take(writer.inner_mut());
            upload.part(part).await?;
        }
    }
    let last = match writer {
        Some(writer) => writer.into_inner().map_err(wrong)?,
        None => Vec::new(),
    };
    Ok(upload.finish(last).await?)
}

fn append(
    writer: &mut SerializedFileWriter<Vec<u8>>,
    metadata: &ParquetMetaData,
    bytes: &Bytes,
    location: &Location,
) -> Result<(), CompactError> {
    let wrong = |error: ParquetError| CompactError::Unreadable {
        location: location.clone(),
        message: error.to_string(),
    };
    for group in metadata.row_groups() {
        let rows = u64::try_from(group.num_rows()).unwrap_or_default();
        let mut target = writer.next_row_group().map_err(wrong)?;
        for column in group.columns() {
            let close = ColumnCloseResult {
                bytes_written: u64::try_from(column.compressed_size()).unwrap_or_default(),
                rows_written: rows,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            target.append_column(bytes, close).map_err(wrong)?;
        }
        target.close().map_err(wrong)?;
    }
    Ok(())
}
