//! Finds values of one type each in a list, `nvlist_lookup_*` of libnvpair.

use crate::{NvList, Text, Value};

/// Lookups of one type each. As with libnvpair, a value of another type is as good as none.
impl NvList {
    /// Whether the name is there as [`Value::Boolean`].
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Boolean))
    }

    /// The [`Value::BooleanValue`] of that name.
    #[must_use]
    pub fn boolean_value(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::BooleanValue(value) => Some(*value),
            _ => None,
        }
    }

    /// The [`Value::Uint64`] of that name.
    #[must_use]
    pub fn u64(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Uint64(value) => Some(*value),
            _ => None,
        }
    }

    /// The [`Value::String`] of that name, if it is UTF-8.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.text(name)?.to_str()
    }

    /// The [`Value::String`] of that name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&Text> {
        match self.get(name)? {
            Value::String(value) => Some(value),
            _ => None,
        }
    }

    /// The [`Value::NvList`] of that name.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&Self> {
        match self.get(name)? {
            Value::NvList(value) => Some(value),
            _ => None,
        }
    }

    /// The [`Value::NvListArray`] of that name.
    #[must_use]
    pub fn lists(&self, name: &str) -> Option<&[Self]> {
        match self.get(name)? {
            Value::NvListArray(values) => Some(values),
            _ => None,
        }
    }

    /// The [`Value::Uint64Array`] of that name.
    #[must_use]
    pub fn u64s(&self, name: &str) -> Option<&[u64]> {
        match self.get(name)? {
            Value::Uint64Array(values) => Some(values),
            _ => None,
        }
    }

    /// The [`Value::ByteArray`] or [`Value::Uint8Array`] of that name.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.get(name)? {
            Value::ByteArray(values) | Value::Uint8Array(values) => Some(values),
            _ => None,
        }
    }

    /// The [`Value::StringArray`] of that name.
    #[must_use]
    pub fn strs(&self, name: &str) -> Option<&[Text]> {
        match self.get(name)? {
            Value::StringArray(values) => Some(values),
            _ => None,
        }
    }
}
