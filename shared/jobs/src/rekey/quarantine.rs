//! Writes the quarantined records into one object.

use std::io;

use lakewright_core::quarantine::Quarantined;

use crate::{
    kit::{JobError, Stage},
    work::upload::{Finished, PART, Upload},
};

/// Quarantined records as the lines of an object. If there are many, parts are uploaded before the plan is made; the
/// object exists once it is finished.
pub(super) struct Quarantine {
    lines: Vec<u8>,
    upload: Upload,
}

impl Quarantine {
    pub(super) fn new(upload: Upload) -> Self {
        Self {
            lines: Vec::new(),
            upload,
        }
    }

    pub(super) fn push(&mut self, record: &Quarantined<'_>) -> io::Result<()> {
        record.write_line(&mut self.lines)
    }

    /// Uploads the lines if there are enough for a part.
    pub(super) async fn flush(&mut self) -> Result<(), JobError> {
        if self.lines.len() < PART {
            return Ok(());
        }
        let part = std::mem::take(&mut self.lines);
        let put = self.upload.part(part).await;
        put.map_err(|error| JobError::store(Stage::Write, error))
    }

    /// Creates the object, unless it exists. Returns whether it is new.
    pub(super) async fn finish(self) -> Result<bool, JobError> {
        let put = self.upload.finish(self.lines).await;
        let put = put.map_err(|error| JobError::store(Stage::Write, error))?;
        Ok(put != Finished::Existed)
    }

    /// Aborts the upload.
    pub(super) async fn discard(&mut self) {
        self.upload.abandon().await;
    }
}

#[cfg(test)]
mod tests {
    use lakewright_core::quarantine::Reason;
    use lakewright_model::virtual_time;

    use super::*;
    use crate::{
        fixture::Lake,
        rekey::fixture::{
            HALF, ONE,
            Was::{Died, Landed},
            check,
        },
    };

    #[test]
    fn records_without_a_time_are_in_one_object_of_their_batch() {
        let written: &[&str] = &[
            "+claim/a/0",
            "+commit/a",
            "+partition 01",
            "+plan/a",
            "+quarantine/a.jsonl",
            "+t/day=01/a-00000.parquet",
        ];
        check(&[
            (&[Landed("a", HALF)], &["a"], 1, "Committed 1", written),
            (
                &[Landed("a", br#"{"id":"4"} {"id":"5"}"#)],
                &["a"],
                1,
                "Committed 0",
                &["+claim/a/0", "+commit/a", "+plan/a", "+quarantine/a.jsonl"],
            ),
            (
                &[Landed("a", HALF), Landed("b", ONE), Landed("c", HALF)],
                &["a", "b", "c"],
                1,
                "Committed 1, Committed 1, Committed 1",
                &[
                    "+claim/a/0",
                    "+claim/b/0",
                    "+claim/c/0",
                    "+commit/a+b+c",
                    "+partition 01",
                    "+plan/a+b+c",
                    "+quarantine/a+b+c.jsonl",
                    "+t/day=01/a+b+c-00000.parquet",
                ],
            ),
            (
                &[Landed("a", HALF), Died(&["a"], "/quarantine/")],
                &["a"],
                1,
                "Committed 1",
                &["+commit/a"],
            ),
        ]);
    }

    #[test]
    fn the_object_is_created_once_and_only_at_the_end() {
        virtual_time(async {
            let lake = Lake::new();
            let new = || {
                let upload = Upload::new(lake.ports().store, Lake::at("q"), "application/jsonl");
                Quarantine::new(upload)
            };
            let many = "x".repeat(PART);
            // What an attempt writes, whether it ends, whether the object is new, and its lines afterwards.
            for (record, ends, is_new, lines) in [
                (&*many, false, false, None),
                ("one", true, true, Some(1)),
                ("another", true, false, Some(1)),
            ] {
                let mut quarantine = new();
                let record = Quarantined {
                    source: "s3://lake/in/a",
                    etag: "",
                    offset: 0,
                    reason: Reason::NoTimestamp,
                    detail: "",
                    record: record.as_bytes(),
                };
                quarantine.push(&record).unwrap();
                quarantine.flush().await.unwrap();
                if ends {
                    assert_eq!(quarantine.finish().await.unwrap(), is_new);
                } else {
                    quarantine.discard().await;
                }
                let content = lake.content("q");
                let found = content.map(|bytes| bytes.split(|byte| *byte == b'\n').count() - 1);
                assert_eq!(found, lines);
            }
            let left = lake
                .cloud
                .with(|state| state.s3.uploads_under_way().count());
            assert_eq!(left, 0);
        });
    }
}
