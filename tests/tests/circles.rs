//! Checks that no two files of a crate import each other, directly or through others, so that the imported file can be
//! read, tested and changed without the importing one. A module and its submodules count as one, because a parent
//! re-exports the definitions of its children.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A path of modules below the crate, or of names.
type Names = Vec<String>;

/// A name that a file brings into scope.
#[derive(Debug, Clone)]
struct Import {
    path: Names,
    alias: String,
    /// Whether it can be imported from there in turn.
    is_exported: bool,
}

/// A source file.
#[derive(Debug)]
struct File {
    name: String,
    text: String,
    imports: Vec<Import>,
}

/// The files of a crate by their module paths.
type Crate = BTreeMap<Names, File>;

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The text without comments and without the tests inside it.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The paths that a `use` tree expands to.
fn expand(tree: &str, before: &[String], found: &mut Vec<(Names, String)>) {
    let tree = tree.trim();
    let Some((head, inner)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
        let names = path.split("::").map(|name| name.trim().to_owned());
        let mut path: Names = before.iter().cloned().chain(names).collect();
        path.retain(|name| !name.is_empty());
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let last = path.last().cloned().unwrap_or_default();
        let alias = alias.trim();
        found.push((
            path,
            if alias.is_empty() {
                last
            } else {
                alias.to_owned()
            },
        ));
        return;
    };
    let names = head.split("::").map(|name| name.trim().to_owned());
    let mut before: Names = before.iter().cloned().chain(names).collect();
    before.retain(|name| !name.is_empty());
    let inner = &inner[..inner.rfind('}').unwrap_or(inner.len())];
    let (mut depth, mut start) = (0, 0);
    for (at, character) in inner.char_indices().chain([(inner.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..at].trim().is_empty() {
                    expand(&inner[start..at], &before, found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The names that `use` imports, and the text without the `use` items.
fn imports(text: &str) -> (Vec<Import>, String) {
    let (mut imports, mut rest) = (Vec::new(), String::new());
    let mut statement = String::new();
    for line in text.lines() {
        let begins = line.trim_start();
        let is_exported = begins.starts_with("pub ") || begins.starts_with("pub(");
        let after = begins.strip_prefix("pub").map_or(begins, |after| {
            let after = after.strip_prefix('(').map_or(after, |inside| {
                inside.split_once(')').map_or("", |(_, after)| after)
            });
            after.trim_start()
        });
        if statement.is_empty() && after.starts_with("use ") {
            statement = format!("{is_exported} {}", &after[4..]);
        } else if statement.is_empty() {
            rest.extend([line, "\n"]);
        } else {
            statement.push_str(line);
        }
        if !statement.is_empty() && statement.contains(';') {
            let (is_exported, tree) = statement.split_once(' ').unwrap();
            let mut found = Vec::new();
            expand(tree.split(';').next().unwrap(), &[], &mut found);
            imports.extend(found.into_iter().map(|(path, alias)| Import {
                path,
                alias,
                is_exported: is_exported == "true",
            }));
            statement.clear();
        }
    }
    (imports, rest)
}

/// The files below a folder, except those of tests.
fn read(root: &Path, folder: &Path, files: &mut Crate) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if stem.ends_with("tests") || stem.ends_with("_properties") {
            continue;
        }
        if path.is_dir() {
            read(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root).unwrap().with_extension("");
            let mut module: Names = below
                .iter()
                .map(|name| name.to_str().unwrap().to_owned())
                .collect();
            let is_root = matches!(module.last().unwrap().as_str(), "lib" | "main");
            if module.last().unwrap() == "mod" || (module.len() == 1 && is_root) {
                module.pop();
            }
            let (imports, text) = imports(&code(&fs::read_to_string(&path).unwrap()));
            let name = below.to_str().unwrap().to_owned();
            files.insert(
                module,
                File {
                    name,
                    text,
                    imports,
                },
            );
        }
    }
}

/// Where the first name of a path leads to from a module, and the names after it. `None`: out of the crate.
fn begin<'a>(
    files: &Crate,
    module: &[String],
    path: &'a [String],
) -> Option<(Names, &'a [String])> {
    let (first, rest) = path.split_first()?;
    let (mut at, mut rest) = match first.as_str() {
        "crate" => (Vec::new(), rest),
        "self" => (module.to_vec(), rest),
        "super" => (module.split_last()?.1.to_vec(), rest),
        name => {
            let child = [module, &[name.to_owned()]].concat();
            if !files.contains_key(&child) {
                return None;
            }
            (child, rest)
        }
    };
    while let Some(("super", after)) = rest.split_first().map(|(name, rest)| (name.as_str(), rest))
    {
        at.pop();
        rest = after;
    }
    Some((at, rest))
}

/// The module in which a path ends: the one that defines the name, however often it is re-exported.
fn resolve(files: &Crate, module: &[String], path: &[String], depth: usize) -> Option<Names> {
    let (mut at, rest) = begin(files, module, path)?;
    for (index, name) in rest.iter().enumerate() {
        at.push(name.clone());
        if files.contains_key(&at) {
            continue;
        }
        at.pop();
        let exported = files.get(&at)?.imports.iter();
        let exported = exported.filter(|import| depth < 8 && import.is_exported);
        let found = exported.into_iter().find(|import| import.alias == *name);
        return match found.map(|import| [&import.path[..], &rest[index + 1..]].concat()) {
            Some(path) => resolve(files, &at, &path, depth + 1).or(Some(at)),
            None => Some(at),
        };
    }
    Some(at)
}

/// The paths in a text that begin with this name.
fn paths(text: &str, first: &str) -> Vec<Names> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&format!("{first}::")) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|before| is_word(before) || before == ':') {
            continue;
        }
        let end = text[at..]
            .find(|character| !is_word(character) && character != ':')
            .map_or(text.len(), |length| at + length);
        let names = text[at..end].split("::").map(str::to_owned);
        found.push(names.filter(|name| !name.is_empty()).collect());
    }
    found
}

