//! Suggests names for an unknown one.

/// The most similar name, if it is similar enough to be a typo.
pub(crate) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let longest = written.chars().count().div_ceil(3).max(1);
    let near = names.into_iter().map(|name| (distance(name), name));
    let (distance, name) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= longest).then_some(name)
}

/// `; did you mean …?`, if there is a similar name.
pub(crate) fn meant<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, names).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
