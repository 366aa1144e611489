//! The errors of objects that are refused: every job uses the same name for the same reason.

use lakewright_core::{
    avro::AvroError,
    compression::DecompressError,
    location::Location,
    orc::OrcError,
    parquet_in::ReadError,
    records::{ColumnsError, FrameError},
};

use crate::kit::{ErrorKind, JobError};

/// The error for records that cannot be told apart.
pub(crate) fn misread(location: &Location, error: &FrameError) -> JobError {
    match *error {
        FrameError::RecordTooLong { offset, limit } => JobError::new(
            ErrorKind::RecordTooLong,
            format!("refused: the record is longer than {limit} bytes (limits.record_size)"),
        )
        .of(location.clone())
        .at(offset),
        FrameError::NameCollision { .. } => {
            JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {error}"))
        }
        _ => JobError::unreadable(location.clone(), error.to_string()),
    }
}

/// The error for a Parquet file that is refused.
pub(crate) fn refused(location: &Location, error: ReadError) -> JobError {
    let location = location.clone();
    match error {
        ReadError::FooterTooLarge { size, limit } => {
            let message = format!(
                "refused: its Parquet footer has {size} bytes, more than {limit} \
            (limits.parquet_footer)"
            );
            JobError::new(ErrorKind::ParquetFooterTooLarge, message).of(location)
        }
        ReadError::RowGroupTooLarge {
            row_group,
            size,
            limit,
        } => {
            let message = format!(
                "refused: row group {row_group} has {size} bytes decoded, more than {limit} \
            (limits.parquet_row_group)"
            );
            JobError::new(ErrorKind::ParquetRowGroupTooLarge, message).of(location)
        }
        ReadError::RowRefused { row, error } => {
            let message = format!("refused: {error}");
            JobError::new(ErrorKind::RecordRefused, message)
                .of(location)
                .at(row)
        }
        ReadError::Schema(_)
        | ReadError::NameCollision { .. }
        | ReadError::Name(_)
        | ReadError::Route(_)
        | ReadError::NotARoute { .. }
        | ReadError::NotATime { .. } => {
            JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {error}"))
        }
        error => JobError::unreadable(location, error.to_string()),
    }
}

/// The error for an Avro object that is refused.
pub(crate) fn refused_avro(location: &Location, error: AvroError) -> JobError {
    let text = error.to_string();
    match error {
        AvroError::Rows(error) => refused(location, error),
        AvroError::TooLarge {
            what,
            offset,
            size,
            limit,
        } => {
            let message = format!(
                "refused: the {what} has {size} bytes, more than {limit} (limits.record_size)"
            );
            JobError::new(ErrorKind::RecordTooLong, message)
                .of(location.clone())
                .at(offset)
        }
        AvroError::Nulls { offset, .. } => {
            let message = format!("refused: {text} (limits.record_size)");
            JobError::new(ErrorKind::RecordTooLong, message)
                .of(location.clone())
                .at(offset)
        }
        AvroError::Ratio { offset, limit } => {
            undecompressed(location, &DecompressError::Ratio { offset, limit })
        }
        AvroError::Schema { .. } => {
            JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {text}"))
        }
        _ => JobError::unreadable(location.clone(), text),
    }
}

/// The error for an ORC object that is refused.
pub(crate) fn refused_orc(location: &Location, error: OrcError) -> JobError {
    let text = error.to_string();
    let too_large = |kind, limit: &str| {
        JobError::new(kind, format!("refused: {text} ({limit})")).of(location.clone())
    };
    match error {
        OrcError::Rows(error) => refused(location, error),
        OrcError::FooterTooLarge { .. } => {
            too_large(ErrorKind::OrcFooterTooLarge, "limits.parquet_footer")
        }
        OrcError::StripeTooLarge { .. } => {
            too_large(ErrorKind::OrcStripeTooLarge, "limits.parquet_row_group")
        }
        OrcError::Memory { .. } => too_large(
            ErrorKind::OrcStripeTooLarge,
            "an eighth of the function's memory, and at least 16 MiB: give it more",
        ),
        OrcError::RowTooLong { .. } => too_large(ErrorKind::RecordTooLong, "limits.record_size"),
        OrcError::Column { .. } | OrcError::Places { .. } => {
            JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {text}"))
        }
        OrcError::NotOrc(_) | OrcError::Unread(_) | OrcError::Corrupt(_) => {
            JobError::unreadable(location.clone(), text)
        }
    }
}

/// The error for records whose columns cannot be inferred.
pub(crate) fn without_columns(location: &Location, error: &ColumnsError) -> JobError {
    match error {
        ColumnsError::Frame(error) => misread(location, error),
        ColumnsError::Infer(error) => {
            JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {error}"))
        }
    }
}

/// The error for an object that cannot be decompressed.
pub(crate) fn undecompressed(location: &Location, error: &DecompressError) -> JobError {
    match *error {
        DecompressError::Ratio { offset, limit } => {
            let message = format!(
                "refused: the first {offset} bytes decompress to more than {limit} bytes each \
            (limits.compression_ratio)"
            );
            JobError::new(ErrorKind::CompressionRatioExceeded, message).of(location.clone())
        }
        _ => JobError::unreadable(location.clone(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orc_file_that_is_too_large_is_refused_by_its_limit() {
        for (error, kind, message) in [
            (
                OrcError::FooterTooLarge { size: 9, limit: 8 },
                ErrorKind::OrcFooterTooLarge,
                "refused: the ORC footer has 9 bytes, more than the limit of 8 (limits.parquet_footer)",
            ),
            (
                OrcError::StripeTooLarge {
                    stripe: 3,
                    size: 9,
                    limit: 8,
                },
                ErrorKind::OrcStripeTooLarge,
                "refused: stripe 3 has 9 bytes of values, more than the limit of 8 (limits.parquet_row_group)",
            ),
            (
                OrcError::Memory { stripe: 3, room: 8 },
                ErrorKind::OrcStripeTooLarge,
                "refused: stripe 3 has more than 8 bytes decompressed, which is the memory that there is for it (an eighth of the function's memory, and at least 16 MiB: give it more)",
            ),
            (
                OrcError::RowTooLong {
                    stripe: 3,
                    size: 9,
                    limit: 8,
                },
                ErrorKind::RecordTooLong,
                "refused: a row of stripe 3 may have 9 bytes, more than the limit of 8 (limits.record_size)",
            ),
        ] {
            let refusal = refused_orc(&Location::new("landing", "in/a.orc"), error);
            assert_eq!(refusal.kind(), kind);
            let text = refusal.to_string();
            assert!(text.contains(message), "{text}");
            assert!(text.contains("landing/in/a.orc"), "{text}");
        }
    }
}
