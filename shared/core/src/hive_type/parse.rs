use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, TimeUnit};
use thiserror::Error;

use super::{DECLARED, DEEPEST, ELEMENT, KEY, KEY_VALUE, VALUE};

/// A text that is not a Hive type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at character {position} of the type: {problem}")]
pub struct HiveTypeError {
    /// The position of the error, in characters counted from 1.
    pub position: usize,
    /// What is wrong.
    pub problem: HiveTypeProblem,
}

/// What is wrong with a type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HiveTypeProblem {
    /// The type does not exist or is not supported.
    #[error("`{0}` is not a supported type")]
    UnknownType(String),
    /// Something else was expected here.
    #[error("{0} is missing")]
    Expected(&'static str),
    /// Text follows the end of the type.
    #[error("the type is complete, but the text goes on")]
    Trailing,
    /// A length, precision or scale is out of range.
    #[error("{what} must lie within {least} and {most}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// The minimum.
        least: u32,
        /// The maximum.
        most: u32,
    },
    /// A map's key is a list, a map or a struct.
    #[error("the key of a map must be a primitive type")]
    NestedKey,
    /// Two fields of a struct have the same name, ignoring case.
    #[error("fields `{first}` and `{second}` of one struct differ only in case, or not at all")]
    DuplicateField {
        /// One field.
        first: String,
        /// The other.
        second: String,
    },
    /// Types are nested too deeply.
    #[error("types are nested more than {DEEPEST} deep")]
    TooDeep,
}

/// Parses a Hive type into an Arrow type. Case is ignored, and spaces are allowed between the parts.
///
/// # Errors
/// The text is not a Hive type; the error has the position.
pub fn parse(text: &str) -> Result<DataType, HiveTypeError> {
    parse_field("", text).map(|field| field.data_type().clone())
}

/// Parses a Hive type into a nullable field. A declared length (`char(n)`, `varchar(n)`) is in the field's metadata
/// under [`DECLARED`].
///
/// # Errors
/// The text is not a Hive type; the error has the position.
pub fn parse_field(name: &str, text: &str) -> Result<Field, HiveTypeError> {
    let mut parser = Parser { text, at: 0 };
    let field = parser.field(name, 0)?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.error(HiveTypeProblem::Trailing));
    }
    Ok(field)
}

struct Parser<'a> {
    text: &'a str,
    /// A byte position at the start of a character.
    at: usize,
}

type Parsed<T> = Result<T, HiveTypeError>;

impl<'a> Parser<'a> {
    /// A type, as a field so that the metadata can contain what the Arrow type cannot express.
    fn field(&mut self, name: &str, depth: usize) -> Parsed<Field> {
        self.skip_space();
        let start = self.at;
        if depth > DEEPEST {
            return Err(self.error(HiveTypeProblem::TooDeep));
        }
        let word = self.word();
        let data_type = match word.to_ascii_lowercase().as_str() {
            "boolean" => DataType::Boolean,
            "tinyint" => DataType::Int8,
            "smallint" => DataType::Int16,
            "int" | "integer" => DataType::Int32,
            "bigint" => DataType::Int64,
            "float" => DataType::Float32,
            "double" => DataType::Float64,
            "string" => DataType::Utf8,
            "binary" => DataType::Binary,
            "date" => DataType::Date32,
            "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, self.local_time_zone()),
            "decimal" => self.decimal()?,
            "char" => return self.text_of_length(name, "char", 255),
            "varchar" => return self.text_of_length(name, "varchar", 65_535),
            "array" => self.array(depth)?,
            "map" => self.map(depth)?,
            "struct" => self.structure(depth)?,
            _ => {
                self.at = start;
                let problem = if word.is_empty() {
                    HiveTypeProblem::Expected("a type")
                } else {
                    HiveTypeProblem::UnknownType(word.to_owned())
                };
                return Err(self.error(problem));
            }
        };
        Ok(Field::new(name, data_type, true))
    }

    fn array(&mut self, depth: usize) -> Parsed<DataType> {
        self.expect('<', "`<`")?;
        let element = self.field(ELEMENT, depth + 1)?;
        self.expect('>', "`>`")?;
        Ok(DataType::List(Arc::new(element)))
    }

    fn map(&mut self, depth: usize) -> Parsed<DataType> {
        self.expect('<', "`<`")?;
        self.skip_space();
        let start = self.at;
        let key = self.field(KEY, depth + 1)?.with_nullable(false);
        if key.data_type().is_nested() {
            self.at = start;
            return Err(self.error(HiveTypeProblem::NestedKey));
        }
        self.expect(',', "`,`")?;
        let value = self.field(VALUE, depth + 1)?;
        self.expect('>', "`>`")?;
        let entries = DataType::Struct(vec![key, value].into());
        Ok(DataType::Map(
            Arc::new(Field::new(KEY_VALUE, entries, false)),
            false,
        ))
    }

