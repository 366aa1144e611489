//! Chooses which files of a partition are merged together.

use std::cmp::Reverse;

use jiff::SignedDuration;

use crate::config;

/// A file of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its size in bytes.
    pub size: u64,
    /// The time since it was written. It may be negative, because the listing's time has whole seconds and the file's
    /// has fractions.
    pub age: SignedDuration,
    /// Whether it is certain that no writer will write it again. Only settled files are merged.
    pub settled: bool,
}

/// Why a partition is not compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// It is still being written: its newest file is younger than `quiet_for`.
    Hot,
    /// It has fewer than `min_files` files to merge.
    TooFewFiles,
    /// A merge would not reduce the number of files.
    Right,
}

impl Left {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::TooFewFiles => "too_few_files",
            Self::Right => "right",
        }
    }
}

/// The files that are merged into each new file, as indices into `files` in ascending order.
///
/// Without `files` in the configuration, small files are packed into as few bins of `target_size` as possible, the
/// largest first (first-fit decreasing). With it, all files are spread over that many bins of similar size.
///
/// # Errors
/// The reason why the partition is not compacted.
pub fn choose(files: &[Candidate], rules: &config::Compact) -> Result<Vec<Vec<usize>>, Left> {
    let is_hot = |file: &Candidate| file.age.max(SignedDuration::ZERO) < rules.quiet_for;
    if files.iter().any(is_hot) {
        return Err(Left::Hot);
    }
    let small = match rules.files {
        Some(_) => u64::MAX,
        None => rules.small_bytes(),
    };
    let mut chosen = (0..)
        .zip(files)
        .filter(|(_, file)| file.settled && file.size < small)
        .map(|(index, file)| (Reverse(file.size), index))
        .collect::<Vec<(Reverse<u64>, usize)>>();
    if chosen.len() < usize::try_from(rules.min_files).unwrap_or(usize::MAX) {
        return Err(Left::TooFewFiles);
    }
    chosen.sort_unstable();
    let mut bins = match rules.files {
        Some(bins) if chosen.len() <= usize::try_from(bins).unwrap_or(usize::MAX) => Vec::new(),
        Some(bins) => spread(&chosen, usize::try_from(bins).unwrap_or(usize::MAX)),
        None => fill(&chosen, rules.target_size.as_u64()),
    };
    bins.retain(|bin| bin.len() > 1);
    if bins.is_empty() {
        return Err(Left::Right);
    }
    for bin in &mut bins {
        bin.sort_unstable();
    }
    bins.sort_unstable();
    Ok(bins)
}

/// Puts each file into the first bin with room for it.
fn fill(files: &[(Reverse<u64>, usize)], target: u64) -> Vec<Vec<usize>> {
    let mut bins: Vec<(u64, Vec<usize>)> = Vec::new();
    // Files come in descending order, so a bin without room for the smallest one has room for none.
    let smallest = files.last().map_or(0, |(Reverse(size), _)| *size);
    let mut first_open = 0;
    for (Reverse(size), index) in files {
        let open = bins.iter_mut().skip(first_open);
        let mut roomy = open.filter(|(filled, _)| filled.saturating_add(*size) <= target);
        match roomy.next() {
            Some((filled, bin)) => {
                *filled += size;
                bin.push(*index);
            }
            None => bins.push((*size, vec![*index])),
        }
        while bins
            .get(first_open)
            .is_some_and(|(filled, _)| filled.saturating_add(smallest) > target)
        {
            first_open += 1;
        }
    }
    bins.into_iter().map(|(_, bin)| bin).collect()
}

