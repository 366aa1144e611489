//! The ports in front of the models.

mod callback;
mod catalog;
mod queries;
mod secrets;

pub use self::secrets::NoSecrets;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::{config::Encryption, location::Location};
use lakewright_ports::{
    Attributes, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, MAX_SEND_BATCH,
    MAX_SEND_BYTES, ObjectBody, ObjectMeta, Precondition, PutOptions, Queue, QueueError,
    SendFailure, ServiceErrorKind, Store, StoreError, StoreErrorKind, UploadId, Written,
};

use super::{
    client::{About, Client, Failure, Request},
    cloud::State,
    fault::Fault,
    s3,
};

impl Failure for StoreError {
    fn of(fault: Fault, operation: &'static str, about: &About) -> Self {
        let kind = match fault {
            Fault::SlowDown => StoreErrorKind::SlowDown,
            Fault::Conflict => StoreErrorKind::Conflict,
            Fault::InternalBefore | Fault::InternalAfter => StoreErrorKind::Internal,
            _ => StoreErrorKind::Network,
        };
        let location = match about {
            About::Object(location) => location.clone(),
            _ => Location::new("", ""),
        };
        Self {
            kind,
            operation,
            location,
            message: fault.to_string(),
        }
    }

    fn describe(&self) -> String {
        format!("{:?}", self.kind)
    }
}

impl Failure for QueueError {
    fn of(fault: Fault, operation: &'static str, about: &About) -> Self {
        let queue_url = match about {
            About::Queue(url) => url.clone(),
            _ => String::new(),
        };
        Self {
            operation,
            queue_url,
            kind: ServiceErrorKind::Retryable,
            message: fault.to_string(),
        }
    }

    fn describe(&self) -> String {
        self.message.clone()
    }
}

/// A call to S3 before it is sent.
struct Call {
    request: Request,
    location: Location,
}

impl Call {
    fn new(operation: &'static str, location: &Location) -> Self {
        Self {
            request: Request {
                operation,
                about: About::Object(location.clone()),
                conditional: None,
                voids: None,
                has_body: false,
            },
            location: location.clone(),
        }
    }

    fn with_body(mut self) -> Self {
        self.request.has_body = true;
        self
    }

    fn on_condition(mut self, precondition: &Precondition) -> Self {
        if *precondition != Precondition::None {
            self.request.conditional = Some(self.location.clone());
        }
        self
    }

    async fn send<T: Send + 'static>(
        self,
        client: &Client,
        effect: impl FnOnce(&mut State, Timestamp) -> Result<T, s3::Refusal> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (operation, location) = (self.request.operation, self.location);
        client
            .exchange(self.request, move |state, now| {
                effect(state, now).map_err(|s3::Refusal(kind, message)| StoreError {
                    kind,
                    operation,
                    location,
                    message: message.to_owned(),
                })
            })
            .await
    }
}

