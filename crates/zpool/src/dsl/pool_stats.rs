//! The value of any property of a pool, as OpenZFS computes it.

use super::DslPool;
use super::phys::object_number;
use super::property::{Found, Kind, PoolProperty, Source, Value, is_user_property};
use crate::spa::{Feature, PoolUsage};
use crate::zap;
use crate::{Corrupt, Error, ObjectNumber};

/// The version with feature flags, which is the default.
const VERSION_FEATURES: u64 = 5000;
/// The state of a pool of which everything works.
const HEALTHY: u64 = 7;

/// How far a feature is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureState {
    /// It may not be used.
    Disabled,
    /// It may be used.
    Enabled,
    /// It is in use.
    Active,
}

impl FeatureState {
    /// The word that zpool(8) has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Active => "active",
        }
    }
}

fn number(number: u64) -> Found {
    Found {
        value: Value::Number(number),
        source: Source::None,
    }
}

fn local(text: &str) -> Found {
    Found {
        value: Value::Text(text.to_owned()),
        source: Source::Local,
    }
}

impl DslPool<'_> {
    /// The value of a pool's property, and where it comes from; `None` for a text that was never set. The version is
    /// a number, and so is the state.
    ///
    /// # Errors
    /// Where what it is computed from cannot be read.
    pub fn pool_property(&self, property: PoolProperty) -> Result<Option<Found>, Error> {
        let pool = self.pool();
        Ok(Some(match property {
            PoolProperty::Name => Found {
                value: Value::Text(pool.name()?.to_owned()),
                source: Source::None,
            },
            PoolProperty::Size => number(self.usage()?.size),
            PoolProperty::Allocated => number(self.usage()?.allocated),
            PoolProperty::Free => number(self.usage()?.free()),
            PoolProperty::Capacity => number(self.usage()?.capacity()),
            PoolProperty::Fragmentation => number(self.usage()?.fragmentation.unwrap_or(u64::MAX)),
            PoolProperty::Checkpoint => number(pool.checkpoint_space()?),
            PoolProperty::Health => number(HEALTHY),
            PoolProperty::Guid => number(pool.guid()),
            // Nothing is written, and there is no import that could have an identity.
            PoolProperty::ReadOnly => number(1),
            PoolProperty::LoadGuid | PoolProperty::ExpandSize | PoolProperty::DedupCached => number(0),
            PoolProperty::DedupRatio => number(pool.dedup_savings()?.ratio()),
            PoolProperty::BcloneUsed => number(pool.clone_savings()?.stored),
            PoolProperty::BcloneSaved => number(pool.clone_savings()?.saved()),
            PoolProperty::BcloneRatio => number(pool.clone_savings()?.ratio()),
            PoolProperty::DedupTableSize => number(self.dedup_table_size()?),
            PoolProperty::LastScrubbedTxg => {
                let txg = pool.directory_entry("last_scrubbed_txg")?;
                number(txg.and_then(|txg| txg.as_u64()).unwrap_or(0))
            }
            PoolProperty::Freeing => number(self.space_of("$FREE")?),
            PoolProperty::Leaked => number(self.space_of("$LEAK")?),
            PoolProperty::MaxBlockSize => number(self.largest(Feature::LargeBlocks, 16 << 20, 128 << 10)?),
            PoolProperty::MaxDnodeSize => number(self.largest(Feature::LargeDnode, 16 << 10, 512)?),
            PoolProperty::Version => Found {
                value: Value::Number(pool.version()),
                source: match pool.version() {
                    VERSION_FEATURES => Source::Default,
                    _ => Source::Local,
                },
            },
            PoolProperty::Comment | PoolProperty::Compatibility
                if pool.config().str(property.name()).is_some() =>
            {
                local(pool.config().str(property.name()).unwrap_or_default())
            }
            PoolProperty::BootFs => return self.boot_file_system(),
            _ => return self.set_pool_property(property),
        }))
    }

    /// A property that was set, or its default.
    fn set_pool_property(&self, property: PoolProperty) -> Result<Option<Found>, Error> {
        let description = property.description();
        if let Some(value) = self
            .pool_setting(property.name())?
            .and_then(|value| value.as_u64())
        {
            let source = if value == description.default_number() {
                Source::Default
            } else {
                Source::Local
            };
            return Ok(Some(Found {
                value: Value::Number(value),
                source,
            }));
        }
        let value = match description.kind {
            Kind::Number { default } | Kind::Index { default, .. } => Value::Number(default),
            Kind::Text { default: Some(text) } => Value::Text(text.to_owned()),
            Kind::Text { default: None } => return Ok(None),
        };
        Ok(Some(Found {
            value,
            source: Source::Default,
        }))
    }

    /// The users' properties of the pool, in the order in which ZFS walks through their table.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn pool_user_properties(&self) -> Result<Vec<(String, String)>, Error> {
        let Some(table) = self.pool_properties_table()? else {
            return Ok(Vec::new());
        };
        let entries = zap::entries_in_cursor_order(self.pool().reader(), &self.pool().meta_object(table)?)?;
        let named = entries
            .iter()
            .map(|entry| (entry.name_lossy(), entry.value.as_str()));
        let users = named.filter(|(name, _)| is_user_property(name));
        Ok(users.filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn pool_properties_table(&self) -> Result<Option<ObjectNumber>, Error> {
        let table = self.pool().directory_entry("pool_props")?;
        Ok(table.and_then(|table| table.as_u64()).and_then(object_number))
    }

    fn pool_setting(&self, name: &str) -> Result<Option<zap::ZapValue>, Error> {
        match self.pool_properties_table()? {
            Some(table) => zap::lookup(self.pool().reader(), &self.pool().meta_object(table)?, name),
            None => Ok(None),
        }
    }

    fn boot_file_system(&self) -> Result<Option<Found>, Error> {
        let value = self.pool_setting(PoolProperty::BootFs.name())?;
        let object = value.and_then(|value| value.as_u64()).and_then(object_number);
        let Some(object) = object else { return Ok(None) };
        Ok(Some(local(&self.dataset_at(object)?.name)))
    }

    /// What a hidden directory counts, in bytes.
    fn space_of(&self, hidden: &str) -> Result<u64, Error> {
        let dir = self.child(&self.root()?, hidden)?;
        Ok(dir.map_or(0, |dir| dir.phys.used))
    }

    fn largest(&self, feature: Feature, with: u64, without: u64) -> Result<u64, Error> {
        let is_enabled = self.feature_state(feature)? != FeatureState::Disabled;
        Ok(if is_enabled { with } else { without })
    }

    /// The size of the tables of equal blocks, in bytes.
    fn dedup_table_size(&self) -> Result<u64, Error> {
        const PREFIX: &str = "DDT-";
        /// There is a folder for each checksum function that can find equal blocks.
        const FOLDERS_MAX: usize = 64;
        let mut size = 0_u64;
        let mut folders = 0..FOLDERS_MAX;
        let entries = self.pool().directory_entries()?;
        for entry in entries {
            let name = entry.name_lossy();
            let Some(kind) = name.strip_prefix(PREFIX).filter(|kind| *kind != "statistics") else {
                continue;
            };
            let Some(number) = entry.value.as_u64() else {
                continue;
            };
            if kind.contains('-') {
                size = size.saturating_add(self.allocated(number)?);
                continue;
            }
            // A table of a newer kind lies in a folder of its own.
            if folders.next().is_none() {
                return Err(Corrupt::new(format!("more than {FOLDERS_MAX} tables of equal blocks")).into());
            }
            let folder = self.pool().meta_object(ObjectNumber(number))?;
            for entry in zap::entries(self.pool().reader(), &folder)? {
                if let (true, Some(number)) =
                    (entry.name.starts_with(PREFIX.as_bytes()), entry.value.as_u64())
                {
                    size = size.saturating_add(self.allocated(number)?);
                }
            }
        }
        Ok(size)
    }

    /// What an object takes, in bytes, in whole sectors.
    fn allocated(&self, number: u64) -> Result<u64, Error> {
        let used = self.pool().meta_object(ObjectNumber(number))?.dnode.used;
        Ok((used.saturating_add(256) >> 9) << 9)
    }

    /// How many uses of each feature the pool counts, by the feature's guid; what is enabled and unused has none.
    ///
    /// # Errors
    /// Where the tables cannot be read.
    pub fn feature_counts(&self) -> Result<&[(String, u64)], Error> {
        if let Some(counts) = self.features.get() {
            return Ok(counts);
        }
        let mut counts = Vec::new();
        for table in ["features_for_read", "features_for_write"] {
            if self.pool().directory_entry(table)?.is_none() {
                continue;
            }
            let table = self.pool().directory_object(table)?;
            for entry in zap::entries_in_cursor_order(self.pool().reader(), &table)? {
                counts.push((entry.name_lossy(), entry.value.as_u64().unwrap_or(0)));
            }
        }
        Ok(self.features.get_or_init(|| counts))
    }

    /// How far a feature is in use.
    ///
    /// # Errors
    /// Where the tables of features cannot be read.
    pub fn feature_state(&self, feature: Feature) -> Result<FeatureState, Error> {
        let count = self
            .feature_counts()?
            .iter()
            .find(|(guid, _)| guid == feature.guid());
        Ok(match count {
            None => FeatureState::Disabled,
            Some((_, 0)) => FeatureState::Enabled,
            Some(_) => FeatureState::Active,
        })
    }

    /// What is allocated of the pool.
    ///
    /// # Errors
    /// Where a space map cannot be read.
    pub fn usage(&self) -> Result<&PoolUsage, Error> {
        if let Some(usage) = self.usage.get() {
            return Ok(usage);
        }
        let usage = self.pool().usage()?;
        Ok(self.usage.get_or_init(|| usage))
    }
}