/// Puts each file into the bin with the least bytes.
fn spread(files: &[(Reverse<u64>, usize)], bins: usize) -> Vec<Vec<usize>> {
    let mut spread = std::collections::BTreeSet::new();
    let mut contents = vec![Vec::new(); bins.min(files.len())];
    spread.extend((0..contents.len()).map(|bin| (0_u64, bin)));
    for (Reverse(size), index) in files {
        if let Some((filled, bin)) = spread.pop_first() {
            spread.insert((filled.saturating_add(*size), bin));
            if let Some(content) = contents.get_mut(bin) {
                content.push(*index);
            }
        }
    }
    contents
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{config::Config, semantics::stated};

    fn rules(more: &str) -> config::Compact {
        let text = format!(
            "[[compact]]\ntable = \"lake.t\"\ntarget_size = \"100B\"\nquiet_for = \"1h\"\n{more}"
        );
        Config::parse(&text).unwrap().compact.remove(0)
    }

    fn files(sizes: &[u64]) -> Vec<Candidate> {
        let file = |size: &u64| Candidate {
            size: *size,
            age: SignedDuration::from_hours(1),
            settled: true,
        };
        sizes.iter().map(file).collect()
    }

    #[test]
    fn small_files_are_put_together() {
        stated(
            "A partition is compacted that has at least `min_files` files which are settled and smaller than `small_below` percent of `target_size`; they are filled into as few files of `target_size` as fit, and all others stay as they are.",
        );
        stated(
            "With `files`, all settled files of a partition are spread over that many files of about the same size if there are more of them and at least `min_files`.",
        );
        for (more, sizes, expected) in [
            ("", &[10, 10, 10, 10][..], Err(Left::TooFewFiles)),
            ("", &[10; 5], Ok(vec![vec![0, 1, 2, 3, 4]])),
            // Files of 75 or more are large.
            (
                "",
                &[75, 74, 20, 10, 10, 10],
                Ok(vec![vec![1, 2], vec![3, 4, 5]]),
            ),
            ("", &[60; 5], Err(Left::Right)),
            ("", &[50, 50, 50, 50, 50], Ok(vec![vec![0, 1], vec![2, 3]])),
            ("min_files = 2", &[10, 90, 10], Ok(vec![vec![0, 2]])),
            ("files = 1\nmin_files = 2", &[10], Err(Left::TooFewFiles)),
            ("files = 1\nmin_files = 2", &[90, 500], Ok(vec![vec![0, 1]])),
            ("files = 2\nmin_files = 2", &[90, 500], Err(Left::Right)),
            (
                "files = 2\nmin_files = 2",
                &[10, 10, 10, 10],
                Ok(vec![vec![0, 2], vec![1, 3]]),
            ),
            (
                "files = 2\nmin_files = 2",
                &[10, 1, 1, 1],
                Ok(vec![vec![1, 2, 3]]),
            ),
        ] {
            let found = choose(&files(sizes), &rules(more));
            assert_eq!(found, expected, "{more} {sizes:?}");
        }
    }

    #[test]
    fn what_is_written_is_left() {
        stated(
            "A partition whose newest file is younger than `quiet_for` is left for later, and a file whose source was committed less than `longest_invocation` ago is never merged.",
        );
        let mut partition = files(&[10; 6]);
        partition[5].settled = false;
        assert_eq!(
            choose(&partition, &rules("")),
            Ok(vec![vec![0, 1, 2, 3, 4]])
        );
        partition[4].settled = false;
        assert_eq!(choose(&partition, &rules("")), Err(Left::TooFewFiles));
        let mut partition = files(&[10; 6]);
        partition[0].age -= SignedDuration::from_secs(1);
        assert_eq!(choose(&partition, &rules("")), Err(Left::Hot));
        partition[0].age = SignedDuration::from_millis(-900);
        assert_eq!(choose(&partition, &rules("")), Err(Left::Hot));
        let never_hot = config::Compact {
            quiet_for: SignedDuration::ZERO,
            ..rules("")
        };
        assert!(choose(&partition, &never_hot).is_ok());
    }

    proptest! {
        #[test]
        fn each_file_is_merged_at_most_once_and_no_bin_overflows(
            sizes in prop::collection::vec(1_u64..120, 0..60),
            count in prop::option::of(1_u32..6),
        ) {
            let more = count.map_or_else(String::new, |count| format!("files = {count}"));
            let rules = rules(&more);
            let files = files(&sizes);
            if let Ok(bins) = choose(&files, &rules) {
                let mut merged = bins.concat();
                merged.sort_unstable();
                let all = merged.len();
                merged.dedup();
                prop_assert_eq!(merged.len(), all);
                prop_assert!(bins.iter().all(|bin| bin.len() > 1));
                match count {
                    Some(count) => {
                        // All files, except those that are alone in a bin.
                        let after = files.len() - all + bins.len();
                        prop_assert_eq!(after, count as usize);
                    }
                    None => for bin in bins {
                        let bytes: u64 = bin.iter().map(|file| sizes[*file]).sum();
                        prop_assert!(bytes <= rules.target_size.as_u64());
                    },
                }
            }
        }
    }
}
