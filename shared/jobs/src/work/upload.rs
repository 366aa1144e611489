//! Uploads an object while it is being produced: small ones in one piece, large ones in parts.

use std::sync::Arc;

use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{
    CompletedPart, Precondition, PutOptions, Store, StoreError, StoreErrorKind, UploadId, Written,
};

use crate::kit::task::Task;

/// Larger objects are uploaded in parts of about this size. S3 allows 10,000 parts, so the largest object is 80 GB.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(crate) const PART: usize = 8 << 20;

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The object was created.
    Written {
        /// Its size in bytes.
        bytes: u64,
        /// Its entity tag.
        etag: String,
    },
    /// An object already existed under the key, and was not changed.
    Existed,
}

/// An upload in progress: one part is uploaded while the next is produced. Nothing is visible under its key before
/// [`Upload::finish`], which creates the object only if there is none.
pub(crate) struct Upload {
    store: Arc<dyn Store>,
    location: Location,
    content_type: &'static str,
    multipart: Option<Multipart>,
    bytes: u64,
}

struct Multipart {
    id: UploadId,
    parts: Vec<CompletedPart>,
    /// The upload of the last part, unless it is among `parts`.
    begun: Option<Task<Result<CompletedPart, StoreError>>>,
}

impl Upload {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        location: Location,
        content_type: &'static str,
    ) -> Self {
        Self {
            store,
            location,
            content_type,
            multipart: None,
            bytes: 0,
        }
    }

    /// The location of the object.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Begins to upload the next bytes, at least [`PART`], as a separate part, once the part before them is uploaded. That
    /// the upload of this part has failed is the result of the next call.
    pub(crate) async fn part(&mut self, body: Vec<u8>) -> Result<(), StoreError> {
        let begun = self.begin(body).await;
        if begun.is_err() {
            self.abandon().await;
        }
        begun
    }

    async fn begin(&mut self, body: Vec<u8>) -> Result<(), StoreError> {
        self.join().await?;
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => none.insert(Multipart {
                id: self
                    .store
                    .create_multipart(&self.location, Some(self.content_type), None)
                    .await?,
                parts: Vec::new(),
                begun: None,
            }),
        };
        let number = u16::try_from(multipart.parts.len() + 1)
            .map_err(|_| failed(&self.location, "more than 65,535 parts".to_owned()))?;
        self.bytes += body.len() as u64;
        let (store, location) = (Arc::clone(&self.store), self.location.clone());
        let id = multipart.id.clone();
        multipart.begun = Some(Task::spawn(async move {
            store
                .upload_part(&location, &id, number, Bytes::from(body))
                .await
        }));
        Ok(())
    }

    /// Waits until the part that was begun is uploaded.
    async fn join(&mut self) -> Result<(), StoreError> {
        if let Some(multipart) = &mut self.multipart
            && let Some(begun) = multipart.begun.take()
        {
            let part = begun.await;
            let part = part.map_err(|error| failed(&self.location, error.to_string()))?;
            multipart.parts.push(part?);
        }
        Ok(())
    }

    /// Uploads the last bytes and creates the object, unless there is one already.
    pub(crate) async fn finish(mut self, last: Vec<u8>) -> Result<Finished, StoreError> {
        if self.multipart.is_some() {
            if !last.is_empty() {
                self.part(last).await?;
            }
            return self.complete().await;
        }
        let options = PutOptions {
            content_type: Some(self.content_type.to_owned()),
            // R2, S3, P5: nothing is overwritten.
            ..PutOptions::create_only()
        };
        let bytes = last.len() as u64;
        let result = self
            .store
            .put(&self.location, Bytes::from(last), options)
            .await;
        finished(result, bytes)
    }

    async fn complete(&mut self) -> Result<Finished, StoreError> {
        let finished = self.completed().await;
        if !matches!(finished, Ok(Finished::Written { .. })) {
            self.abandon().await;
        }
        finished
    }

    async fn completed(&mut self) -> Result<Finished, StoreError> {
        self.join().await?;
        let Some(Multipart { id, parts, .. }) = &self.multipart else {
            return Ok(Finished::Existed);
        };
        let result = self
            .store
            .complete_multipart(&self.location, id, parts, Precondition::Absent)
            .await;
        finished(result, self.bytes)
    }

    /// Frees the parts, which would cost money until the bucket's lifecycle rule removes them.
    pub(crate) async fn abandon(&mut self) {
        // A part that is uploaded after the upload was aborted would stay.
        let _failed = self.join().await;
        if let Some(Multipart { id, .. }) = self.multipart.take()
            && let Err(error) = self.store.abort_multipart(&self.location, &id).await
        {
            tracing::warn!(%error, "parts of an upload are left to the lifecycle rule");
        }
    }
}

