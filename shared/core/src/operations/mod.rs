//! The operations of `column`: which fields are read, with which types, and how the written columns are made of them.

mod error;
mod secret;
mod values;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
        UInt32Array, new_null_array,
    },
    compute::{interleave, take},
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use jiff::Timestamp;

use self::secret::HASH_LENGTH;
pub(crate) use self::secret::hashed;
pub(crate) use self::values::{constant, masked};
use self::values::{one, part_of, text, text_length, value};
pub use self::{error::OperationError, secret::Secret};
use crate::{
    columns,
    config::{Constant, EventValue, KeyPart, Mask, Operation, OperationKind, SecretName},
    hive_type,
    json::{ParseTimestamp, RecordError},
    location::Location,
    parquet_in::{Converter, ReadError},
    partition::DEFAULT_PARTITION,
    time::microseconds,
};

/// How a written column is made.
#[derive(Debug)]
enum Step {
    /// The column that was read, by its index.
    Read(usize),
    /// Nulls.
    Nothing,
    /// The column that was read, converted to the written type.
    Cast(usize),
    /// The text that was read, masked.
    Mask(usize, Mask),
    /// The hash of the text that was read.
    Hash(usize, Secret),
    /// An array of one value.
    Constant(ArrayRef),
    /// For each row, the value of its object with this index.
    Object(usize),
    /// The offset of the record in its object.
    Offset,
}

/// A property of an object that a column contains.
#[derive(Debug)]
enum OfObject {
    Part(KeyPart),
    Source,
    LandedAt,
}

/// A job's operations, compiled for the columns that it writes.
pub struct Operations {
    read: Schema,
    written: SchemaRef,
    steps: Vec<Step>,
    /// The columns with a property of the object.
    of_objects: Vec<(OfObject, FieldRef)>,
    /// The prefix of keys that `key` does not count.
    prefix: Location,
    converter: Converter,
}

/// The values that the rows of one object have in common.
#[derive(Debug, Clone)]
pub struct ObjectValues {
    values: Vec<ArrayRef>,
    bytes: usize,
}

/// Rows with the columns that are written.
#[derive(Debug)]
pub struct Applied {
    /// The rows.
    pub batch: RecordBatch,
    /// The values that do not fit their columns and are null in the batch: their rows and why.
    pub mismatches: Vec<(usize, RecordError)>,
}

/// The columns that are written if there is no table. `found`: the columns of the records.
///
/// # Errors
/// An operation does not fit them.
pub fn written(operations: &[Operation], found: &Schema) -> Result<Schema, OperationError> {
    let mut fields = Vec::new();
    let mut taken = BTreeSet::new();
    for operation in operations {
        // JSON records need not have the same fields, so the field may be missing.
        if let Some(place) = columns::own(found.fields(), operation.field())? {
            taken.insert(place);
        }
    }
    for (place, field) in found.fields().iter().enumerate() {
        let of_field = |operation: &&Operation| {
            operation.kind().is_of_field() && same(operation.field(), field.name())
        };
        match operations.iter().find(of_field) {
            Some(operation) => fields.extend(made(operation, Some(field))?),
            None if taken.contains(&place) => {}
            None => fields.push(Arc::clone(field)),
        }
    }
    for operation in operations {
        if !operation.kind().is_of_field() {
            fields.extend(made(operation, None)?);
        }
    }
    for operation in operations {
        let mut called = fields.iter().filter(|of| same(of.name(), &operation.name));
        if called.next().is_some() && called.next().is_some() {
            return Err(OperationError::NameTaken {
                field: operation.field().to_owned(),
                name: operation.name.clone(),
            });
        }
    }
    Ok(Schema::new(fields))
}

/// The column that an operation makes if there is no table; `None` if it makes none.
fn made(
    operation: &Operation,
    field: Option<&FieldRef>,
) -> Result<Option<FieldRef>, OperationError> {
    let data_type = match operation.kind() {
        OperationKind::Drop => return Ok(None),
        OperationKind::Rename => field.map_or(DataType::Utf8, |field| field.data_type().clone()),
        OperationKind::Cast(cast) => parsed(&operation.name, cast)?.data_type().clone(),
        OperationKind::Constant(Constant::Boolean(_)) => DataType::Boolean,
        OperationKind::Constant(Constant::Integer(_))
        | OperationKind::Event(EventValue::Offset) => DataType::Int64,
        OperationKind::Event(EventValue::LandedAt) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        OperationKind::Constant(Constant::Text(_))
        | OperationKind::Key(_)
        | OperationKind::Event(EventValue::Source)
        | OperationKind::Mask(_)
        | OperationKind::Hash(_) => DataType::Utf8,
    };
    Ok(Some(lower_case_field(&operation.name, data_type)))
}

/// A nullable field. Names are in lower case, as in Glue.
fn lower_case_field(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name.to_lowercase(), data_type, true))
}

