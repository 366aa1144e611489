//! The jobs, and what their runs read.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    json::LineDelimitedWriter,
};
use bytes::Bytes;
use lakewright_core::{
    config::{Config, Repartition, Size},
    location::Location,
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

/// Rows by their directory below the output's, and how often each occurs there.
pub(super) type Rows = BTreeMap<(String, String), u32>;

/// A job whose runs are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Partitioned by a column, in two formats, over the data of an earlier run.
    ByColumn,
    /// Into three files, by several tasks with a counting step; the source grows between runs.
    Files,
    /// To the source's own prefix.
    InPlace,
    /// Objects that no earlier run has read, into a table of the catalog.
    Bookmark,
    /// Partitioned by a column, with the rows of several tasks grouped.
    Together,
    /// Parquet files into one, without decoding rows.
    United,
}

impl Scene {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ByColumn,
        Self::Files,
        Self::InPlace,
        Self::Bookmark,
        Self::United,
        Self::Together,
    ];

    /// The job.
    #[expect(clippy::expect_used, reason = "the text is fixed")]
    pub(super) fn job(self) -> Repartition {
        let json = r#"{ format = "json", compression = "none" }"#;
        let csv = r#"{ format = "csv", compression = "none" }"#;
        let settings = match self {
            Self::ByColumn => format!("partition_by = [\"k\"]\noutput = [{json}, {csv}]"),
            Self::Together => {
                format!("partition_by = [\"k\"]\nmerge = true\noutput = [{json}]")
            }
            Self::United => {
                let parquet = |codec: &str| {
                    format!(
                        "{{ format = \"parquet\", compression = \"{codec}\", prefix = \"{codec}/\" }}"
                    )
                };
                format!(
                    "files = 1\noutput = [{}, {}]",
                    parquet("none"),
                    parquet("snappy")
                )
            }
            Self::Files => format!("files = 3\noutput = [{json}]"),
            Self::InPlace => format!("files = 2\noutput = [{csv}]"),
            Self::Bookmark => format!(
                "partition_by = [\"k\"]\nmode = \"append\"\nbookmark = true\noutput = [{json}]\ntable = \"d.out\"\nmanage_table = true"
            ),
        };
        let source = if self == Self::InPlace { "out" } else { "src" };
        let format = self.format();
        let text = format!(
            "[[repartition]]\nname = \"sim\"\nsource = \"s3://lake/{source}/\"\nformat = \"{format}\"\ntarget = \"s3://lake/out/\"\nencryption = {{ algorithm = \"aws:kms\" }}\n{settings}"
        );
        let config = Config::parse(&text).expect("a valid configuration");
        let mut job = config.repartition.into_iter().next().expect("one job");
        if matches!(self, Self::Files | Self::Together) {
            job.task_size = Size(30);
        }
        job
    }

    fn format(self) -> &'static str {
        if self == Self::United {
            "parquet"
        } else {
            "csv"
        }
    }

    /// Whether the objects of a run stay in the source, and the next run adds to them.
    fn gathers(self) -> bool {
        matches!(self, Self::Bookmark | Self::Files)
    }

    /// The source's new objects when run `run` is planned.
    pub(super) fn sources(self, run: u64) -> Vec<(Location, Bytes)> {
        let texts = self.texts(run).into_iter();
        let object = |(at, text): (Location, String)| match self {
            Self::United => (at, parquet_file(&text)),
            _ => (at, Bytes::from(text)),
        };
        texts.map(object).collect()
    }

    /// The rows of the objects, as CSV.
    fn texts(self, run: u64) -> Vec<(Location, String)> {
        let prefix = if self == Self::InPlace { "out" } else { "src" };
        if self == Self::InPlace && run > 0 {
            // A run reads what the previous one wrote.
            return Vec::new();
        }
        (0..2)
            .map(|object| {
                let number = if self.gathers() {
                    run * 2 + object
                } else {
                    object
                };
                let at = Location::new("lake", format!("{prefix}/{number}.{}", self.format()));
                let mut text = "k,v\n".to_owned();
                for row in 0..3 {
                    let k = if row == 1 { "b" } else { "a" };
                    // Writing to a string cannot fail.
                    let _ = writeln!(text, "{k},r{run}-{object}-{row}");
                }
                (at, text)
            })
            .collect()
    }

    /// The expected rows of one output once run `run` is finished.
    pub(super) fn rows(self, run: u64, csv: bool) -> Rows {
        let runs = match self {
            _ if self.gathers() => 0..=run,
            Self::InPlace => 0..=0,
            _ => run..=run,
        };
        let mut rows = Rows::new();
        for run in runs {
            for (_, text) in self.texts(run) {
                for line in text.lines().skip(1) {
                    let (k, v) = line.split_once(',').unwrap_or_default();
                    let by_column = !matches!(self, Self::Files | Self::InPlace | Self::United);
                    let directory = if by_column {
                        format!("k={k}/")
                    } else {
                        String::new()
                    };
                    let line = match (by_column, csv) {
                        (true, true) => v.to_owned(),
                        (true, false) => format!("{{\"v\":\"{v}\"}}"),
                        (false, true) => line.to_owned(),
                        (false, false) => format!("{{\"k\":\"{k}\",\"v\":\"{v}\"}}"),
                    };
                    *rows.entry((directory, line)).or_default() += 1;
                }
            }
        }
        rows
    }
}

/// A Parquet file of the rows of a text.
#[expect(clippy::expect_used, reason = "the text is ours")]
fn parquet_file(text: &str) -> Bytes {
    let pairs = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap_or_default());
    let (keys, values): (Vec<_>, Vec<_>) = pairs.unzip();
    let column = |texts: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let batch = RecordBatch::try_from_iter([("k", column(keys)), ("v", column(values))]);
    let batch = batch.expect("columns of one length");
    let writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None);
    let mut writer = writer.expect("strings can be written");
    writer.write(&batch).expect("into memory");
    writer.into_inner().expect("into memory").into()
}

/// The rows of a Parquet file, as lines of JSON, or why it cannot be read.
pub(super) fn parquet_lines(bytes: &Bytes) -> Result<String, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone());
    let reader = reader.and_then(ParquetRecordBatchReaderBuilder::build);
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in reader.map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        writer.write(&batch).map_err(|error| error.to_string())?;
    }
    writer.finish().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned())
}
