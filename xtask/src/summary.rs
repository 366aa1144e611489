//! A command's result: one value, printed as text or as JSON.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The audience of a command's output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A person at a terminal.
    People,
    /// A program that reads standard output.
    Programs,
}

impl Audience {
    /// Prints a summary on standard output; for programs, as one line of JSON.
    pub(crate) fn show<T: Display + Serialize>(self, summary: &T) -> Result<()> {
        match self {
            Self::People => println!("{summary}"),
            Self::Programs => println!("{}", serde_json::to_string(summary)?),
        }
        Ok(())
    }
}

/// The result of the files that landed for one job.
#[derive(Deserialize, Serialize)]
pub(crate) struct Outcome {
    /// The job.
    job: String,
    kind: String,
    target: String,
    table: Option<String>,
    objects: u64,
    committed: u64,
    bytes_in: u64,
    rows_in: u64,
    rows_out: u64,
    rows_quarantined: u64,
    files_out: u64,
    bytes_out: u64,
    partitions: u64,
    first_partitions: Vec<String>,
    quarantined_by_reason: std::collections::BTreeMap<String, u64>,
    examples: Vec<Example>,
    /// The files that produced no output.
    pub(crate) refused: Vec<Refused>,
    preview: Option<Preview>,
}

/// A record that was quarantined.
#[derive(Deserialize, Serialize)]
struct Example {
    reason: String,
    detail: String,
    source: String,
    offset: u64,
    record: String,
}

/// A file that produced no output.
#[derive(Deserialize, Serialize)]
pub(crate) struct Refused {
    path: String,
    why: String,
}

/// The first rows of a file that was written.
#[derive(Deserialize, Serialize)]
struct Preview {
    key: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Outcome {
    /// Whether a report can be written: something is committed in the ledger of a rekey job.
    pub(crate) fn can_be_reported(&self) -> bool {
        self.kind == "rekey" && self.committed > 0
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} `{}`: {} of {} files committed, {} records in, {} out, {} quarantined",
            self.kind,
            self.job,
            grouped(self.committed),
            grouped(self.objects),
            grouped(self.rows_in),
            grouped(self.rows_out),
            grouped(self.rows_quarantined),
        )?;
        write!(
            f,
            "  {} became {} in {} files and {} partitions under {}",
            size(self.bytes_in),
            size(self.bytes_out),
            grouped(self.files_out),
            grouped(self.partitions),
            self.target,
        )?;
        for partition in &self.first_partitions {
            write!(f, "\n    {partition}/")?;
        }
        if let Some(more) = self
            .partitions
            .checked_sub(self.first_partitions.len() as u64)
            && more > 0
        {
            write!(f, "\n    and {} more", grouped(more))?;
        }
        if let Some(preview) = &self.preview {
            write!(f, "\n  The first rows of {}:", preview.key)?;
            for line in std::iter::once(&preview.columns).chain(&preview.rows) {
                write!(f, "\n    {}", line.join(" | "))?;
            }
        }
        for (reason, count) in &self.quarantined_by_reason {
            write!(f, "\n  Quarantined as {reason}: {}", grouped(*count))?;
            for example in self.examples.iter().filter(|one| &one.reason == reason) {
                write!(
                    f,
                    "\n    {} at {}: {}\n      {}",
                    example.source,
                    example.offset,
                    example.detail,
                    example.record.trim_end()
                )?;
            }
        }
        for refused in &self.refused {
            write!(
                f,
                "\n  Nothing written of {}: {}",
                refused.path, refused.why
            )?;
        }
        Ok(())
    }
}

/// 336,776.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A human-readable size.
pub(crate) fn size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        let tenths = ((bytes >> (shift - 10)) * 10) >> 10;
        if tenths >= 10 {
            return format!("{}.{} {unit}", grouped(tenths / 10), tenths % 10);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (336_776, "336,776"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (12 << 20, "12.0 MiB"),
            (3 << 29, "1.5 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