fn parsed(column: &str, cast: &str) -> Result<Field, OperationError> {
    hive_type::parse_field(column, cast).map_err(|error| OperationError::Cast {
        column: column.to_owned(),
        error,
    })
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

impl Operations {
    /// Compiles operations for `columns`, which are those of the files and of the path; `None` if there are no operations.
    /// `has_table`: whether the columns are those of a table, which must have one for each operation. `prefix`: the job's
    /// source. `secrets`: the secrets that the operations name.
    ///
    /// # Errors
    /// An operation does not fit the columns.
    pub fn new(
        operations: &[Operation],
        columns: &Fields,
        has_table: bool,
        prefix: &Location,
        secrets: &BTreeMap<SecretName, Secret>,
        parse_timestamp: ParseTimestamp,
    ) -> Result<Option<Self>, OperationError> {
        if operations.is_empty() {
            return Ok(None);
        }
        let mut compiled = Self {
            read: Schema::empty(),
            written: Arc::new(Schema::new(columns.clone())),
            steps: Vec::with_capacity(columns.len()),
            of_objects: Vec::new(),
            prefix: prefix.clone(),
            converter: Converter::new(parse_timestamp),
        };
        for operation in operations {
            let named = columns::own(columns, &operation.name)?;
            columns::own(columns, operation.field())?;
            if has_table && named.is_none() && operation.kind() != OperationKind::Drop {
                return Err(OperationError::NoColumn {
                    name: operation.name.clone(),
                    columns: columns.iter().map(|of| of.name().clone()).collect(),
                });
            }
        }
        let mut read = Vec::<FieldRef>::new();
        for column in columns {
            let named = |operation: &&Operation| {
                operation.kind() != OperationKind::Drop && same(&operation.name, column.name())
            };
            let step = match operations.iter().find(named) {
                Some(operation) => compiled.step(operation, column, secrets, &mut read)?,
                None => own_field(operations, column, &mut read)?,
            };
            compiled.steps.push(step);
        }
        // Dropped fields are read as nothing, so that they are not unknown.
        for operation in operations {
            let name = operation.field();
            if !read.iter().any(|of| same(of.name(), name)) {
                read.push(lower_case_field(name, DataType::Null));
            }
        }
        compiled.read = Schema::new(read);
        Ok(Some(compiled))
    }

    /// How an operation makes its column.
    fn step(
        &mut self,
        operation: &Operation,
        column: &FieldRef,
        secrets: &BTreeMap<SecretName, Secret>,
        read: &mut Vec<FieldRef>,
    ) -> Result<Step, OperationError> {
        let mut reads = |data_type: &DataType| {
            read.push(lower_case_field(operation.field(), data_type.clone()));
            read.len() - 1
        };
        Ok(match operation.kind() {
            OperationKind::Drop => Step::Nothing,
            OperationKind::Rename => Step::Read(reads(column.data_type())),
            OperationKind::Cast(cast) => {
                Step::Cast(reads(parsed(column.name(), cast)?.data_type()))
            }
            OperationKind::Mask(mask) => {
                only(column, &[DataType::Utf8], "what is masked is a string")?;
                Step::Mask(reads(&DataType::Utf8), mask)
            }
            OperationKind::Hash(name) => {
                only(column, &[DataType::Utf8], "a hash is a string")?;
                let secret = secrets.get(name);
                let secret = secret.ok_or_else(|| OperationError::NoSecret {
                    column: column.name().clone(),
                    secret: name.clone(),
                })?;
                Step::Hash(reads(&DataType::Utf8), secret.clone())
            }
            OperationKind::Constant(constant) => {
                let constant = text(constant);
                Step::Constant(value(&mut self.converter, Some(&constant), column)?)
            }
            OperationKind::Key(part) => self.object_value(OfObject::Part(part.clone()), column),
            OperationKind::Event(EventValue::Source) => {
                only(column, &[DataType::Utf8], "an object's name is a string")?;
                self.object_value(OfObject::Source, column)
            }
            OperationKind::Event(EventValue::LandedAt) => {
                if !matches!(column.data_type(), DataType::Timestamp(..)) {
                    only(
                        column,
                        &[DataType::Utf8],
                        "a time of landing is a timestamp or a string",
                    )?;
                }
                self.object_value(OfObject::LandedAt, column)
            }
            OperationKind::Event(EventValue::Offset) => {
                only(column, &[DataType::Int64], "an offset is a bigint")?;
                Step::Offset
            }
        })
    }

    fn object_value(&mut self, what: OfObject, column: &FieldRef) -> Step {
        self.of_objects.push((what, Arc::clone(column)));
        Step::Object(self.of_objects.len() - 1)
    }

    /// The columns that are read from the records.
    pub fn read_schema(&self) -> &Schema {
        &self.read
    }

    /// Whether a value that was read may not fit its column.
    pub fn may_refuse(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Cast(_)))
    }

    /// The values that the rows of an object have in common.
    ///
    /// # Errors
    /// Its key lacks a part, or has one that does not fit its column.
    pub fn object(
        &mut self,
        object: &Location,
        landed: Timestamp,
    ) -> Result<ObjectValues, OperationError> {
        let converter = &mut self.converter;
        let values = self.of_objects.iter().map(|(what, column)| match what {
            OfObject::Source => value(converter, Some(&object.to_string()), column),
            OfObject::LandedAt => {
                let landed = TimestampMicrosecondArray::from(vec![microseconds(landed)]);
                one(converter, &(Arc::new(landed) as ArrayRef), column)
            }
            OfObject::Part(part) => {
                let key = object.key.strip_prefix(&self.prefix.key);
                let found = part_of(key.unwrap_or(&object.key), part);
                let found = found.ok_or_else(|| OperationError::NoPart {
                    object: object.clone(),
                    part: match part {
                        KeyPart::Place(place) => place.to_string(),
                        KeyPart::Name(name) => format!("`{name}=`"),
                    },
                    column: column.name().clone(),
                })?;
                let text = (found != DEFAULT_PARTITION).then_some(&*found);
                value(converter, text, column)
            }
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let constants = self.steps.iter().filter_map(|step| match step {
            Step::Constant(value) => Some(value),
            _ => None,
        });
        let texts = constants.chain(&values).map(text_length).sum::<usize>();
        let is_hash = |step: &&Step| matches!(step, Step::Hash(..));
        let hashes = self.steps.iter().filter(is_hash).count();
        Ok(ObjectValues {
            values,
            bytes: texts + hashes * HASH_LENGTH,
        })
    }

    /// Makes the written columns from rows that were read. `rows`: for each row, the index of its object in `objects`, and
    /// its offset there.
    ///
    /// # Errors
    /// An array cannot be built.
    pub fn apply(
        &mut self,
        batch: &RecordBatch,
        objects: &[ObjectValues],
        rows: &[(usize, u64)],
    ) -> Result<Applied, ReadError> {
        let count = batch.num_rows();
        let zeros = std::cell::OnceCell::new();
        let read = |place: usize| {
            batch
                .columns()
                .get(place)
                .ok_or_else(|| ArrowError::SchemaError(format!("column {place} was not read")))
        };
        let mut made = Vec::with_capacity(self.steps.len());
        for (step, column) in self.steps.iter().zip(self.written.fields()) {
            made.push(match step {
                Step::Read(place) => Arc::clone(read(*place)?),
                Step::Nothing => new_null_array(column.data_type(), count),
                Step::Cast(place) => self.converter.convert(read(*place)?, column)?,
                Step::Mask(place, mask) => masked(read(*place)?, *mask)?,
                Step::Hash(place, secret) => hashed(read(*place)?, secret)?,
                Step::Constant(value) => {
                    let zeros = zeros.get_or_init(|| UInt32Array::from(vec![0; count]));
                    take(value, zeros, None)?
                }
                Step::Object(index) => {
                    let values = objects.iter().filter_map(|of| of.values.get(*index));
                    let values = values.map(|value| &**value).collect::<Vec<_>>();
                    let places = rows.iter().map(|(object, _)| (*object, 0));
                    interleave(&values, &places.collect::<Vec<_>>())?
                }
                Step::Offset => Arc::new(Int64Array::from_iter_values(
                    rows.iter()
                        .map(|(_, offset)| i64::try_from(*offset).unwrap_or(i64::MAX)),
                )),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(Applied {
            batch: RecordBatch::try_new_with_options(Arc::clone(&self.written), made, &options)?,
            mismatches: self.converter.take_mismatches().collect(),
        })
    }
}

impl ObjectValues {
    /// The bytes of text that the operations add to each row of the object.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How a column without an operation is made.
fn own_field(
    operations: &[Operation],
    column: &FieldRef,
    read: &mut Vec<FieldRef>,
) -> Result<Step, OperationError> {
    let takes = |operation: &&Operation| same(operation.field(), column.name());
    match operations.iter().find(takes) {
        Some(operation) if operation.kind() == OperationKind::Drop => Ok(Step::Nothing),
        Some(operation) => Err(OperationError::ReadTwice {
            column: operation.name.clone(),
            field: column.name().clone(),
        }),
        None => {
            read.push(Arc::clone(column));
            Ok(Step::Read(read.len() - 1))
        }
    }
}

/// Refuses a column of another type.
fn only(column: &FieldRef, types: &[DataType], wants: &'static str) -> Result<(), OperationError> {
    if types.contains(column.data_type()) {
        return Ok(());
    }
    let hive_type = hive_type::render(column.data_type());
    Err(OperationError::Type {
        column: column.name().clone(),
        hive_type: hive_type.unwrap_or_else(|_| column.data_type().to_string()),
        wants,
    })
}
