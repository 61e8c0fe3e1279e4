//! JSON, as OpenZFS writes it: no blanks, names in the order in which they were added, all of it ASCII.

use std::fmt::{self, Display, Write};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Text(String),
    Number(u64),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// An object of these members.
    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number: as such, or as a text, which keeps all its digits everywhere.
    pub(crate) fn number(number: u64, as_int: bool) -> Self {
        if as_int {
            Self::Number(number)
        } else {
            Self::Text(number.to_string())
        }
    }

    /// What was printed for people or scripts: a number where it is wanted and is one.
    pub(crate) fn printed(text: &str, as_int: bool) -> Self {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        // What is too large for a number of 64 bits stops there.
        let number = || {
            if text.is_empty() {
                0
            } else {
                text.parse().unwrap_or(u64::MAX)
            }
        };
        if as_int && digits {
            Self::Number(number())
        } else {
            Self::text(text)
        }
    }

    /// What every output begins with: which command made it, and the version of its form.
    pub(crate) fn version(command: &str) -> (String, Self) {
        let version = Self::object([
            ("command", Self::text(command)),
            ("vers_major", Self::Number(0)),
            ("vers_minor", Self::Number(1)),
        ]);
        ("output_version".to_owned(), version)
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            ' '..='\u{7f}' => f.write_char(character)?,
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_their_order_and_texts_are_escaped() {
        let json = Json::object([
            ("b", Json::text("a\"b\\\n\u{1}ä\u{1f600}")),
            ("a", Json::Number(7)),
            ("c", Json::object([])),
        ]);
        assert_eq!(
            json.to_string(),
            r#"{"b":"a\"b\\\n\u0001\u00e4\ud83d\ude00","a":7,"c":{}}"#
        );
    }

    #[test]
    fn digits_alone_are_a_number() {
        assert_eq!(Json::printed("12", true), Json::Number(12));
        assert_eq!(Json::printed("12", false), Json::text("12"));
        assert_eq!(Json::printed("1.2", true), Json::text("1.2"));
    }
}
