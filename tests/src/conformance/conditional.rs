//! Conditional writes. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>

use futures::future::join_all;
use lakewright_ports::{Precondition, StoreError, StoreErrorKind, Written};

use super::{Failure, Ground, Verdict, refused, same};

const WRITERS: usize = 16;
const ROUNDS: usize = 8;
const MISMATCH: &[StoreErrorKind] = &[StoreErrorKind::PreconditionFailed];

pub(super) async fn create_only(ground: &Ground<'_>) -> Verdict {
    ground.put_if("a", "first", Precondition::Absent).await?;
    for body in ["second", "first"] {
        let answer = ground.put_if("a", body, Precondition::Absent).await;
        refused("creating it again", answer, MISMATCH)?;
    }
    ground.holds("a", b"first").await
}

pub(super) async fn create_only_ignores_uploads_under_way(ground: &Ground<'_>) -> Verdict {
    let at = ground.at("a");
    let upload = ground.store.create_multipart(&at, None, None).await?;
    ground.put_if("a", "first", Precondition::Absent).await?;
    ground.holds("a", b"first").await?;
    Ok(ground.store.abort_multipart(&at, &upload).await?)
}

pub(super) async fn create_only_race(ground: &Ground<'_>) -> Verdict {
    for round in 0..ROUNDS {
        race(ground, &format!("k{round}"), &Precondition::Absent).await?;
    }
    Ok(())
}

pub(super) async fn replace_if_match(ground: &Ground<'_>) -> Verdict {
    let first = ground.put("a", "one").await?.etag;
    let matches = Precondition::Matches;
    let second = ground
        .put_if("a", "two", matches(first.clone()))
        .await?
        .etag;
    let answer = ground.put_if("a", "three", matches(first)).await;
    refused("a stale ETag", answer, MISMATCH)?;
    ground.holds("a", b"two").await?;
    ground.put_if("a", "three", matches(second)).await?;
    ground.holds("a", b"three").await
}

pub(super) async fn replace_if_match_missing(ground: &Ground<'_>) -> Verdict {
    let etag = ground.put("a", "one").await?.etag;
    let answer = ground.put_if("b", "x", Precondition::Matches(etag)).await;
    refused("a missing object", answer, &[StoreErrorKind::NotFound])?;
    let answer = ground.head("b").await;
    refused("what was not written", answer, &[StoreErrorKind::NotFound])
}

pub(super) async fn replace_if_match_race(ground: &Ground<'_>) -> Verdict {
    for round in 0..ROUNDS {
        let name = format!("k{round}");
        let etag = ground.put(&name, "before").await?.etag;
        race(ground, &name, &Precondition::Matches(etag)).await?;
    }
    Ok(())
}

pub(super) async fn create_again_after_delete(ground: &Ground<'_>) -> Verdict {
    ground.put_if("a", "first", Precondition::Absent).await?;
    let key = ground.at("a").key;
    ground
        .store
        .delete(&ground.prefix.bucket, &[key.into()])
        .await?;
    ground.put_if("a", "second", Precondition::Absent).await?;
    ground.holds("a", b"second").await
}

/// Of many concurrent writers exactly one succeeds, the others are refused, and the object is the winner's. A writer
/// that gets a 409 tries again, as S3 requires.
async fn race(ground: &Ground<'_>, name: &str, condition: &Precondition) -> Verdict {
    let answers = join_all((0..WRITERS).map(|writer| async move {
        let body = format!("writer {writer}");
        loop {
            match ground.put_if(name, &body, condition.clone()).await {
                Err(error) if error.kind == StoreErrorKind::Conflict => {}
                answer => return (body, answer),
            }
        }
    }))
    .await;
    let (winners, losers): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, answer)| answer.is_ok());
    for (_, answer) in losers {
        refused::<Written>("a writer that lost", answer, MISMATCH)?;
    }
    let winners: Vec<String> = winners.into_iter().map(|(body, _)| body).collect();
    same("the number of winners", &winners.len(), &1)?;
    let winner = winners
        .first()
        .ok_or_else(|| Failure("nobody won".to_owned()))?;
    ground.holds(name, winner.as_bytes()).await
}

/// Like [`race`], for answers that were collected elsewhere: how many succeeded.
pub(super) fn winners(answers: Vec<Result<Written, StoreError>>) -> Result<usize, Failure> {
    let mut winners = 0;
    for answer in answers {
        match answer {
            Ok(_) => winners += 1,
            lost => refused("a writer that lost", lost, MISMATCH)?,
        }
    }
    Ok(winners)
}