    fn structure(&mut self, depth: usize) -> Parsed<DataType> {
        self.expect('<', "`<`")?;
        let mut fields = Vec::new();
        let mut names = BTreeMap::new();
        loop {
            self.skip_space();
            let start = self.at;
            let name = self.field_name()?;
            if let Some(first) = names.insert(name.to_lowercase(), name.clone().into_owned()) {
                self.at = start;
                return Err(self.error(HiveTypeProblem::DuplicateField {
                    first,
                    second: name.into_owned(),
                }));
            }
            self.expect(':', "`:`")?;
            fields.push(self.field(&name, depth + 1)?);
            if !self.take(',') {
                break;
            }
        }
        self.expect('>', "`,` or `>`")?;
        Ok(DataType::Struct(fields.into()))
    }

    /// Everything up to the colon, or a name in backquotes with inner backquotes doubled.
    fn field_name(&mut self) -> Parsed<Cow<'a, str>> {
        let rest = self.rest();
        let missing = HiveTypeProblem::Expected("a field's name");
        if let Some(quoted) = rest.strip_prefix('`') {
            let mut name = String::new();
            let mut characters = quoted.char_indices().peekable();
            while let Some((index, character)) = characters.next() {
                if character != '`' {
                    name.push(character);
                } else if characters.next_if(|(_, next)| *next == '`').is_some() {
                    name.push('`');
                } else if name.is_empty() {
                    break;
                } else {
                    self.at += index + "``".len();
                    return Ok(Cow::Owned(name));
                }
            }
            return Err(self.error(missing));
        }
        let end = rest.find([':', ',', '<', '>']).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default().trim_end();
        if name.is_empty() {
            return Err(self.error(missing));
        }
        self.at += name.len();
        Ok(Cow::Borrowed(name))
    }

    fn decimal(&mut self) -> Parsed<DataType> {
        if !self.take('(') {
            return Ok(DataType::Decimal128(10, 0));
        }
        let most = DECIMAL128_MAX_PRECISION;
        let precision = self.number("a decimal's precision", 1, u32::from(most))?;
        let scale = if self.take(',') {
            self.number("a decimal's scale", 0, precision)?
        } else {
            0
        };
        self.expect(')', "`)`")?;
        // Both are at most 38.
        Ok(DataType::Decimal128(
            u8::try_from(precision).unwrap_or(most),
            i8::try_from(scale).unwrap_or_default(),
        ))
    }

    fn text_of_length(&mut self, name: &str, word: &str, most: u32) -> Parsed<Field> {
        self.expect('(', "`(`")?;
        let length = self.number("a length", 1, most)?;
        self.expect(')', "`)`")?;
        let declared = (DECLARED.to_owned(), format!("{word}({length})"));
        Ok(Field::new(name, DataType::Utf8, true).with_metadata([declared]))
    }

    /// `with local time zone`, if it follows here.
    fn local_time_zone(&mut self) -> Option<Arc<str>> {
        let start = self.at;
        for expected in ["with", "local", "time", "zone"] {
            self.skip_space();
            if !self.word().eq_ignore_ascii_case(expected) {
                self.at = start;
                return None;
            }
        }
        Some("UTC".into())
    }

    fn number(&mut self, what: &'static str, least: u32, most: u32) -> Parsed<u32> {
        self.skip_space();
        let start = self.at;
        let rest = self.rest();
        let end = rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(rest.len());
        let digits = rest.get(..end).unwrap_or_default();
        if digits.is_empty() {
            return Err(self.error(HiveTypeProblem::Expected(what)));
        }
        self.at += end;
        match digits.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => {
                self.at = start;
                Err(self.error(HiveTypeProblem::OutOfRange { what, least, most }))
            }
        }
    }

    /// The letters, digits and underscores at this position.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn expect(&mut self, character: char, what: &'static str) -> Parsed<()> {
        if self.take(character) {
            Ok(())
        } else {
            Err(self.error(HiveTypeProblem::Expected(what)))
        }
    }

    fn take(&mut self, character: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(character);
        if found {
            self.at += character.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, problem: HiveTypeProblem) -> HiveTypeError {
        let before = self.text.get(..self.at).unwrap_or_default();
        HiveTypeError {
            position: before.chars().count() + 1,
            problem,
        }
    }
}
