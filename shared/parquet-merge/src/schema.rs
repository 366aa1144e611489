//! Unifies the schemas of many files, and maps each file's columns to the unified schema. docs/SEMANTICS.md, "Merging
//! Parquet files", specifies which schemas are compatible.

mod leaves;
mod widen;

use std::{fmt, sync::Arc};

use parquet::{
    basic::{ConvertedType, LogicalType, Repetition},
    errors::ParquetError,
    schema::types::{SchemaDescPtr, SchemaDescriptor, Type, TypePtr},
};
use thiserror::Error;

use self::leaves::counts;
pub(super) use self::{
    leaves::{Leaf, Source, leaves, repeats},
    widen::Conversion,
};

/// The schema of the merged file.
#[derive(Debug, Clone)]
pub struct Unified {
    schema: SchemaDescPtr,
}

impl Unified {
    /// The schema as the Parquet crate's type.
    pub fn schema(&self) -> &SchemaDescPtr {
        &self.schema
    }
}

/// Two files whose schemas are incompatible. Nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{first} and {second} do not fit together: column {column}: {reason}")]
pub struct SchemaRefusal {
    /// The name of a file, as it was given.
    pub first: String,
    /// The name of the file that is incompatible with the first.
    pub second: String,
    /// The path of the column, with dots.
    pub column: String,
    /// The reason.
    pub reason: SchemaReason,
}

/// Why two columns cannot be unified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaReason {
    /// The types, in Parquet's terms: no type holds the values of both.
    Types(String, String),
    /// One is a struct, a list or a map and the other is not, or lists have different structures.
    Shapes,
    /// One file has two columns, or two fields, whose names differ only in case.
    SameName,
    /// One file's schema cannot be read.
    Unreadable(String),
    /// What the column means, which is not known here.
    Unknown(String),
    /// There are no columns, or no files.
    NoColumns,
}

impl fmt::Display for SchemaReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Types(first, second) => write!(f, "no type holds both {first} and {second}"),
            Self::Shapes => f.write_str("it is nested in different ways"),
            Self::SameName => f.write_str("two names differ only in case"),
            Self::Unreadable(what) => f.write_str(what),
            Self::Unknown(what) => write!(
                f,
                "its type is {what}, which is unknown and would be lost: keep the files that have it out of the merge, or write them without it"
            ),
            Self::NoColumns => f.write_str("there are no columns"),
        }
    }
}

/// What is wrong, and where: the names of the enclosing groups, innermost first.
#[derive(Debug)]
struct Fault {
    path: Vec<String>,
    reason: SchemaReason,
}

impl Fault {
    fn new(reason: SchemaReason) -> Self {
        Self {
            path: Vec::new(),
            reason,
        }
    }

    fn within(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }
}

impl From<ParquetError> for Fault {
    fn from(error: ParquetError) -> Self {
        Self::new(SchemaReason::Unreadable(error.to_string()))
    }
}

/// Unifies the schemas of all files. Columns are matched by name, ignoring case, and keep the order in which they first
/// occur. Each gets the narrowest type that holds all values. A column that a file lacks becomes nullable.
///
/// # Errors
/// Two files that do not fit together, by name.
pub fn unify<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a SchemaDescriptor)>,
) -> Result<Unified, SchemaRefusal> {
    let mut seen: Vec<(&str, TypePtr)> = Vec::new();
    let mut unified: Option<TypePtr> = None;
    for (name, schema) in files {
        let schema = schema.root_schema_ptr();
        if seen.iter().any(|(_, other)| *other == schema) {
            continue;
        }
        let of_this = |fault: Fault| refusal(name, name, fault);
        unambiguous(&schema).map_err(of_this)?;
        known(&schema).map_err(of_this)?;
        unified = Some(match unified {
            None => schema.clone(),
            Some(before) => merge_groups(&before, &schema).map_err(|fault| {
                // Report the first file that is incompatible with this one.
                let pair = seen.iter().find_map(|(other, before)| {
                    let fault = merge_groups(before, &schema).err()?;
                    Some(refusal(other, name, fault))
                });
                let first = seen.first().map_or(name, |(first, _)| *first);
                pair.unwrap_or_else(|| refusal(first, name, fault))
            })?,
        });
        seen.push((name, schema));
    }
    let first = seen.first().map_or("", |(name, _)| *name);
    let none = || refusal(first, first, Fault::new(SchemaReason::NoColumns));
    let unified = unified.ok_or_else(none)?;
    let fields = unified.get_fields().iter().map(widen::fixed_decimals);
    let fields = fields
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| refusal(first, first, fault))?;
    let root = Type::group_type_builder("schema")
        .with_fields(fields)
        .build()
        .map_err(|error| refusal(first, first, error.into()))?;
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    if schema.num_columns() == 0 {
        return Err(none());
    }
    Ok(Unified { schema })
}

