use jiff::{SignedDuration, Timestamp};
use lakewright_ports::{Deletion, GetOptions, MAX_DELETE_BATCH, Precondition, StoreErrorKind};

use super::{Ground, Verdict, ensure, refused, same};

/// Names that clients and servers are known to mishandle: in URLs, in XML, in the copy source header.
const ODD_NAMES: &[&str] = &[
    "a b+c",
    "100%",
    "%2F%20",
    "dt=2026-01-01/x",
    "é ü/漢字/🦀",
    "a&b<c>\"d'e",
    "q?r#s;t:u@v",
    "//double//",
    "./dot/../dots",
    "back\\slash",
    "~(tilde)*!,$[]{}|^`",
    " leading and trailing ",
    "__HIVE_DEFAULT_PARTITION__",
];

/// Control characters that XML 1.0 can represent, for example in the body of `DeleteObjects`. A key with any other
/// control character cannot be deleted in a batch.
const CONTROL_NAMES: &[&str] = &[
    "tab\there",
    "line\nfeed",
    "carriage\rreturn",
    "delete\u{7f}",
];

const MISSING: &[StoreErrorKind] = &[StoreErrorKind::NotFound];
const MISMATCH: &[StoreErrorKind] = &[StoreErrorKind::PreconditionFailed];

pub(super) async fn put_and_get(ground: &Ground<'_>) -> Verdict {
    let written = ground.put("a", "hello").await?;
    ground.holds("a", b"hello").await?;
    same("the ETag", &ground.get("a").await?.meta.etag, &written.etag)
}

pub(super) async fn head_agrees_with_get_and_list(ground: &Ground<'_>) -> Verdict {
    let written = ground.put("a", "hello").await?;
    let (head, get) = (ground.head("a").await?, ground.get("a").await?.meta);
    let listed = ground.list("").await?;
    same("the size", &(head.size, get.size), &(5, 5))?;
    same("HEAD's ETag", &head.etag, &written.etag)?;
    same("GET's ETag", &get.etag, &written.etag)?;
    ensure(
        written.etag.starts_with('"') && written.etag.ends_with('"') && written.etag.len() > 2,
        || format!("the ETag {} has no quotes", written.etag),
    )?;
    let listed: Vec<_> = listed
        .iter()
        .map(|object| (object.size, &object.etag, object.last_modified))
        .collect();
    same(
        "the listing",
        &listed,
        &vec![(5, &head.etag, head.last_modified)],
    )
}

pub(super) async fn empty_object(ground: &Ground<'_>) -> Verdict {
    ground.put("a", "").await?;
    same("the size", &ground.head("a").await?.size, &0)?;
    ground.holds("a", b"").await?;
    refused(
        "a range of it",
        ground.range("a", 0..1).await,
        &[StoreErrorKind::InvalidRange],
    )
}

pub(super) async fn missing_object(ground: &Ground<'_>) -> Verdict {
    refused("HEAD", ground.head("a").await, MISSING)?;
    refused("GET", ground.get("a").await, MISSING)?;
    refused("a ranged GET", ground.range("a", 0..1).await, MISSING)
}

pub(super) async fn put_replaces(ground: &Ground<'_>) -> Verdict {
    let first = ground.put("a", "one").await?;
    let second = ground.put("a", "two!").await?;
    ground.holds("a", b"two!").await?;
    ensure(first.etag != second.etag, || {
        "the ETag did not change with the content".to_owned()
    })
}

pub(super) async fn ranges(ground: &Ground<'_>) -> Verdict {
    ground.put("a", "0123456789").await?;
    for (range, wanted) in [
        (0..1, "0"),
        (0..10, "0123456789"),
        (3..7, "3456"),
        (9..10, "9"),
    ] {
        let body = ground.range("a", range.clone()).await?;
        same(
            &format!("the range {range:?}"),
            body.bytes.as_ref(),
            wanted.as_bytes(),
        )?;
        same("the whole object's size", &body.meta.size, &10)?;
    }
    Ok(())
}

