//! Arguments as a model writes them.

use std::{error, fmt};

use serde_json::{Map, Value};

/// The arguments of a call: the fields of a JSON object.
///
/// A field that is `null` counts as absent, and numbers and flags may stand in quotes: models write
/// such. Everything else that is not as the schema says is an error that names the field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    fields: Map<String, Value>,
}

/// What is wrong with arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentError {
    /// They are not JSON; the words say where that shows.
    NotJson(String),
    /// They are JSON, and no object.
    NotAnObject,
    /// A field that has to be there is not.
    Missing {
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is not what it should be.
    Unexpected {
        /// The field.
        field: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A field that the tool does not have.
    Unknown {
        /// The field.
        field: String,
        /// Those it has.
        known: Vec<String>,
    },
}

const TEXT: &str = "text";
const WHOLE_NUMBER: &str = "a whole number, 0 or more";
const FLAG: &str = "true or false";
const TEXTS: &str = "a list of texts";

impl Arguments {
    /// Reads the JSON text of an object. Empty text counts as an empty object: some providers send
    /// it for a tool without arguments.
    pub fn parse(json: &str) -> Result<Self, ArgumentError> {
        if json.trim().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_str(json) {
            Ok(Value::Object(fields)) => Ok(Self { fields }),
            Ok(_) => Err(ArgumentError::NotAnObject),
            Err(error) => Err(ArgumentError::NotJson(error.to_string())),
        }
    }

    /// Fails if there is a field beyond these.
    pub fn only(&self, known: &[&str]) -> Result<(), ArgumentError> {
        match self.fields.keys().find(|field| !known.contains(&field.as_str())) {
            Some(field) => Err(ArgumentError::Unknown {
                field: field.clone(),
                known: known.iter().map(|&field| field.to_owned()).collect(),
            }),
            None => Ok(()),
        }
    }

    /// A text that has to be there.
    pub fn text(&self, field: &str) -> Result<&str, ArgumentError> {
        self.optional_text(field)?.ok_or_else(|| missing(field, TEXT))
    }

    /// A text that may be absent.
    pub fn optional_text(&self, field: &str) -> Result<Option<&str>, ArgumentError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(unexpected(field, TEXT, other)),
        }
    }

    /// A whole number, not below 0, that has to be there.
    pub fn whole_number(&self, field: &str) -> Result<u64, ArgumentError> {
        self.optional_whole_number(field)?.ok_or_else(|| missing(field, WHOLE_NUMBER))
    }

    /// A whole number, not below 0, that may be absent.
    pub fn optional_whole_number(&self, field: &str) -> Result<Option<u64>, ArgumentError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| unexpected(field, WHOLE_NUMBER, value))
    }

    /// A flag; absent, it is not set.
    pub fn flag(&self, field: &str) -> Result<bool, ArgumentError> {
        match self.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(unexpected(field, FLAG, other)),
        }
    }

    /// A list of texts; absent, it is empty.
    pub fn texts(&self, field: &str) -> Result<Vec<&str>, ArgumentError> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        value
            .as_array()
            .and_then(|values| values.iter().map(Value::as_str).collect())
            .ok_or_else(|| unexpected(field, TEXTS, value))
    }

    /// A field as JSON text, for what the other functions do not read.
    #[must_use]
    pub fn json(&self, field: &str) -> Option<String> {
        self.get(field).map(Value::to_string)
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }
}

impl ArgumentError {
    /// A field whose value is of the right type and still cannot be used.
    #[must_use]
    pub fn unexpected(
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Unexpected { field: field.into(), expected: expected.into(), found: found.into() }
    }
}

/// What a number with a fraction of zero is without it.
fn whole(number: f64) -> Option<u64> {
    /// Beyond it not every whole number is one.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = (0.0..=EXACT).contains(&number) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, not negative and in range"
    )]
    is_whole.then_some(number as u64)
}

fn missing(field: &str, expected: &'static str) -> ArgumentError {
    ArgumentError::Missing { field: field.to_owned(), expected }
}

fn unexpected(field: &str, expected: &str, found: &Value) -> ArgumentError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ArgumentError::unexpected(field, expected, found)
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(reason) => write!(f, "they are not JSON: {reason}"),
            Self::NotAnObject => {
                f.write_str("they are not a JSON object, like {\"path\": \"a.txt\"}")
            }
            Self::Missing { field, expected } => {
                write!(f, "the field `{field}` is missing; it is {expected}")
            }
            Self::Unexpected { field, expected, found } => {
                write!(f, "the field `{field}` has to be {expected}, not {found}")
            }
            Self::Unknown { field, known } if known.is_empty() => {
                write!(f, "there is no field `{field}`; the tool takes none")
            }
            Self::Unknown { field, known } => {
                write!(f, "there is no field `{field}`; the fields are `{}`", known.join("`, `"))
            }
        }
    }
}

impl error::Error for ArgumentError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(json: &str) -> Arguments {
        Arguments::parse(json).expect("an object")
    }

    #[test]
    fn fields_are_read_by_their_type() {
        let arguments = arguments(r#"{"t":"x","n":3,"f":true,"l":["a","b"],"o":{"k":1},"z":null}"#);
        assert_eq!(arguments.text("t"), Ok("x"));
        assert_eq!(arguments.whole_number("n"), Ok(3));
        assert_eq!(arguments.flag("f"), Ok(true));
        assert_eq!(arguments.texts("l"), Ok(vec!["a", "b"]));
        assert_eq!(arguments.json("o").as_deref(), Some(r#"{"k":1}"#));
        assert_eq!(arguments.optional_text("z"), Ok(None), "null is absent");
        assert_eq!((arguments.flag("z"), arguments.texts("z")), (Ok(false), Ok(vec![])));
    }

    #[test]
    fn what_models_write_for_a_number_or_a_flag_is_one() {
        let arguments = arguments(r#"{"a":"10","b":2.0,"c":"true","d":-1,"e":1.5,"f":1e300}"#);
        assert_eq!(arguments.whole_number("a"), Ok(10));
        assert_eq!(arguments.whole_number("b"), Ok(2));
        assert_eq!(arguments.flag("c"), Ok(true));
        for field in ["d", "e", "f"] {
            assert!(arguments.whole_number(field).is_err(), "{field}");
        }
    }

    #[test]
    fn an_error_names_the_field_and_what_is_expected() {
        let arguments = arguments(r#"{"n":"many","file":1}"#);
        let said = |error: ArgumentError| error.to_string();
        assert_eq!(
            arguments.whole_number("n").map_err(said),
            Err("the field `n` has to be a whole number, 0 or more, not text".to_owned())
        );
        assert_eq!(
            arguments.text("path").map_err(said),
            Err("the field `path` is missing; it is text".to_owned())
        );
        assert_eq!(
            arguments.only(&["path", "n"]).map_err(said),
            Err("there is no field `file`; the fields are `path`, `n`".to_owned())
        );
    }

    #[test]
    fn malformed_arguments_say_where() {
        let error = Arguments::parse(r#"{"path": "a"#).expect_err("cut");
        assert!(error.to_string().contains("line 1 column"), "{error}");
        assert_eq!(Arguments::parse("[1]"), Err(ArgumentError::NotAnObject));
        assert_eq!(Arguments::parse(" "), Ok(Arguments::default()));
    }
}