fn refusal(first: &str, second: &str, fault: Fault) -> SchemaRefusal {
    let column = fault.path.iter().rev().map(String::as_str);
    SchemaRefusal {
        first: first.to_owned(),
        second: second.to_owned(),
        column: column.collect::<Vec<_>>().join("."),
        reason: fault.reason,
    }
}

/// The form in which names are compared.
fn key(name: &str) -> String {
    name.to_lowercase()
}

/// Checks that no two fields of a struct have the same name.
fn unambiguous(group: &Type) -> Result<(), Fault> {
    if !group.is_group() {
        return Ok(());
    }
    let mut names: Vec<String> = group
        .get_fields()
        .iter()
        .map(|field| key(field.name()))
        .collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let name = pair.first().map_or("", String::as_str);
        return Err(Fault::new(SchemaReason::SameName).within(name));
    }
    group
        .get_fields()
        .iter()
        .try_for_each(|field| unambiguous(field).map_err(|fault| fault.within(field.name())))
}

/// Every type is one that is known here: the merged file could not say what another one is.
fn known(node: &Type) -> Result<(), Fault> {
    let of_child = |field: &TypePtr| {
        let info = field.get_basic_info();
        if let Some(logical @ (LogicalType::_Unknown { .. } | LogicalType::File)) =
            info.logical_type_ref()
        {
            let fault = Fault::new(SchemaReason::Unknown(format!("{logical:?}")));
            return Err(fault.within(field.name()));
        }
        known(field).map_err(|fault| fault.within(field.name()))
    };
    if node.is_group() {
        node.get_fields().iter().try_for_each(of_child)?;
    }
    Ok(())
}

/// Whether a list's repeated group is its element, rather than a group around the element: by the rules for files of
/// older writers
/// (<https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#backward-compatibility-rules>).
fn is_element(repeated: &Type, list: &Type) -> bool {
    let [field] = repeated.get_fields() else {
        return true;
    };
    let info = field.get_basic_info();
    info.repetition() == Repetition::REPEATED
        || repeated.name() == "array"
        || repeated.name() == format!("{}_tuple", list.name())
}

/// The meaning of a group that is neither a struct nor a list nor a map.
fn meaning(group: &Type) -> Option<&LogicalType> {
    let logical = group.get_basic_info().logical_type_ref();
    logical.filter(|logical| !matches!(logical, LogicalType::List | LogicalType::Map))
}

/// How the fields of a group are matched with those of other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matching {
    /// By name, as those of a struct.
    Names,
    /// By position: the field of a list or a map, or those of a map's entries. Their names do not matter.
    Places,
}

fn matching(group: &Type, parent: Option<&Type>) -> Matching {
    let annotated = |node: &Type| {
        let info = node.get_basic_info();
        matches!(
            info.logical_type_ref(),
            Some(LogicalType::List | LogicalType::Map)
        ) || matches!(
            info.converted_type(),
            ConvertedType::LIST | ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE
        )
    };
    let repeated = |node: &Type| {
        let info = node.get_basic_info();
        info.has_repetition() && info.repetition() == Repetition::REPEATED
    };
    let is_list = |node: &Type| {
        let info = node.get_basic_info();
        info.logical_type_ref() == Some(&LogicalType::List)
            || info.converted_type() == ConvertedType::LIST
    };
    match parent {
        _ if !repeated(group) && annotated(group) && group.get_fields().len() == 1 => {
            Matching::Places
        }
        // In a list, a group of several fields is the element itself.
        Some(parent) if repeated(group) && annotated(parent) => {
            if is_list(parent) && is_element(group, parent) {
                Matching::Names
            } else {
                Matching::Places
            }
        }
        _ => Matching::Names,
    }
}

