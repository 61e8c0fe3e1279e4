//! The values of a pool's properties, as zpool(8) shows them.

use super::Handle;
use crate::output::nice::{nice_bytes, nice_number, ratio};
use zferry_zpool::Error;
use zferry_zpool::dsl::property::{Found, PoolProperty, Source, Value, is_user_property};
use zferry_zpool::spa::Feature;

/// A property, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PropertyName {
    /// One that ZFS knows.
    Native(PoolProperty),
    /// One that a user made up: with a colon.
    User(String),
    /// `feature@…`, with the full name.
    Feature(String),
    /// `unsupported@…`, with the full name.
    Unsupported(String),
}

impl PropertyName {
    /// The property of a name; `None` where there is none.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if let Some(property) = PoolProperty::by_name(name) {
            return Some(Self::Native(property));
        }
        if name.starts_with("feature@") {
            return Some(Self::Feature(name.to_owned()));
        }
        if name.starts_with("unsupported@") {
            return Some(Self::Unsupported(name.to_owned()));
        }
        is_user_property(name).then(|| Self::User(name.to_owned()))
    }

    /// The name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Native(property) => property.name(),
            Self::User(name) | Self::Feature(name) | Self::Unsupported(name) => name,
        }
    }

    /// The header of its column in a list.
    pub(super) fn header(&self) -> String {
        match self {
            Self::Native(property) => property.description().column.to_owned(),
            _ => self.name().to_ascii_uppercase(),
        }
    }

    /// Whether a list aligns it to the right.
    pub(super) const fn is_right_aligned(&self) -> bool {
        match self {
            Self::Native(property) => property.description().right_aligned,
            _ => false,
        }
    }
}

/// A value as it is shown, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) source: Source,
}

impl Handle<'_> {
    /// A property as it is shown. `None` for a feature that does not exist.
    pub(super) fn shown(&self, property: &PropertyName, literal: bool) -> Result<Option<Shown>, Error> {
        let local = |text: String| {
            Some(Shown {
                text,
                source: Source::Local,
            })
        };
        Ok(match property {
            PropertyName::Native(property) => Some(self.native(*property, literal)?),
            PropertyName::User(name) => {
                let all = self.dsl.pool_user_properties()?;
                let found = all.into_iter().find(|(other, _)| other == name);
                let default = || {
                    Some(Shown {
                        text: "-".to_owned(),
                        source: Source::Default,
                    })
                };
                found.map_or_else(default, |(_, value)| local(value))
            }
            PropertyName::Feature(name) => {
                let feature = name.strip_prefix("feature@").and_then(Feature::by_name);
                match feature {
                    Some(feature) => local(self.dsl.feature_state(feature)?.name().to_owned()),
                    None => None,
                }
            }
            PropertyName::Unsupported(name) => {
                let guid = name.strip_prefix("unsupported@").unwrap_or_default();
                let count = self.dsl.feature_counts()?.iter().find(|(other, _)| other == guid);
                let word = count.map(|(_, count)| if *count == 0 { "inactive" } else { "readonly" });
                word.and_then(|word| local(word.to_owned()))
            }
        })
    }

    fn native(&self, property: PoolProperty, literal: bool) -> Result<Shown, Error> {
        let found = self.dsl.pool_property(property)?;
        let nothing = || Found {
            value: Value::Text("-".to_owned()),
            source: Source::Default,
        };
        let found = found.unwrap_or_else(nothing);
        let text = match &found.value {
            Value::Text(text) => text.clone(),
            Value::Number(_) if property == PoolProperty::Health => self.state().to_string(),
            Value::Number(number) => show(property, *number, literal),
        };
        Ok(Shown {
            text,
            source: found.source,
        })
    }

    /// The names of the features that the pool counts and that are not known.
    pub(super) fn unsupported_features(&self) -> Result<Vec<String>, Error> {
        let counts = self.dsl.feature_counts()?.iter();
        let unknown = counts.filter(|(guid, _)| Feature::by_guid(guid).is_none());
        Ok(unknown.map(|(guid, _)| format!("unsupported@{guid}")).collect())
    }
}

fn show(property: PoolProperty, number: u64, literal: bool) -> String {
    let percent = if literal { "" } else { "%" };
    match property {
        PoolProperty::Version if number >= 5000 => "-".to_owned(),
        PoolProperty::DedupTableQuota if number == u64::MAX => "auto".to_owned(),
        PoolProperty::DedupTableQuota if number == 0 && !literal => "none".to_owned(),
        PoolProperty::ExpandSize | PoolProperty::Checkpoint if number == 0 => "-".to_owned(),
        PoolProperty::ExpandSize | PoolProperty::Checkpoint if !literal => nice_bytes(number),
        PoolProperty::Capacity => format!("{number}{percent}"),
        PoolProperty::Fragmentation if number == u64::MAX => "-".to_owned(),
        PoolProperty::Fragmentation => format!("{number}{percent}"),
        PoolProperty::DedupRatio | PoolProperty::BcloneRatio => ratio(number, literal),
        PoolProperty::Size
        | PoolProperty::Allocated
        | PoolProperty::Free
        | PoolProperty::Freeing
        | PoolProperty::Leaked
        | PoolProperty::Ashift
        | PoolProperty::MaxBlockSize
        | PoolProperty::MaxDnodeSize
        | PoolProperty::BcloneSaved
        | PoolProperty::BcloneUsed
        | PoolProperty::DedupTableSize
        | PoolProperty::DedupTableQuota
        | PoolProperty::DedupCached
            if !literal =>
        {
            nice_number(number)
        }
        _ => property
            .description()
            .word(number)
            .map_or_else(|| number.to_string(), str::to_owned),
    }
}