fn failed(location: &Location, message: String) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Other,
        operation: "UploadPart",
        location: location.clone(),
        message,
    }
}

fn finished(result: Result<Written, StoreError>, bytes: u64) -> Result<Finished, StoreError> {
    match result {
        Ok(Written { etag, .. }) => Ok(Finished::Written { bytes, etag }),
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => Ok(Finished::Existed),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use lakewright_model::{Client, Plan, SimClock, virtual_time};
    use lakewright_ports::{Clock, StoreLayer};

    use super::*;
    use crate::fixture::Lake;

    /// Needs ten seconds for each part, and then fails for one of them.
    struct Slow {
        client: Client,
        clock: SimClock,
        fails: Option<u16>,
    }

    #[async_trait]
    impl StoreLayer for Slow {
        fn inner(&self) -> &dyn Store {
            &self.client
        }

        async fn upload_part(
            &self,
            object: &Location,
            upload: &UploadId,
            number: u16,
            body: Bytes,
        ) -> Result<CompletedPart, StoreError> {
            self.clock.sleep(Duration::from_secs(10)).await;
            if self.fails == Some(number) {
                return Err(failed(object, format!("part {number} fails")));
            }
            self.client.upload_part(object, upload, number, body).await
        }
    }

    /// Uploads `ab` and `cd` as parts, and `e` as the last bytes. What each call answers, and after how many seconds.
    async fn upload(lake: &Lake, fails: Option<u16>) -> String {
        let clock = lake.cloud.clock;
        let begun = clock.now();
        let store = Arc::new(Slow {
            client: lake.client(Plan::default()),
            clock,
            fails,
        });
        let mut upload = Upload::new(store, Lake::at("a"), "text/plain");
        let mut answers = Vec::new();
        let mut note = |answer: Result<&str, StoreError>| {
            let seconds = clock.now().duration_since(begun).as_secs();
            let is_good = answer.is_ok();
            let answer = answer.map_or_else(|error| error.message, str::to_owned);
            answers.push(format!("{answer} after {seconds} s"));
            is_good
        };
        for part in ["ab", "cd"] {
            let begun = upload.part(part.into()).await;
            if !note(begun.map(|()| "begun")) {
                return answers.join(", ");
            }
        }
        let created = upload.finish("e".into()).await;
        note(created.map(|finished| match finished {
            Finished::Written { .. } => "created",
            Finished::Existed => "existed",
        }));
        answers.join(", ")
    }

    #[test]
    fn a_part_is_uploaded_while_the_next_is_produced() {
        // The part that fails, whether there is an object before, the answers, and the object afterwards.
        for (fails, existing, answers, object) in [
            (
                None,
                None,
                "begun after 0 s, begun after 10 s, created after 30 s",
                Some("abcde"),
            ),
            (
                None,
                Some("x"),
                "begun after 0 s, begun after 10 s, existed after 30 s",
                Some("x"),
            ),
            (
                Some(1),
                None,
                "begun after 0 s, part 1 fails after 10 s",
                None,
            ),
            (
                Some(2),
                None,
                "begun after 0 s, begun after 10 s, part 2 fails after 20 s",
                None,
            ),
            (
                Some(3),
                None,
                "begun after 0 s, begun after 10 s, part 3 fails after 30 s",
                None,
            ),
        ] {
            virtual_time(async {
                let lake = Lake::new();
                if let Some(existing) = existing {
                    lake.place("a", existing);
                }
                assert_eq!(upload(&lake, fails).await, answers);
                assert_eq!(lake.content("a"), object.map(Bytes::from));
                let left = lake
                    .cloud
                    .with(|state| state.s3.uploads_under_way().count());
                assert_eq!(left, 0, "{answers}");
            });
        }
    }
}
