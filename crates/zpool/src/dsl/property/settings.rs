//! What was set in one place: the table of properties of a directory or a snapshot.
//!
//! ```text
//! compression           set here (a number, or a text with its terminating zero)
//! compression$recvd     received with a stream; counts where nothing was set here
//! compression$inherit   inherited on purpose, so that what was received does not count
//! compression$iuv       a value that older versions do not know; `compression` then holds one that they do
//! com.example:tag       a user's property, with the same suffixes
//! ```
//!
//! Other suffixes are passed over: `$hasrecvd` stands for itself.

use super::Property;
use crate::dmu::Object;
use crate::spa::BlockReader;
use crate::zap::{self, ZapEntry, ZapValue};
use crate::{Corrupt, Error};
use std::collections::HashSet;
use zferry_nvlist::Text;

/// How much memory what was set in one place may take, in bytes: it is kept for every directory that is listed.
const BYTES_MAX: usize = 1 << 20;

/// The value of a property as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, or one for which a word stands.
    Number(u64),
    /// A text.
    Text(String),
}

impl Value {
    /// The value, where it is a number.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    /// The value, where it is a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(text),
        }
    }

    fn stored(value: &ZapValue) -> Option<Self> {
        match value.width() {
            1 => value.as_str().map(Self::Text),
            // Of several numbers, ZFS takes the first.
            8 => value.as_u64s()?.first().copied().map(Self::Number),
            _ => None,
        }
    }
}

/// A property that counts in a place, or one that was received there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The property's name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// A text as it is stored, where it is no UTF-8 and `value` only resembles it.
    pub exact: Option<Text>,
    /// Whether it came with a stream.
    pub is_received: bool,
}

/// What was set in one place.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    effective: Vec<Setting>,
    received: Vec<Setting>,
    /// Whether properties were ever received here.
    pub(super) has_received: bool,
}

impl Settings {
    /// Reads a table of properties.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(reader: &BlockReader, table: &Object) -> Result<Self, Error> {
        let entries = zap::entries_in_cursor_order_within(BYTES_MAX, reader, table)?;
        Self::sort_out(&entries).ok_or_else(|| {
            Corrupt::new(format!(
                "table of properties {} has a value of no kind",
                table.number
            ))
            .into()
        })
    }

    fn sort_out(entries: &[ZapEntry]) -> Option<Self> {
        let names: Vec<String> = entries.iter().map(ZapEntry::name_lossy).collect();
        let all: HashSet<&str> = names.iter().map(String::as_str).collect();
        let has = |name: &str, suffix: &str| all.contains(format!("{name}{suffix}").as_str());
        let mut settings = Self::default();
        for (full_name, entry) in names.iter().zip(entries) {
            let (name, suffix) = full_name
                .find('$')
                .map_or((full_name.as_str(), ""), |at| full_name.split_at(at));
            let setting = || {
                let value = Value::stored(&entry.value)?;
                Some(Setting {
                    name: name.to_owned(),
                    value,
                    exact: exact(&entry.value),
                    is_received: suffix == "$recvd",
                })
            };
            match suffix {
                "" if !has(name, "$iuv") => settings.effective.push(setting()?),
                "$iuv" => {
                    let setting = setting()?;
                    if is_known_word(name, &setting.value) {
                        // Nothing tells where it came from, so it passes for received as well.
                        settings.received.push(setting.clone());
                        settings.effective.push(setting);
                    }
                }
                "$recvd" => {
                    settings.received.push(setting()?);
                    let overridden = all.contains(name);
                    if !overridden && !has(name, "$inherit") {
                        settings.effective.push(setting()?);
                    }
                }
                "$hasrecvd" => settings.has_received = true,
                _ => {}
            }
        }
        Some(settings)
    }

    /// What counts here, in the order in which ZFS walks through the table.
    pub fn effective(&self) -> impl Iterator<Item = &Setting> {
        self.effective.iter()
    }

    /// What counts here for a property, by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.effective.iter().find(|setting| setting.name == name)
    }

    /// What was received here, whether it counts or not, if anything was: see
    /// [`DslPool::received_settings`](crate::dsl::DslPool::received_settings).
    pub(super) fn received(&self) -> impl Iterator<Item = &Setting> {
        self.received.iter()
    }
}

fn exact(value: &ZapValue) -> Option<Text> {
    let text = Text::new(value.as_bytes()?);
    text.to_str().is_none().then_some(text)
}

fn is_known_word(name: &str, value: &Value) -> bool {
    let property = Property::ALL.iter().find(|property| property.name() == name);
    property.is_some_and(|property| {
        value
            .number()
            .is_some_and(|number| property.description().word(number).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, value: u64) -> ZapEntry {
        ZapEntry {
            name: name.as_bytes().to_vec(),
            value: ZapValue::number(value),
        }
    }

    #[test]
    fn what_was_received_counts_where_nothing_was_set() {
        let entries = [
            number("copies$recvd", 2),
            number("atime", 0),
            number("atime$recvd", 1),
            number("exec$recvd", 0),
            number("exec$inherit", 0),
            number("$hasrecvd", 0),
        ];
        let settings = Settings::sort_out(&entries).unwrap();
        let effective: Vec<_> = settings
            .effective()
            .map(|s| (s.name.as_str(), s.is_received))
            .collect();
        assert_eq!(effective, [("copies", true), ("atime", false)]);
        assert_eq!(settings.received().count(), 3);
        assert!(settings.has_received);
        assert_eq!(settings.get("exec"), None);
    }

    #[test]
    fn a_value_for_newer_versions_counts_where_it_is_known() {
        let entries = [
            number("redundant_metadata", 1),
            number("redundant_metadata$iuv", 2),
        ];
        let settings = Settings::sort_out(&entries).unwrap();
        assert_eq!(
            settings.get("redundant_metadata").unwrap().value,
            Value::Number(2)
        );
        let unknown = [
            number("redundant_metadata", 1),
            number("redundant_metadata$iuv", 9),
        ];
        assert_eq!(
            Settings::sort_out(&unknown).unwrap().get("redundant_metadata"),
            None
        );
    }
}
