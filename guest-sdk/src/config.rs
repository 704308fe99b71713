//! Settings of a profile.

/// A setting of the Worker's profile.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// Text.
    Text(String),
    /// A kind that this version has no name for, as JSON text.
    Other(String),
}

/// A type that a setting can be read as: `bool`, `i64`, `f64`, `String`, or [`ConfigValue`] for
/// whatever it is. A whole number also reads as `f64`.
pub trait FromConfig: Sized {
    /// What the setting should have been, for the message of a
    /// [`ConfigError`](crate::ConfigError).
    const EXPECTED: &'static str;

    /// The value as this type, unless it is of another.
    fn from_config(value: ConfigValue) -> Option<Self>;
}

impl FromConfig for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_config(value: ConfigValue) -> Option<Self> {
        if let ConfigValue::Boolean(value) = value { Some(value) } else { None }
    }
}

impl FromConfig for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn from_config(value: ConfigValue) -> Option<Self> {
        if let ConfigValue::Integer(value) = value { Some(value) } else { None }
    }
}

impl FromConfig for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_config(value: ConfigValue) -> Option<Self> {
        match value {
            ConfigValue::Number(value) => Some(value),
            ConfigValue::Integer(value) => Some(value as Self),
            ConfigValue::Boolean(_) | ConfigValue::Text(_) | ConfigValue::Other(_) => None,
        }
    }
}

impl FromConfig for String {
    const EXPECTED: &'static str = "text";

    fn from_config(value: ConfigValue) -> Option<Self> {
        if let ConfigValue::Text(value) = value { Some(value) } else { None }
    }
}

impl FromConfig for ConfigValue {
    const EXPECTED: &'static str = "a setting";

    fn from_config(value: ConfigValue) -> Option<Self> {
        Some(value)
    }
}

impl From<bool> for ConfigValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for ConfigValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for ConfigValue {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for ConfigValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for ConfigValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