/// The modules that a module needs.
fn needs(files: &Crate, module: &Names) -> BTreeSet<Names> {
    let file = &files[module];
    let mut needed = BTreeSet::new();
    for import in &file.imports {
        let Some(target) = resolve(files, module, &import.path, 0) else {
            continue;
        };
        // After the name of a module, the text names what it needs of it.
        for path in paths(&file.text, &import.alias) {
            let path = [&import.path[..], &path[1..]].concat();
            needed.extend(resolve(files, module, &path, 0));
        }
        needed.insert(target);
    }
    for first in ["crate", "super", "self"] {
        let paths = paths(&file.text, first);
        needed.extend(
            paths
                .iter()
                .filter_map(|path| resolve(files, module, path, 0)),
        );
    }
    needed.retain(|other| !other.starts_with(module) && !module.starts_with(other));
    needed
}

/// Groups of files that need each other.
fn circles(files: &Crate) -> Vec<BTreeMap<String, Vec<String>>> {
    let needs: BTreeMap<&Names, BTreeSet<Names>> = files
        .keys()
        .map(|module| (module, needs(files, module)))
        .collect();
    let reached: BTreeMap<&Names, BTreeSet<&Names>> = needs
        .keys()
        .map(|&from| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(next) = open.pop() {
                open.extend(needs[next].iter().filter(|other| reached.insert(*other)));
            }
            (from, reached)
        })
        .collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (module, others) in &reached {
        if !others.contains(module) || seen.contains(module) {
            continue;
        }
        let group = others
            .iter()
            .filter(|other| reached[**other].contains(module));
        let group: BTreeSet<&Names> = group.copied().collect();
        seen.extend(group.iter().copied());
        let file = |module: &Names| files[module].name.clone();
        let inside = |module: &&Names| {
            let inside = needs[module].iter().filter(|other| group.contains(other));
            (file(module), inside.map(file).collect())
        };
        circles.push(group.iter().map(inside).collect());
    }
    circles
}

#[test]
fn no_files_import_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in [
        "shared/parquet-merge",
        "shared/core",
        "shared/ports",
        "shared/model",
        "shared/jobs",
        "shared/aws",
        "tests",
        "xtask",
    ] {
        let mut files = Crate::new();
        let sources = root.join(folder).join("src");
        read(&sources, &sources, &mut files);
        assert!(files.len() > 5, "{folder}: {} files", files.len());
        found.extend(circles(&files).into_iter().map(|circle| (folder, circle)));
    }
    assert!(found.is_empty(), "files that import each other: {found:#?}");
}

#[test]
fn a_circle_is_found_through_re_exports() {
    let file = |name: &str, text: &str| {
        let (imports, text) = imports(&code(text));
        let module: Names = name
            .split('/')
            .filter(|name| *name != "lib")
            .map(str::to_owned)
            .collect();
        let name = name.to_owned();
        (
            module,
            File {
                name,
                text,
                imports,
            },
        )
    };
    let files = |times: &str| -> Crate {
        [
            file("lib", "pub mod config;\npub mod time;"),
            file(
                "config",
                "mod rekey;\npub use self::{\n    rekey::{Rule as R, Unit},\n};",
            ),
            file(
                "config/rekey",
                "fn check() { crate::time::check() } // crate::nothing",
            ),
            file("time", times),
        ]
        .into()
    };
    let found = circles(&files("use crate::config::{self, R};"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains_key("config/rekey") && found[0].contains_key("time"));
    assert_eq!(
        circles(&files("use crate::config;\nfn f() { config::Unit }")).len(),
        1
    );
    assert_eq!(circles(&files("use crate::config;")).len(), 0);
}
