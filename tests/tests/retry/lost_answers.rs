//! Writes whose answer is lost.

use super::*;

#[test]
fn a_refusal_after_a_lost_answer_is_settled_by_what_exists() {
    // What another writer puts while our first attempt is lost, and whether the put then counts as ours.
    for (fault, other, ours) in [
        (Fault::ResetAfter, None, true),
        (Fault::InternalAfter, None, true),
        (Fault::ResetBefore, Some("ours"), true),
        (Fault::ResetBefore, Some("else"), false),
        (Fault::ResetBefore, Some("longer than ours"), false),
        (Fault::SlowDown, Some("ours"), false),
    ] {
        virtual_time(async {
            let cloud = calm();
            let (store, _) = retrying(&cloud, [Some(fault)], MINUTE);
            let another = Client::new(Arc::clone(&cloud), 2, Plan::default());
            let ((), result) = tokio::join!(
                async {
                    if let Some(other) = other {
                        create(&another, other).await.unwrap();
                    }
                },
                async {
                    // Begins after the other writer has ended.
                    cloud.clock.sleep(Duration::from_secs(1)).await;
                    create(&store, "ours").await
                }
            );
            let existing = store.head(&at("k"), None).await.unwrap();
            let wanted = if ours {
                Ok(existing.etag)
            } else {
                Err(StoreErrorKind::PreconditionFailed)
            };
            let case = format!("{fault}, another wrote {other:?}");
            assert_eq!(result.map(|written| written.etag), wanted, "{case}");
        });
    }
}

#[test]
fn a_replacement_whose_answer_was_lost_is_recognised() {
    virtual_time(async {
        let cloud = calm();
        let (store, _) = retrying(&cloud, [None, Some(Fault::ResetAfter)], MINUTE);
        let first = create(&store, "one").await.unwrap();
        let matches = Precondition::Matches(first.etag.clone());
        let second = put(&store, "two", matches.clone()).await.unwrap();
        let existing = store.head(&at("k"), None).await.unwrap();
        assert_eq!(existing.etag, second.etag);
        let stale = put(&store, "three", matches).await;
        assert_eq!(stale, Err(StoreErrorKind::PreconditionFailed));
    });
}

#[test]
fn a_copy_whose_answer_was_lost_is_recognised() {
    for opaque_etags in [false, true] {
        virtual_time(async {
            let settings = Settings {
                opaque_etags,
                ..Settings::default()
            };
            let cloud = Cloud::new(1, settings, FaultRates::default());
            let (store, _) = retrying(&cloud, [None, Some(Fault::ResetAfter)], MINUTE);
            create(&store, "content").await.unwrap();
            let (from, to) = (at("k"), at("copy"));
            let copied = store
                .copy(&from, None, &to, Precondition::Absent, None)
                .await;
            let existing = store.head(&to, None).await.unwrap();
            assert_eq!(copied.unwrap().etag, existing.etag);
        });
    }
}

#[test]
fn a_completion_whose_answer_was_lost_is_recognised() {
    for completed_again in [StoreErrorKind::NotFound, StoreErrorKind::PreconditionFailed] {
        for (other, ours) in [(None, true), (Some("other"), false)] {
            virtual_time(async {
                let settings = Settings {
                    completed_again,
                    smallest_part: 1,
                    ..Settings::default()
                };
                let cloud = Cloud::new(1, settings, FaultRates::default());
                let fault = if other.is_some() {
                    Fault::ResetBefore
                } else {
                    Fault::ResetAfter
                };
                let (store, _) = retrying(&cloud, [None, None, None, Some(fault)], MINUTE);
                let upload = store.create_multipart(&at("k"), None, None).await.unwrap();
                let mut parts = Vec::new();
                for (number, text) in [(1, "one"), (2, "two")] {
                    let part = store
                        .upload_part(&at("k"), &upload, number, body(text))
                        .await;
                    parts.push(part.unwrap());
                }
                if let Some(other) = other {
                    let another = Client::new(Arc::clone(&cloud), 2, Plan::default());
                    create(&another, other).await.unwrap();
                }
                let result = store
                    .complete_multipart(&at("k"), &upload, &parts, Precondition::Absent)
                    .await;
                let existing = store.head(&at("k"), None).await.unwrap();
                let wanted = if ours {
                    Ok(existing.etag)
                } else {
                    Err(StoreErrorKind::PreconditionFailed)
                };
                let result = result.map(|written| written.etag);
                assert_eq!(result.map_err(|error| error.kind), wanted);
            });
        }
    }
}
