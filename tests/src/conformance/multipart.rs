//! Multipart uploads. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use bytes::Bytes;
use futures::future::join_all;
use lakewright_core::location::Location;
use lakewright_ports::{
    CompletedPart, GetOptions, Precondition, StoreError, StoreErrorKind, UploadId, Written,
};

use super::{Ground, Verdict, conditional::winners, ensure, refused, same};

const SMALLEST_PART: usize = 5 << 20;
const MISSING: &[StoreErrorKind] = &[StoreErrorKind::NotFound];
const MISMATCH: &[StoreErrorKind] = &[StoreErrorKind::PreconditionFailed];
const INVALID: &[StoreErrorKind] = &[StoreErrorKind::Other];

/// An upload of one small part to one key.
struct Small {
    at: Location,
    id: UploadId,
    parts: Vec<CompletedPart>,
}

impl Small {
    async fn begin(ground: &Ground<'_>, name: &str, body: &str) -> Result<Self, StoreError> {
        let at = ground.at(name);
        let id = ground.store.create_multipart(&at, None, None).await?;
        let body = Bytes::copy_from_slice(body.as_bytes());
        let part = ground.store.upload_part(&at, &id, 1, body).await?;
        Ok(Self {
            at,
            id,
            parts: vec![part],
        })
    }

    async fn complete(
        &self,
        ground: &Ground<'_>,
        condition: Precondition,
    ) -> Result<Written, StoreError> {
        ground
            .store
            .complete_multipart(&self.at, &self.id, &self.parts, condition)
            .await
    }

    async fn abort(&self, ground: &Ground<'_>) -> Result<(), StoreError> {
        ground.store.abort_multipart(&self.at, &self.id).await
    }
}

fn large(byte: u8) -> Bytes {
    Bytes::from(vec![byte; SMALLEST_PART])
}

pub(super) async fn upload_in_parts(ground: &Ground<'_>) -> Verdict {
    let at = ground.at("a");
    let upload = ground.store.create_multipart(&at, None, None).await?;
    let bodies = [large(b'a'), large(b'b'), Bytes::from_static(b"end")];
    let mut parts = Vec::new();
    // Part numbers need not be consecutive, and parts may be sent in any order.
    for (number, body) in [3, 7, 10_000].into_iter().zip(&bodies).rev() {
        let part = ground
            .store
            .upload_part(&at, &upload, number, body.clone())
            .await?;
        parts.insert(0, part);
    }
    let written = ground
        .store
        .complete_multipart(&at, &upload, &parts, Precondition::None)
        .await?;
    ensure(written.etag.ends_with("-3\""), || {
        format!("the ETag {} does not end with -3", written.etag)
    })?;
    let head = ground.head("a").await?;
    same("the ETag", &head.etag, &written.etag)?;
    same("the size", &head.size, &(2 * SMALLEST_PART as u64 + 3))?;
    let seam = 2 * SMALLEST_PART as u64;
    let body = ground.range("a", seam - 2..seam + 10).await?;
    same("the last seam", body.bytes.as_ref(), b"bbend")?;
    let whole = ground.store.get(&at, GetOptions::default()).await?;
    ensure(whole.bytes == bodies.concat(), || {
        "the content is not the parts in order".to_owned()
    })
}

pub(super) async fn invisible_until_complete(ground: &Ground<'_>) -> Verdict {
    let upload = Small::begin(ground, "a", "x").await?;
    refused(
        "HEAD before it is complete",
        ground.head("a").await,
        MISSING,
    )?;
    same("the listing", &ground.names("").await?, &Vec::new())?;
    upload.complete(ground, Precondition::None).await?;
    ground.holds("a", b"x").await?;
    same(
        "the listing",
        &ground.names("").await?,
        &vec!["a".to_owned()],
    )
}

pub(super) async fn part_sent_again(ground: &Ground<'_>) -> Verdict {
    let mut upload = Small::begin(ground, "a", "first").await?;
    let body = Bytes::from_static(b"second");
    let part = ground
        .store
        .upload_part(&upload.at, &upload.id, 1, body)
        .await?;
    upload.parts = vec![part];
    upload.complete(ground, Precondition::None).await?;
    ground.holds("a", b"second").await
}