/// Whether it is a struct: neither a single value nor a list nor a map.
pub(super) fn is_struct(node: &Type) -> bool {
    node.is_group() && !repeats(node) && matching(node, None) == Matching::Names
}

/// The type of a column: what is nested in Hive's terms, and single values in Parquet's.
pub(super) fn type_of(node: &Type) -> String {
    let one = if node.is_primitive() {
        widen::described(node)
    } else {
        type_of_group(node)
    };
    if repeats(node) {
        format!("array<{one}>")
    } else {
        one
    }
}

fn type_of_group(group: &Type) -> String {
    let types = |fields: &[TypePtr]| {
        let types = fields.iter().map(|field| type_of(field));
        types.collect::<Vec<_>>().join(",")
    };
    match group.get_fields() {
        [inside] if !repeats(group) && matching(group, None) == Matching::Places => {
            if inside.is_group() && is_map(group) {
                format!("map<{}>", types(inside.get_fields()))
            } else if inside.is_group() && !is_element(inside, group) {
                format!("array<{}>", types(inside.get_fields()))
            } else {
                type_of(inside)
            }
        }
        fields => {
            let fields = fields.iter();
            let fields = fields.map(|field| format!("{}:{}", field.name(), type_of(field)));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(","))
        }
    }
}

/// The definition levels of a column, which has this path, at which a map around it has an entry whose key is null. Some
/// writers declare keys as optional.
pub(super) fn null_keys(root: &Type, path: &[String]) -> Vec<i16> {
    let mut found = Vec::new();
    let (mut around, mut node, mut level) = (None, root, 0);
    for name in path.iter().take_while(|_| node.is_group()) {
        let fields = node.get_fields();
        let mut places = fields.iter().enumerate();
        let Some((place, field)) = places.find(|(_, field)| field.name() == name) else {
            break;
        };
        let repetition = |node: &Type| {
            let info = node.get_basic_info();
            info.has_repetition().then(|| info.repetition())
        };
        let of_entry = around.is_some_and(is_map) && repetition(node) == Some(Repetition::REPEATED);

        if of_entry && place == 0 && repetition(field) == Some(Repetition::OPTIONAL) {
            found.push(level);
        }
        level += i16::from(counts(field));
        (around, node) = (Some(node), field);
    }
    found
}

fn is_map(group: &Type) -> bool {
    let info = group.get_basic_info();
    info.logical_type_ref() == Some(&LogicalType::Map)
        || matches!(
            info.converted_type(),
            ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE
        )
}

/// Whether the column has Parquet's null type: every row of its file is null.
fn is_null_typed(node: &Type) -> bool {
    node.is_primitive()
        && node.get_basic_info().logical_type_ref() == Some(&LogicalType::Unknown)
        && node.get_basic_info().repetition() == Repetition::OPTIONAL
}

fn merge_groups(a: &TypePtr, b: &TypePtr) -> Result<TypePtr, Fault> {
    let fields = merge_structs(a, b)?;
    let root = Type::group_type_builder(a.name())
        .with_fields(fields)
        .build()?;
    Ok(Arc::new(root))
}

/// Unifies the fields of two structs by name.
fn merge_structs(a: &Type, b: &Type) -> Result<Vec<TypePtr>, Fault> {
    let find = |fields: &[TypePtr], name: &str| {
        fields
            .iter()
            .find(|field| key(field.name()) == key(name))
            .cloned()
    };
    let mut fields = Vec::new();
    for field in a.get_fields() {
        fields.push(match find(b.get_fields(), field.name()) {
            Some(other) => merge_nodes(field, &other, (a, b))?,
            None => nullable(field)?,
        });
    }
    for field in b.get_fields() {
        if find(a.get_fields(), field.name()).is_none() {
            fields.push(nullable(field)?);
        }
    }
    Ok(fields)
}

