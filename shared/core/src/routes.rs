//! Which of several destinations a record goes to.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    config::Route,
    json::{JsonScalar, RecordError},
};

/// Where records go by the value of one of their fields. Destinations have numbers, in the order of the values.
#[derive(Debug, Clone)]
pub struct Routes {
    column: String,
    numbers: HashMap<String, usize>,
    otherwise: Option<usize>,
}

impl Routes {
    /// The routes of a job.
    pub fn new(route: &Route) -> Self {
        let values = route.tables.keys().cloned();
        let numbers: HashMap<_, _> = values.zip(0..).collect();
        Self {
            column: route.column.clone(),
            otherwise: numbers
                .get(&route.otherwise)
                .copied()
                .filter(|_| !route.is_quarantine()),
            numbers,
        }
    }

    /// The name of the field, or the path to it.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The destination of a record with this value, as text; `None` if the record has none.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn of(&self, value: Option<&str>) -> Result<usize, RecordError> {
        let known = value.and_then(|value| self.numbers.get(value));
        let number = known.copied().or(self.otherwise);
        number.ok_or_else(|| RecordError::NoRoute {
            column: self.column.clone(),
            value: value.map(str::to_owned),
        })
    }
}

/// A value as the text that routes are named by; `None` if there is none.
pub(crate) fn text_of<'a>(value: &'a JsonScalar<'a>) -> Option<Cow<'a, str>> {
    match value {
        JsonScalar::String(text) => Some(Cow::Borrowed(text)),
        JsonScalar::Number(text) => Some(Cow::Borrowed(text)),
        JsonScalar::Bool(true) => Some(Cow::Borrowed("true")),
        JsonScalar::Bool(false) => Some(Cow::Borrowed("false")),
        JsonScalar::Missing | JsonScalar::Null | JsonScalar::Other => None,
    }
}