#[async_trait]
impl Store for Client {
    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        let (at, version) = (object.clone(), version.map(str::to_owned));
        Call::new("HeadObject", object)
            .send(self, move |state, now| {
                state.s3.head(now, &at, version.as_deref())
            })
            .await
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let at = object.clone();
        Call::new("GetObject", object)
            .with_body()
            .send(self, move |state, now| state.s3.get(now, &at, &options))
            .await
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        let at = object.clone();
        Call::new("PutObject", object)
            .on_condition(&options.precondition)
            .send(self, move |state, now| {
                let attributes = options.attributes.as_deref();
                state
                    .s3
                    .admit(attributes.and_then(|attributes| attributes.encryption.as_ref()))?;
                state.s3.put(now, &at, body, &options.precondition)
            })
            .await
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        let (at, after) = (prefix.clone(), after.map(str::to_owned));
        Call::new("ListObjectsV2", prefix)
            .with_body()
            .send(self, move |state, now| {
                Ok(state.s3.list(now, &at, after.as_deref()))
            })
            .await
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        let (from, to) = (source.clone(), target.clone());
        let if_source_matches = if_source_matches.map(str::to_owned);
        let encryption = encryption.cloned();
        Call::new("CopyObject", target)
            .on_condition(&precondition)
            .send(self, move |state, now| {
                state.s3.admit(encryption.as_ref())?;
                let etag = if_source_matches.as_deref();
                state.s3.copy(now, &from, etag, &to, &precondition)
            })
            .await
    }

    async fn delete(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        let (at, objects) = (bucket.to_owned(), objects.to_vec());
        Call::new("DeleteObjects", &Location::new(bucket, ""))
            .send(self, move |state, _| {
                let (mut deleted, mut failures) = (Vec::new(), Vec::new());
                for object in objects {
                    let key = object.key;
                    let existing = state.s3.object(&Location::new(&at, &key));
                    if let (Some(existing), Some(etag)) = (existing, object.etag)
                        && existing.etag.trim_matches('"') != etag.trim_matches('"')
                    {
                        failures.push(DeleteFailure {
                            key,
                            code: "PreconditionFailed".to_owned(),
                            message:
                                "At least one of the pre-conditions you specified did not hold"
                                    .to_owned(),
                        });
                    } else if state.rng.f64() < state.rates.delete_key {
                        state.injected.add(Fault::DeleteKey);
                        failures.push(DeleteFailure {
                            key,
                            code: "InternalError".to_owned(),
                            message: "We encountered an internal error. Please try again."
                                .to_owned(),
                        });
                    } else {
                        deleted.push(key);
                    }
                }
                if failures.is_empty() || !deleted.is_empty() {
                    state.s3.delete(&at, &deleted)?;
                }
                Ok(failures)
            })
            .await
    }

    async fn create_multipart(
        &self,
        object: &Location,
        _content_type: Option<&str>,
        attributes: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        let at = object.clone();
        let encryption = attributes.and_then(|attributes| attributes.encryption.clone());
        Call::new("CreateMultipartUpload", object)
            .send(self, move |state, now| {
                state.s3.admit(encryption.as_ref())?;
                Ok(state.s3.create_multipart(now, &at))
            })
            .await
    }

    async fn upload_part(
        &self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        body: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        let (at, upload) = (object.clone(), upload.clone());
        Call::new("UploadPart", object)
            .send(self, move |state, _| {
                state.s3.upload_part(&at, &upload, number, body)
            })
            .await
    }

    async fn complete_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        let (at, upload, parts) = (object.clone(), upload.clone(), parts.to_vec());
        let mut call = Call::new("CompleteMultipartUpload", object).on_condition(&precondition);
        call.request.voids = Some(upload.clone());
        call.send(self, move |state, _| {
            state
                .s3
                .complete_multipart(&at, &upload, &parts, &precondition)
        })
        .await
    }

    async fn abort_multipart(
        &self,
        object: &Location,
        upload: &UploadId,
    ) -> Result<(), StoreError> {
        let upload = upload.clone();
        Call::new("AbortMultipartUpload", object)
            .send(self, move |state, _| {
                state.s3.abort_multipart(&upload);
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl Queue for Client {
    async fn send(
        &self,
        queue_url: &str,
        bodies: &[String],
    ) -> Result<Vec<SendFailure>, QueueError> {
        let (url, bodies) = (queue_url.to_owned(), bodies.to_vec());
        let refuse = |message: &str| QueueError {
            operation: "SendMessageBatch",
            queue_url: url.clone(),
            kind: ServiceErrorKind::Other,
            message: message.to_owned(),
        };
        if bodies.is_empty() || bodies.len() > MAX_SEND_BATCH {
            return Err(refuse("TooManyEntriesInBatchRequest or EmptyBatchRequest"));
        }
        if bodies.iter().map(String::len).sum::<usize>() > MAX_SEND_BYTES {
            return Err(refuse("BatchRequestTooLong"));
        }
        let unknown = refuse("QueueDoesNotExist");
        let request = Request {
            operation: "SendMessageBatch",
            about: About::Queue(url.clone()),
            conditional: None,
            voids: None,
            has_body: false,
        };
        self.exchange(request, move |state, now| {
            let mut failures = Vec::new();
            for (index, body) in bodies.into_iter().enumerate() {
                if state.rng.f64() < state.rates.send_failure {
                    state.injected.add(Fault::SendFailure);
                    failures.push(SendFailure {
                        index,
                        code: "InternalError".to_owned(),
                        sender_fault: false,
                    });
                } else if !state.sqs.send(&url, body, now) {
                    return Err(unknown);
                }
            }
            Ok(failures)
        })
        .await
    }
}
