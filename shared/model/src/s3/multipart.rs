use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use lakewright_core::location::Location;
use lakewright_ports::{CompletedPart, Precondition, StoreErrorKind, UploadId, Written};

use super::{ModelS3, Refusal};

const NO_SUCH_UPLOAD: Refusal = Refusal(StoreErrorKind::NotFound, "NoSuchUpload");

/// A multipart upload. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) object: Location,
    /// The object's `Last-Modified` is when the upload began.
    begun: Timestamp,
    pub(super) completed: bool,
    parts: BTreeMap<u16, (String, Bytes)>,
}

impl ModelS3 {
    pub(crate) fn create_multipart(&mut self, now: Timestamp, object: &Location) -> UploadId {
        self.serial += 1;
        let id = UploadId(format!("upload-{}", self.serial));
        let upload = Upload {
            object: object.clone(),
            begun: now,
            completed: false,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        id
    }

    pub(crate) fn upload_part(
        &mut self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        bytes: Bytes,
    ) -> Result<CompletedPart, Refusal> {
        if !(1..=10_000).contains(&number) {
            return Err(Refusal(
                StoreErrorKind::Other,
                "InvalidArgument: part number",
            ));
        }
        let etag = self.etag(&bytes, None);
        let upload = self.upload(object, upload)?;
        if upload.completed {
            return Err(NO_SUCH_UPLOAD);
        }
        upload.parts.insert(number, (etag.clone(), bytes));
        Ok(CompletedPart {
            number,
            etag,
            crc32: None,
        })
    }

    pub(crate) fn complete_multipart(
        &mut self,
        object: &Location,
        id: &UploadId,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<Written, Refusal> {
        let smallest = self.settings.smallest_part;
        let completed_again = self.settings.completed_again;
        let upload = self.upload(object, id)?;
        let begun = upload.begun;
        if upload.completed {
            return Err(Refusal(completed_again, "completed already"));
        }
        if parts.is_empty() {
            return Err(Refusal(StoreErrorKind::Other, "MalformedXML"));
        }
        if !parts.is_sorted_by(|one, next| one.number < next.number) {
            return Err(Refusal(StoreErrorKind::Other, "InvalidPartOrder"));
        }
        let mut content = BytesMut::new();
        for (index, part) in parts.iter().enumerate() {
            match upload.parts.get(&part.number) {
                Some((etag, bytes)) if *etag == part.etag => {
                    if bytes.len() < smallest && index + 1 < parts.len() {
                        return Err(Refusal(StoreErrorKind::Other, "EntityTooSmall"));
                    }
                    content.extend_from_slice(bytes);
                }
                _ => return Err(Refusal(StoreErrorKind::Other, "InvalidPart")),
            }
        }
        self.check(object, precondition)?;
        let etag = self.etag(&content, Some(parts.len()));
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.completed = true;
            upload.parts.clear();
        }
        Ok(self.write(begun, object, content.freeze(), etag))
    }

    pub(crate) fn abort_multipart(&mut self, upload: &UploadId) {
        if self
            .uploads
            .get(upload)
            .is_some_and(|upload| !upload.completed)
        {
            self.uploads.remove(upload);
        }
    }

    fn upload(&mut self, object: &Location, id: &UploadId) -> Result<&mut Upload, Refusal> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.object == *object)
            .ok_or(NO_SUCH_UPLOAD)
    }
}
