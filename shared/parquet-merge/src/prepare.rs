//! Checks the files' footers and collects what the merge needs from them.

use std::sync::Arc;

use parquet::{
    basic::Compression as ParquetCompression,
    file::metadata::{ParquetMetaData, RowGroupMetaData},
    schema::types::{SchemaDescriptor, Type, TypePtr},
};

use super::{
    Input, MergeError, Unified,
    names::find_column,
    reads,
    schema::{self, Leaf},
};
use crate::{Compression, compression::Codec};

/// How the columns of files map to those of the merged file: one entry for all files with the same schema.
#[derive(Debug, Default)]
pub(super) struct Mappings(Vec<(TypePtr, Arc<[Leaf]>)>);

impl Mappings {
    pub(super) fn of(
        &mut self,
        unified: &Unified,
        input: &Input,
    ) -> Result<Arc<[Leaf]>, MergeError> {
        let schema = input.metadata.file_metadata().schema_descr();
        let schema = schema.root_schema_ptr();
        if let Some((_, leaves)) = self.0.iter().find(|(known, _)| *known == schema) {
            return Ok(Arc::clone(leaves));
        }
        let leaves: Arc<[Leaf]> = schema::leaves(unified.schema().root_schema(), &schema)
            .map_err(|what| MergeError::Schema {
                input: input.name.clone(),
                what,
            })?
            .into();
        self.0.push((schema, Arc::clone(&leaves)));
        Ok(leaves)
    }
}

/// For each column, the bytes of each compression.
#[derive(Debug)]
pub(super) struct Votes(Vec<[u64; 4]>);

const COMPRESSIONS: [Compression; 4] = [
    Compression::Snappy,
    Compression::Zstd,
    Compression::Gzip,
    Compression::None,
];

impl Votes {
    pub(super) fn new(columns: usize) -> Self {
        Self(vec![[0; 4]; columns])
    }

    fn add(&mut self, leaf: usize, compression: Compression, bytes: u64) {
        let place = COMPRESSIONS.iter().position(|known| *known == compression);
        let votes = self.0.get_mut(leaf);
        if let Some(vote) = place.and_then(|place| votes?.get_mut(place)) {
            *vote = vote.saturating_add(bytes);
        }
    }

    /// Adds those of a column of `others`.
    pub(super) fn add_all(&mut self, leaf: usize, others: &Self, column: usize) {
        let added = others.0.get(column).copied().unwrap_or_default();
        for (compression, bytes) in COMPRESSIONS.into_iter().zip(added) {
            self.add(leaf, compression, bytes);
        }
    }

    /// The compression of most bytes. Snappy if there are none.
    pub(super) fn winner(&self, leaf: usize) -> Compression {
        let votes = self.0.get(leaf).into_iter().flatten().copied();
        let mut best = (0, Compression::Snappy);
        for (votes, compression) in votes.zip(COMPRESSIONS) {
            if votes > best.0 {
                best = (votes, compression);
            }
        }
        best.1
    }
}

/// The key of the metadata in which `GeoParquet` declares geometry columns (<https://geoparquet.org/releases/v1.1.0/>):
/// without it they are plain bytes.
const GEO: &str = "geo";

/// Checks a file's footer and refuses what cannot be merged.
pub(super) fn check(input: &Input, leaves: &[Leaf], votes: &mut Votes) -> Result<(), MergeError> {
    let key_values = input.metadata.file_metadata().key_value_metadata();
    if key_values
        .into_iter()
        .flatten()
        .any(|entry| entry.key == GEO)
    {
        return Err(MergeError::Unsupported {
            input: input.name.clone(),
            column: GEO.to_owned(),
            what: "its key-value metadata says what its columns are".to_owned(),
        });
    }
    for group in input.metadata.row_groups() {
        for (leaf, of) in leaves.iter().enumerate() {
            let Some(source) = &of.source else {
                continue;
            };
            let corrupt = |column: String, what: &str| MergeError::Corrupt {
                input: input.name.clone(),
                column,
                what: what.to_owned(),
            };
            let Some(chunk) = group.columns().get(source.column) else {
                return Err(corrupt(source.column.to_string(), "it is missing"));
            };
            let column = chunk.column_path().string();
            if chunk.file_path().is_some() {
                return Err(MergeError::Unsupported {
                    input: input.name.clone(),
                    column,
                    what: "it is in another file".to_owned(),
                });
            }
            let Some(codec) = Codec::of(chunk.compression()) else {
                return Err(MergeError::Unsupported {
                    input: input.name.clone(),
                    column,
                    what: format!(
                        "its compression is {}; write the file with Snappy, gzip, zstd, LZ4 or no compression",
                        compression_name(chunk.compression())
                    ),
                });
            };
            if reads::chunk_range(chunk, input.size).is_none() {
                return Err(corrupt(column, "it lies outside the file"));
            }
            votes.add(leaf, codec.kept(), chunk.compressed_size().unsigned_abs());
        }
        if group.num_rows() < 0 {
            return Err(MergeError::Schema {
                input: input.name.clone(),
                what: "a row group has a negative number of rows".to_owned(),
            });
        }
    }
    Ok(())
}

/// A column whose compression is not read, and that compression.
pub fn unread_codec(metadata: &ParquetMetaData) -> Option<(String, &'static str)> {
    let groups = metadata.row_groups().iter();
    let mut chunks = groups.flat_map(RowGroupMetaData::columns);
    let unread = chunks.find(|chunk| Codec::of(chunk.compression()).is_none())?;
    let codec = compression_name(unread.compression());
    Some((unread.column_path().string(), codec))
}

/// The leaf columns of single values with these names.
pub(super) fn single_columns(
    option: &str,
    schema: &SchemaDescriptor,
    names: &[String],
) -> Result<Vec<usize>, MergeError> {
    let columns = schema.columns().iter().enumerate();
    let single: Vec<_> = columns
        .filter(|(_, column)| column.max_rep_level() == 0)
        .collect();
    let mut groups = Vec::new();
    add_groups(schema.root_schema(), &mut Vec::new(), &mut groups);
    let leaf = |name: &String| {
        let paths = single.iter().map(|(_, column)| column.path().parts());
        let refused = |what: String| MergeError::Options(format!("{option}: {what}"));
        let found = find_column(name, paths).map_err(|error| {
            let nested = find_column(name, groups.iter().map(|(path, _)| path)).ok();
            refused(match nested.and_then(|place| groups.get(place)) {
                Some((path, node)) => format!(
                    "`{}` is {}, and has no single value in a row",
                    path.join("."),
                    schema::type_of(node)
                ),
                None => error.to_string(),
            })
        })?;
        Ok(single.get(found).map_or(0, |(leaf, _)| *leaf))
    };
    names.iter().map(leaf).collect()
}

/// Adds the columns, and the fields of structs, that are structs, lists or maps, with their paths.
fn add_groups<'a>(
    around: &'a Type,
    path: &mut Vec<String>,
    groups: &mut Vec<(Vec<String>, &'a Type)>,
) {
    for field in around.get_fields() {
        path.push(field.name().to_owned());
        if field.is_group() || schema::repeats(field) {
            groups.push((path.clone(), field));
        }
        if schema::is_struct(field) {
            add_groups(field, path, groups);
        }
        path.pop();
    }
}

fn compression_name(compression: ParquetCompression) -> &'static str {
    match compression {
        ParquetCompression::BROTLI(_) => "brotli",
        ParquetCompression::LZO => "lzo",
        _ => "unknown",
    }
}
