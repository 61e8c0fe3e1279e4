//! What zfs(8) knows of a property beside its value: how it is called, to what it applies, how it is shown.

use super::index::IndexValue;

bitflags::bitflags! {
    /// Kinds of what a name can lead to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DatasetTypes: u8 {
        /// A file system.
        const FILESYSTEM = 1 << 0;
        /// A snapshot of a file system or a volume.
        const SNAPSHOT = 1 << 1;
        /// A volume.
        const VOLUME = 1 << 2;
        /// A bookmark.
        const BOOKMARK = 1 << 4;
        /// What zfs(8) calls a dataset: a file system, a volume or a snapshot.
        const DATASET = Self::FILESYSTEM.bits() | Self::SNAPSHOT.bits() | Self::VOLUME.bits();
    }
}

/// What a property's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number {
        /// What it is where nothing was set.
        default: u64,
    },
    /// A number for which words stand.
    Index {
        /// What it is where nothing was set.
        default: u64,
        /// The words, the printed one first where several mean the same.
        values: &'static [IndexValue],
    },
    /// A text.
    Text {
        /// What it is where nothing was set; `None`: nothing at all.
        default: Option<&'static str>,
    },
}

/// Who may set a property, and whether children take it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Computed.
    ReadOnly,
    /// Set for one dataset alone.
    Own,
    /// Taken over by children.
    Inherited,
    /// Set when the dataset is made, and taken over by children.
    Once,
    /// Set when the dataset is made, for it alone.
    OnceOwn,
}

/// All that is known of a property.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// The header of its column in lists. The header in lower case is a name for the property too.
    pub column: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Who may set it.
    pub attribute: Attribute,
    /// To what it applies.
    pub types: DatasetTypes,
    /// Which values there are, as usage texts say it.
    pub values: Option<&'static str>,
    /// Whether columns align it to the right.
    pub right_aligned: bool,
    /// Whether it is shown among `all`.
    pub visible: bool,
    /// Whether its column grows with the values; else a human-readable number always fits.
    pub flexible: bool,
}

impl Description {
    pub(super) const fn number(name: &'static str, column: &'static str, attribute: Attribute) -> Self {
        Self {
            name,
            column,
            kind: Kind::Number { default: 0 },
            attribute,
            types: DatasetTypes::DATASET,
            values: None,
            right_aligned: true,
            visible: true,
            flexible: false,
        }
    }

    pub(super) const fn index(
        name: &'static str,
        column: &'static str,
        attribute: Attribute,
        values: &'static [IndexValue],
        default: u64,
    ) -> Self {
        let described = Self::number(name, column, attribute);
        Self {
            kind: Kind::Index { default, values },
            right_aligned: false,
            flexible: true,
            ..described
        }
    }

    pub(super) const fn text(
        name: &'static str,
        column: &'static str,
        attribute: Attribute,
        default: Option<&'static str>,
    ) -> Self {
        let described = Self::number(name, column, attribute);
        Self {
            kind: Kind::Text { default },
            right_aligned: false,
            flexible: true,
            ..described
        }
    }

    /// To what it applies, where that is not every dataset.
    pub(super) const fn on(self, types: DatasetTypes) -> Self {
        Self { types, ..self }
    }

    /// Which values usage texts name.
    pub(super) const fn values(self, values: &'static str) -> Self {
        Self {
            values: Some(values),
            ..self
        }
    }

    /// A number's default, where it is not 0.
    pub(super) const fn or(self, default: u64) -> Self {
        Self {
            kind: Kind::Number { default },
            ..self
        }
    }

    /// A number that is never shortened, so that its column has to grow.
    pub(super) const fn exact(self) -> Self {
        Self {
            flexible: true,
            ..self
        }
    }

    /// A number that is shown as a date.
    pub(super) const fn date(self) -> Self {
        Self {
            flexible: true,
            right_aligned: false,
            ..self
        }
    }

    /// Not shown among `all`.
    pub(super) const fn hidden(self) -> Self {
        Self {
            visible: false,
            ..self
        }
    }

    /// Whether `zfs set` refuses it: computed, or only chosen when the dataset is made.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        matches!(
            self.attribute,
            Attribute::ReadOnly | Attribute::Once | Attribute::OnceOwn
        )
    }

    /// Whether it is chosen when the dataset is made, and never again.
    #[must_use]
    pub const fn is_set_once(&self) -> bool {
        matches!(self.attribute, Attribute::Once | Attribute::OnceOwn)
    }

    /// Whether children take it over.
    #[must_use]
    pub const fn is_inheritable(&self) -> bool {
        matches!(self.attribute, Attribute::Inherited | Attribute::Once)
    }

    /// Whether it applies to something of the kind `types`.
    #[must_use]
    pub const fn applies_to(&self, types: DatasetTypes) -> bool {
        self.types.intersects(types)
    }

    /// What it is where nothing was set, as a number.
    #[must_use]
    pub const fn default_number(&self) -> u64 {
        match self.kind {
            Kind::Number { default } | Kind::Index { default, .. } => default,
            Kind::Text { .. } => 0,
        }
    }

    /// What it is where nothing was set, as a text.
    #[must_use]
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Text { default } => default,
            Kind::Number { .. } | Kind::Index { .. } => None,
        }
    }

    /// The word that stands for a number.
    #[must_use]
    pub fn word(&self, number: u64) -> Option<&'static str> {
        let Kind::Index { values, .. } = self.kind else {
            return None;
        };
        values
            .iter()
            .find(|(_, value)| *value == number)
            .map(|(word, _)| *word)
    }

    /// The number for which a word stands.
    #[must_use]
    pub fn number_of(&self, word: &str) -> Option<u64> {
        let Kind::Index { values, .. } = self.kind else {
            return None;
        };
        values
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, value)| *value)
    }

    /// The least width of its column: that of the header, of the longest word, and of any shortened number.
    #[must_use]
    pub fn width(&self) -> usize {
        let header = self.column.len();
        match self.kind {
            Kind::Number { .. } => header.max(5),
            Kind::Index { values, .. } => values
                .iter()
                .map(|(word, _)| word.len())
                .max()
                .unwrap_or(0)
                .max(header),
            Kind::Text { .. } => header,
        }
    }
}
