use futures::{StreamExt, TryStreamExt, stream};
use lakewright_ports::MAX_LIST_PAGE;

use super::{Ground, Verdict, ensure, same};

pub(super) async fn list_in_byte_order(ground: &Ground<'_>) -> Verdict {
    // UTF-16 order would put the crab (a surrogate pair) before the last one.
    let ordered = [
        "A", "Z", "a", "a b", "a!", "a/b", "é", "漢", "\u{ff01}", "🦀",
    ];
    let mut sorted = ordered.map(str::to_owned);
    sorted.sort_unstable();
    for name in ordered.iter().rev() {
        ground.put(name, "x").await?;
    }
    same("the order", &ground.names("").await?, &sorted.to_vec())
}

pub(super) async fn list_after_key(ground: &Ground<'_>) -> Verdict {
    for name in ["a", "b", "d"] {
        ground.put(name, "x").await?;
    }
    for (after, wanted) in [
        ("a", vec!["b", "d"]),
        ("c", vec!["d"]),
        ("d", vec![]),
        ("", vec!["a", "b", "d"]),
    ] {
        let page = ground.page("", Some(after)).await?;
        let names: Vec<_> = page
            .objects
            .iter()
            .filter_map(|object| object.key.strip_prefix(&ground.prefix.key))
            .collect();
        same(&format!("what comes after {after:?}"), &names, &wanted)?;
    }
    Ok(())
}

pub(super) async fn list_exact_prefix(ground: &Ground<'_>) -> Verdict {
    for name in ["p", "p/a", "p/b", "pq", "o"] {
        ground.put(name, "x").await?;
    }
    for (prefix, wanted) in [
        ("p/", vec!["p/a", "p/b"]),
        ("p", vec!["p", "p/a", "p/b", "pq"]),
        ("p/a", vec!["p/a"]),
    ] {
        same(
            &format!("what begins with {prefix:?}"),
            &ground.names(prefix).await?,
            &wanted.into_iter().map(str::to_owned).collect(),
        )?;
    }
    Ok(())
}

pub(super) async fn list_follows_writes_at_once(ground: &Ground<'_>) -> Verdict {
    for round in 0..20 {
        let name = format!("{round}");
        ground.put(&name, "x").await?;
        same("the listing", &ground.names("").await?, &vec![name.clone()])?;
        let key = ground.at(&name).key;
        ground
            .store
            .delete(&ground.prefix.bucket, &[key.into()])
            .await?;
        same("the listing", &ground.names("").await?, &Vec::new())?;
    }
    Ok(())
}

pub(super) async fn list_more_than_a_page(ground: &Ground<'_>) -> Verdict {
    let wanted: Vec<String> = (0..MAX_LIST_PAGE + 50)
        .map(|index| format!("{index:05}"))
        .collect();
    stream::iter(wanted.clone())
        .map(|name| async move { ground.put(&name, "x").await })
        .buffer_unordered(32)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let first = ground.page("", None).await?;
    ensure(
        first.truncated && first.objects.len() <= MAX_LIST_PAGE,
        || {
            format!(
                "the first page has {} keys, truncated: {}",
                first.objects.len(),
                first.truncated
            )
        },
    )?;
    same("the whole listing", &ground.names("").await?, &wanted)
}

pub(super) async fn list_nothing(ground: &Ground<'_>) -> Verdict {
    let page = ground.page("", None).await?;
    same(
        "the page",
        &(page.objects.len(), page.truncated),
        &(0, false),
    )
}
