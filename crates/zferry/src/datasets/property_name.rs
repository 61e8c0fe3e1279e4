//! The names that stand for properties on a command line: native ones, users' own, and those with a parameter.

use zferry_zpool::dsl::UserSpace;
use zferry_zpool::dsl::property::{Property, is_user_property};

/// A property, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PropertyName {
    /// One that ZFS knows.
    Native(Property),
    /// One that a user made up: with a colon.
    User(String),
    /// `userused@…` and its like, with the full name.
    UserSpace(UserSpace, String),
    /// `written@…` or `written#…`.
    Written(String),
}

impl PropertyName {
    /// The property of a name; `None` where there is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if let Some(property) = Property::by_name(name) {
            return Some(Self::Native(property));
        }
        if is_user_property(name) {
            return Some(Self::User(name.to_owned()));
        }
        if let Some((which, _)) = UserSpace::parse(name) {
            return Some(Self::UserSpace(which, name.to_owned()));
        }
        let is_written = name.starts_with("written@") || name.starts_with("written#");
        is_written.then(|| Self::Written(name.to_owned()))
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Native(property) => property.name(),
            Self::User(name) | Self::UserSpace(_, name) | Self::Written(name) => name,
        }
    }

    /// The header of its column in a list.
    pub(crate) fn header(&self) -> String {
        match self {
            Self::Native(property) => property.description().column.to_owned(),
            _ => self.name().to_ascii_uppercase(),
        }
    }

    /// Whether a list aligns it to the right.
    pub(crate) const fn is_right_aligned(&self) -> bool {
        match self {
            Self::Native(property) => property.description().right_aligned,
            Self::User(_) => false,
            Self::UserSpace(..) | Self::Written(_) => true,
        }
    }

    /// Whether the header in a list is aligned to the right: that of a property with a parameter never is.
    pub(crate) const fn has_right_aligned_header(&self) -> bool {
        match self {
            Self::Native(property) => property.description().right_aligned,
            _ => false,
        }
    }
}