fn merge_nodes(a: &TypePtr, b: &TypePtr, parents: (&Type, &Type)) -> Result<TypePtr, Fault> {
    if a == b {
        return Ok(Arc::clone(a));
    }
    let named = |fault: Fault| fault.within(a.name());
    let shapes = || Fault::new(SchemaReason::Shapes).within(a.name());
    let (of_a, of_b) = (a.get_basic_info(), b.get_basic_info());
    if is_null_typed(a) {
        return nullable(b);
    }
    if is_null_typed(b) {
        return nullable(a);
    }
    let repetition = match (of_a.repetition(), of_b.repetition()) {
        (one, other) if one == other => one,
        (Repetition::REPEATED, _) | (_, Repetition::REPEATED) => return Err(shapes()),
        _ => Repetition::OPTIONAL,
    };
    let id = (of_a.has_id() && of_b.has_id() && of_a.id() == of_b.id()).then(|| of_a.id());
    if a.is_primitive() && b.is_primitive() {
        return widen::wider(a, b, repetition, id).map_err(named);
    }
    if !a.is_group() || !b.is_group() {
        return Err(shapes());
    }
    if meaning(a).is_some() || meaning(b).is_some() {
        // What its fields mean together is not known field by field.
        let alike =
            of_a.logical_type_ref() == of_b.logical_type_ref() && a.get_fields() == b.get_fields();
        if !alike {
            let described = |node: &Type| {
                let meaning = meaning(node).map(|logical| format!("{logical:?}"));
                meaning.unwrap_or_else(|| "a group without that meaning".to_owned())
            };
            let (mut one, other) = (described(a), described(b));
            if one == other {
                one = format!("{one} of other fields");
            }
            return Err(named(Fault::new(SchemaReason::Types(one, other))));
        }
        return if repetition == Repetition::OPTIONAL {
            nullable(a).map_err(named)
        } else {
            Ok(Arc::clone(a))
        };
    }
    let (matching_a, matching_b) = (matching(a, Some(parents.0)), matching(b, Some(parents.1)));
    let same_annotation = of_a.converted_type() == of_b.converted_type()
        || of_a.logical_type_ref() == of_b.logical_type_ref();
    if matching_a != matching_b || (matching_a == Matching::Names && !same_annotation) {
        return Err(shapes());
    }
    let fields = match matching_a {
        Matching::Names => merge_structs(a, b).map_err(named)?,
        Matching::Places => {
            if a.get_fields().len() != b.get_fields().len() {
                return Err(shapes());
            }
            a.get_fields()
                .iter()
                .zip(b.get_fields())
                .map(|(field, other)| merge_nodes(field, other, (a, b)))
                .collect::<Result<_, _>>()
                .map_err(named)?
        }
    };
    let merged = Type::group_type_builder(a.name())
        .with_repetition(repetition)
        .with_converted_type(of_a.converted_type())
        .with_logical_type(of_a.logical_type_ref().cloned())
        .with_id(id)
        .with_fields(fields)
        .build()
        .map_err(|error| named(error.into()))?;
    Ok(Arc::new(merged))
}

/// The same column, made nullable.
fn nullable(node: &TypePtr) -> Result<TypePtr, Fault> {
    let info = node.get_basic_info();
    if info.repetition() != Repetition::REQUIRED {
        return Ok(Arc::clone(node));
    }
    let id = info.has_id().then(|| info.id());
    if node.is_primitive() {
        return widen::with_repetition(node, Repetition::OPTIONAL, id);
    }
    let group = Type::group_type_builder(node.name())
        .with_repetition(Repetition::OPTIONAL)
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_id(id)
        .with_fields(node.get_fields().to_vec())
        .build()?;
    Ok(Arc::new(group))
}