pub(super) async fn parts_out_of_order(ground: &Ground<'_>) -> Verdict {
    let mut upload = Small::begin(ground, "a", "x").await?;
    let body = Bytes::from_static(b"y");
    let second = ground
        .store
        .upload_part(&upload.at, &upload.id, 2, body)
        .await?;
    upload.parts.insert(0, second);
    let answer = upload.complete(ground, Precondition::None).await;
    refused("descending part numbers", answer, INVALID)?;
    Ok(upload.abort(ground).await?)
}

pub(super) async fn part_too_small(ground: &Ground<'_>) -> Verdict {
    let mut upload = Small::begin(ground, "a", "small").await?;
    let body = Bytes::from_static(b"last");
    let last = ground
        .store
        .upload_part(&upload.at, &upload.id, 2, body)
        .await?;
    upload.parts.push(last);
    let answer = upload.complete(ground, Precondition::None).await;
    refused("a small part before the last", answer, INVALID)?;
    Ok(upload.abort(ground).await?)
}

pub(super) async fn part_unknown(ground: &Ground<'_>) -> Verdict {
    let mut upload = Small::begin(ground, "a", "x").await?;
    if let Some(part) = upload.parts.first_mut() {
        part.number = 2;
    }
    let answer = upload.complete(ground, Precondition::None).await;
    refused("a part that was not sent", answer, INVALID)?;
    Ok(upload.abort(ground).await?)
}

pub(super) async fn complete_create_only(ground: &Ground<'_>) -> Verdict {
    let first = Small::begin(ground, "a", "first").await?;
    let second = Small::begin(ground, "a", "second").await?;
    first.complete(ground, Precondition::Absent).await?;
    let answer = second.complete(ground, Precondition::Absent).await;
    refused("completing onto an object", answer, MISMATCH)?;
    ground.holds("a", b"first").await?;
    Ok(second.abort(ground).await?)
}

pub(super) async fn complete_if_match(ground: &Ground<'_>) -> Verdict {
    let stale = ground.put("a", "one").await?.etag;
    let current = ground.put("a", "two").await?.etag;
    let upload = Small::begin(ground, "a", "three").await?;
    let answer = upload.complete(ground, Precondition::Matches(stale)).await;
    refused("a stale ETag", answer, MISMATCH)?;
    ground.holds("a", b"two").await?;
    let upload = Small::begin(ground, "a", "three").await?;
    upload
        .complete(ground, Precondition::Matches(current.clone()))
        .await?;
    ground.holds("a", b"three").await?;
    let upload = Small::begin(ground, "b", "x").await?;
    let answer = upload
        .complete(ground, Precondition::Matches(current))
        .await;
    refused("a missing object", answer, MISSING)
}

/// A writer that gets a 409 starts its upload again, as S3 requires.
pub(super) async fn complete_race(ground: &Ground<'_>) -> Verdict {
    for round in 0..4 {
        let name = format!("k{round}");
        let answers = join_all((0..8).map(|writer| {
            let name = name.clone();
            async move {
                loop {
                    let upload = Small::begin(ground, &name, &format!("writer {writer}")).await?;
                    match upload.complete(ground, Precondition::Absent).await {
                        Err(error) if error.kind == StoreErrorKind::Conflict => {}
                        answer => {
                            if answer.is_err() {
                                upload.abort(ground).await?;
                            }
                            return answer;
                        }
                    }
                }
            }
        }))
        .await;
        same("the number of winners", &winners(answers)?, &1)?;
    }
    Ok(())
}

pub(super) async fn aborted_upload(ground: &Ground<'_>) -> Verdict {
    let upload = Small::begin(ground, "a", "x").await?;
    upload.abort(ground).await?;
    let answer = upload.complete(ground, Precondition::None).await;
    refused("completing it", answer, MISSING)?;
    let body = Bytes::from_static(b"y");
    let answer = ground
        .store
        .upload_part(&upload.at, &upload.id, 2, body)
        .await;
    refused("another part", answer, MISSING)?;
    refused("the object", ground.head("a").await, MISSING)
}

pub(super) async fn abort_twice(ground: &Ground<'_>) -> Verdict {
    let upload = Small::begin(ground, "a", "x").await?;
    upload.abort(ground).await?;
    Ok(upload.abort(ground).await?)
}