pub(super) async fn range_past_the_end(ground: &Ground<'_>) -> Verdict {
    ground.put("a", "0123456789").await?;
    let body = ground.range("a", 8..100).await?;
    same("the range 8..100", body.bytes.as_ref(), b"89")?;
    same("the whole object's size", &body.meta.size, &10)?;
    for range in [10..11, 11..20] {
        refused(
            &format!("the range {range:?}"),
            ground.range("a", range).await,
            &[StoreErrorKind::InvalidRange],
        )?;
    }
    Ok(())
}

pub(super) async fn get_if_match(ground: &Ground<'_>) -> Verdict {
    let stale = ground.put("a", "one").await?.etag;
    let current = ground.put("a", "two").await?.etag;
    let matching = |etag: String| GetOptions {
        if_match: Some(etag),
        ..GetOptions::default()
    };
    let at = ground.at("a");
    let body = ground.store.get(&at, matching(current)).await?;
    same("the content", body.bytes.as_ref(), b"two")?;
    let answer = ground.store.get(&at, matching(stale.clone())).await;
    refused("a stale ETag", answer, MISMATCH)?;
    let answer = ground.store.get(&ground.at("none"), matching(stale)).await;
    refused("a missing object", answer, MISSING)
}

pub(super) async fn key_that_begins_another(ground: &Ground<'_>) -> Verdict {
    for (name, body) in [("a", "1"), ("a/b", "2"), ("a/", "3")] {
        ground.put(name, body).await?;
    }
    ground.holds("a", b"1").await?;
    ground.holds("a/b", b"2").await?;
    ground.holds("a/", b"3").await?;
    same(
        "the names",
        &ground.names("").await?,
        &owned(&["a", "a/", "a/b"]),
    )
}

pub(super) async fn odd_keys(ground: &Ground<'_>) -> Verdict {
    exist_and_are_listed(ground, ODD_NAMES).await
}

pub(super) async fn control_characters_in_keys(ground: &Ground<'_>) -> Verdict {
    exist_and_are_listed(ground, CONTROL_NAMES).await
}

async fn exist_and_are_listed(ground: &Ground<'_>, names: &[&str]) -> Verdict {
    for name in names {
        ground.put(name, name).await?;
        ground.holds(name, name.as_bytes()).await?;
        same(
            "the size",
            &ground.head(name).await?.size,
            &(name.len() as u64),
        )?;
        let listed = ground.names(name).await?;
        ensure(listed.contains(&(*name).to_owned()), || {
            format!("{name:?} is listed as {listed:?}")
        })?;
        let answer = ground.put_if(name, "x", Precondition::Absent).await;
        refused(&format!("creating {name:?} again"), answer, MISMATCH)?;
    }
    Ok(())
}

/// Keys have at most 1,024 bytes. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub(super) async fn longest_key(ground: &Ground<'_>) -> Verdict {
    let name = "k".repeat(1024 - ground.prefix.key.len());
    ground.put(&name, "x").await?;
    ground.holds(&name, b"x").await?;
    let answer = ground.put(&format!("{name}k"), "x").await;
    refused("a key of 1,025 bytes", answer, &[StoreErrorKind::Other])
}

pub(super) async fn times_are_whole_seconds_of_one_clock(ground: &Ground<'_>) -> Verdict {
    ground.put("a", "x").await?;
    let (head, page) = (ground.head("a").await?, ground.page("", None).await?);
    let listed = page.objects.first().map(|object| object.last_modified);
    same("the listed time", &listed, &Some(head.last_modified))?;
    for time in [head.last_modified, head.answered_at, page.answered_at] {
        same("the fraction of a second", &time.subsec_nanosecond(), &0)?;
    }
    let age = |now: Timestamp| now.duration_since(head.last_modified);
    for age in [age(head.answered_at), age(page.answered_at)] {
        ensure(
            SignedDuration::ZERO <= age && age < SignedDuration::from_mins(5),
            || format!("the object that was just written is {age:#} old"),
        )?;
    }
    Ok(())
}

pub(super) async fn copy_object(ground: &Ground<'_>) -> Verdict {
    ground.put("a", "hello").await?;
    let (source, target) = (ground.at("a"), ground.at("b"));
    let written = ground
        .store
        .copy(&source, None, &target, Precondition::None, None)
        .await?;
    ground.holds("b", b"hello").await?;
    ground.holds("a", b"hello").await?;
    same("the ETag", &ground.head("b").await?.etag, &written.etag)
}

