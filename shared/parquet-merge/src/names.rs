//! Finds the column that a name in a configuration means: the one rule of every option that names a column.
//!
//! A name means the column, or the field of a struct, whose names from the outside to the inside, with dots between them,
//! are that name, whatever the case. A column's own name may have dots too, so a name may mean several.

use thiserror::Error;

/// How many of the names that there are a message lists.
const LISTED: usize = 100;

/// Why a name means no column.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// There is no such column.
    #[error("there is no column `{name}`: there {}", listed(.known))]
    Missing {
        /// The name.
        name: String,
        /// The columns that there are.
        known: Vec<String>,
    },
    /// It means several.
    #[error("`{name}` means two columns, {first} and {second}: have one of them renamed")]
    Ambiguous {
        /// The name.
        name: String,
        /// One of the columns, with each of its names in backquotes.
        first: String,
        /// The other.
        second: String,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        return "is none".to_owned();
    }
    let names = known.iter().take(LISTED).map(|name| format!("`{name}`"));
    let names = names.collect::<Vec<_>>().join(", ");
    match known.len().saturating_sub(LISTED) {
        0 => format!("are {names}"),
        more => format!("are {names}, and {more} more"),
    }
}

/// The place of the column that `name` means among columns with these paths, each the names from the outside to the
/// inside.
///
/// # Errors
/// None, or several.
pub fn find_column<P: AsRef<[S]>, S: AsRef<str>>(
    name: &str,
    paths: impl IntoIterator<Item = P>,
) -> Result<usize, NameError> {
    let wanted = name.to_lowercase();
    let paths = paths.into_iter().collect::<Vec<_>>();
    let mut found: Option<(usize, &P)> = None;
    for (place, path) in paths.iter().enumerate() {
        if joined(path.as_ref()).to_lowercase() != wanted {
            continue;
        }
        if let Some((_, first)) = found {
            return Err(NameError::Ambiguous {
                name: name.to_owned(),
                first: quoted(first.as_ref()),
                second: quoted(path.as_ref()),
            });
        }
        found = Some((place, path));
    }
    match found {
        Some((place, _)) => Ok(place),
        None => Err(NameError::Missing {
            name: name.to_owned(),
            known: paths.iter().map(|path| joined(path.as_ref())).collect(),
        }),
    }
}

fn joined<S: AsRef<str>>(path: &[S]) -> String {
    let names = path.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
    names.join(".")
}

fn quoted<S: AsRef<str>>(path: &[S]) -> String {
    let names = path.iter().map(|name| format!("`{}`", name.as_ref()));
    names.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_column_or_a_path() {
        let paths: [&[&str]; 7] = [
            &["id"],
            &["s.a"],
            &["s", "a"],
            &["S", "B.c"],
            &["é"],
            &["x", "y", "z"],
            &["A"],
        ];
        let find = |name| find_column(name, paths);
        for (name, place) in [("ID", 0), ("s.b.c", 3), ("É", 4), ("x.Y.z", 5), ("a", 6)] {
            assert_eq!(find(name), Ok(place), "{name}");
        }
        let error = find("s.A").unwrap_err().to_string();
        assert!(error.contains("two columns, `s.a` and `s`.`a`"), "{error}");
        for name in ["x.y", "", "y", "s", "s.", "z.a"] {
            let error = find(name).unwrap_err().to_string();
            assert!(
                error.contains("there are `id`, `s.a`, `s.a`, `S.B.c`"),
                "{error}"
            );
        }
    }
}
