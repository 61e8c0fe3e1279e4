//! Strings as ZFS has them: bytes that end at the first NUL.

use std::fmt;

/// A string value: any bytes but NUL, most often UTF-8, but nothing in ZFS sees to that.
///
/// Where bytes come from C they end at the first NUL, and so they do here: whatever is made into a `Text` is cut there.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes up to the first NUL, or all of them where there is none.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.split(|byte| *byte == 0).next().unwrap_or_default().into())
    }

    /// The bytes, without a NUL at the end.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The string, if it is UTF-8.
    #[must_use]
    pub const fn to_str(&self) -> Option<&str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Some(text),
            Err(_) => None,
        }
    }

    /// How many bytes there are, without a NUL at the end.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes the text with U+FFFD in the place of what is not UTF-8.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(text.as_bytes())
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_at_the_first_nul() {
        assert_eq!(Text::new(b"ab\0cd"), "ab");
        assert_eq!(Text::from("\0"), "");
        assert!(Text::default().is_empty());
    }

    #[test]
    fn keeps_bytes_that_are_no_characters() {
        let text = Text::new(b"caf\xe9");
        assert_eq!(text.to_str(), None);
        assert_eq!(text.as_bytes(), b"caf\xe9");
        assert_eq!(text.to_string(), "caf\u{fffd}");
        assert_eq!(format!("{text:?}"), "\"caf\\xe9\"");
    }
}