pub(super) async fn copy_conditions(ground: &Ground<'_>) -> Verdict {
    let stale = ground.put("a", "one").await?.etag;
    let current = ground.put("a", "two").await?.etag;
    let existing = ground.put("b", "existing").await?.etag;
    let copy = |from: &str, etag: Option<&str>, to: &str, condition: Precondition| {
        let (from, to, etag) = (ground.at(from), ground.at(to), etag.map(str::to_owned));
        async move {
            let etag = etag.as_deref();
            ground.store.copy(&from, etag, &to, condition, None).await
        }
    };
    let none = || Precondition::None;
    refused(
        "a stale source",
        copy("a", Some(&stale), "c", none()).await,
        MISMATCH,
    )?;
    refused(
        "a missing source",
        copy("z", None, "c", none()).await,
        MISSING,
    )?;
    refused(
        "a target that exists",
        copy("a", None, "b", Precondition::Absent).await,
        MISMATCH,
    )?;
    refused(
        "a stale target",
        copy("a", None, "b", Precondition::Matches(stale.clone())).await,
        MISMATCH,
    )?;
    refused(
        "a target that was not made",
        ground.head("c").await,
        MISSING,
    )?;
    ground.holds("b", b"existing").await?;
    copy("a", Some(&current), "c", Precondition::Absent).await?;
    ground.holds("c", b"two").await?;
    copy("a", None, "b", Precondition::Matches(existing)).await?;
    ground.holds("b", b"two").await
}

pub(super) async fn copy_of_odd_keys(ground: &Ground<'_>) -> Verdict {
    for name in ODD_NAMES {
        ground.put(name, name).await?;
        let target = format!("copy/{name}");
        ground
            .store
            .copy(
                &ground.at(name),
                None,
                &ground.at(&target),
                Precondition::Absent,
                None,
            )
            .await?;
        ground.holds(&target, name.as_bytes()).await?;
    }
    Ok(())
}

pub(super) async fn delete_batch(ground: &Ground<'_>) -> Verdict {
    for name in ["a", "b", "c"] {
        ground.put(name, "x").await?;
    }
    let mut keys: Vec<Deletion> = (3..MAX_DELETE_BATCH)
        .map(|index| ground.at(&format!("none/{index}")).key.into())
        .collect();
    keys.extend(["a", "c"].map(|name| Deletion::from(ground.at(name).key)));
    let failures = ground.store.delete(&ground.prefix.bucket, &keys).await?;
    same("the failures", &failures, &Vec::new())?;
    same("what is there", &ground.names("").await?, &owned(&["b"]))?;
    refused("HEAD of a deleted object", ground.head("a").await, MISSING)
}

/// An object is only deleted if it has the `ETag` that is named; one that is gone counts as deleted.
pub(super) async fn delete_by_etag(ground: &Ground<'_>) -> Verdict {
    let old = ground.put("replaced", "old").await?.etag;
    ground.put("replaced", "new").await?;
    let etag = ground.put("a", "x").await?.etag;
    let named = |name: &str, etag: &str| Deletion {
        key: ground.at(name).key,
        etag: Some(etag.to_owned()),
    };
    let all = [
        named("replaced", &old),
        named("a", &etag),
        named("none", &etag),
    ];
    let failures = ground.store.delete(&ground.prefix.bucket, &all).await?;
    let changed = failures
        .iter()
        .filter(|failure| failure.is_of_another_object());
    let changed: Vec<_> = changed.map(|failure| failure.key.clone()).collect();
    same("the failures", &failures.len(), &1)?;
    same(
        "what was replaced",
        &changed,
        &vec![ground.at("replaced").key],
    )?;
    same(
        "what is there",
        &ground.names("").await?,
        &owned(&["replaced"]),
    )
}

pub(super) async fn delete_odd_keys(ground: &Ground<'_>) -> Verdict {
    let names = || ODD_NAMES.iter().chain(CONTROL_NAMES);
    for name in names() {
        ground.put(name, "x").await?;
    }
    let keys: Vec<Deletion> = names().map(|name| ground.at(name).key.into()).collect();
    let failures = ground.store.delete(&ground.prefix.bucket, &keys).await?;
    same("the failures", &failures, &Vec::new())?;
    same("what is there", &ground.names("").await?, &Vec::new())
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
