//! Closed sets: enums whose values have one text each, the same in the ledger, in plans, in JSON and in Python.
//!
//! A text that is not of the set is an error that names it, wherever it is read.

use serde::Serializer;
use std::fmt;

/// A text that is not of a closed set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// What the set is, as people call one of its values.
    pub set: &'static str,
    /// The text.
    pub text: String,
    /// The texts of the set.
    pub known: Vec<&'static str>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no {}; known are {}", self.text, self.set, self.known.join(", "))
    }
}

impl std::error::Error for Unknown {}

/// Serializes a value of a closed set, or an empty text for none.
///
/// # Errors
///
/// Those of the serializer.
// The signature is serde's.
#[allow(clippy::ref_option)]
pub fn text_or_empty<T: fmt::Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_str(""),
    }
}

/// Declares an enum of a closed set: its name, what one of its values is called, and each value with its text.
macro_rules! closed_set {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident, $set:literal {
            $($(#[$meaning:meta])* $value:ident = $text:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$meaning])* $value,)+
        }

        impl $name {
            /// All values, in the order in which people list them.
            pub const ALL: [$name; [$($text),+].len()] = [$($name::$value),+];

            /// The text of the value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$value => $text,)+
                }
            }

            /// The value with this text.
            #[must_use]
            pub fn of(text: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::closed_set::Unknown;

            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                Self::of(text).ok_or_else(|| crate::closed_set::Unknown {
                    set: $set,
                    text: text.to_owned(),
                    known: Self::ALL.map(Self::as_str).to_vec(),
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use closed_set;
