//! Where a property's value comes from: the dataset itself, an ancestor, a stream, or nowhere.

use super::{DatasetTypes, Property, Setting, Settings, Value};
use crate::Error;
use crate::dsl::{Dataset, DslDir, DslPool};
use std::collections::HashSet;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was never set: it is computed, or chosen when the dataset was made.
    None,
    /// Nothing was set.
    Default,
    /// Set here.
    Local,
    /// Taken over from the dataset of this name.
    Inherited(String),
    /// It came with a stream.
    Received,
}

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// A place at which properties can be set, seen from a dataset.
struct Place<'a> {
    settings: &'a Settings,
    /// Its name, where it is another than the dataset.
    above: Option<&'a str>,
}

impl Place<'_> {
    fn found(&self, setting: &Setting) -> Found {
        let source = match (self.above, setting.is_received) {
            (Some(name), _) => Source::Inherited(name.to_owned()),
            (None, true) => Source::Received,
            (None, false) => Source::Local,
        };
        Found {
            value: setting.value.clone(),
            source,
        }
    }
}

impl DslPool<'_> {
    /// What was set in a directory.
    ///
    /// # Errors
    /// Where its table of properties cannot be read.
    pub fn dir_settings<'d>(&self, dir: &'d DslDir) -> Result<&'d Settings, Error> {
        if let Some(settings) = dir.settings.get() {
            return Ok(settings);
        }
        let settings = self.read_settings(dir.phys.properties)?;
        Ok(dir.settings.get_or_init(|| settings))
    }

    /// What was set in a dataset itself: in its directory, or, of a snapshot, in its own table.
    ///
    /// # Errors
    /// As [`Self::dir_settings`].
    pub fn own_settings(&self, dataset: &Dataset) -> Result<Settings, Error> {
        if dataset.is_snapshot() {
            return self.read_settings(dataset.phys.properties);
        }
        self.dir_settings(&dataset.dir).cloned()
    }

    /// What came with a stream for a dataset itself, whether it counts or not, in the order of its table.
    ///
    /// # Errors
    /// As [`Self::dir_settings`].
    pub fn received_settings(&self, dataset: &Dataset) -> Result<Vec<Setting>, Error> {
        // ZFS marks where properties were received, and takes the mark for one that is inherited.
        let mut is_marked = false;
        self.for_each_place(dataset, &mut |place| {
            is_marked |= place.settings.has_received;
            !is_marked
        })?;
        if !is_marked {
            return Ok(Vec::new());
        }
        Ok(self.own_settings(dataset)?.received().cloned().collect())
    }

    fn read_settings(&self, table: Option<crate::ObjectNumber>) -> Result<Settings, Error> {
        match table {
            Some(number) => Settings::read(self.pool().reader(), &self.pool().meta_object(number)?),
            None => Ok(Settings::default()),
        }
    }

    /// What was set for a property, here or above; `None` where nothing was.
    ///
    /// # Errors
    /// Where a table of properties cannot be read.
    pub fn setting(&self, dataset: &Dataset, property: Property) -> Result<Option<Found>, Error> {
        let description = property.description();
        self.find(dataset, description.name, |inheriting| {
            (!inheriting || description.is_inheritable())
                && (!dataset.is_snapshot() || description.applies_to(DatasetTypes::SNAPSHOT))
        })
    }

    /// What was set for a user's property, here or above.
    ///
    /// # Errors
    /// Where a table of properties cannot be read.
    pub fn user_setting(&self, dataset: &Dataset, name: &str) -> Result<Option<Found>, Error> {
        self.find(dataset, name, |_| true)
    }

    fn find(
        &self,
        dataset: &Dataset,
        name: &str,
        counts: impl Fn(bool) -> bool,
    ) -> Result<Option<Found>, Error> {
        let mut found = None;
        self.for_each_place(dataset, &mut |place| {
            if counts(place.above.is_some())
                && let Some(setting) = place.settings.get(name)
            {
                found = Some(place.found(setting));
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// The users' properties that a dataset has, set here or above, in the order in which ZFS comes upon them.
    ///
    /// # Errors
    /// Where a table of properties cannot be read.
    pub fn user_settings(&self, dataset: &Dataset) -> Result<Vec<(String, Found)>, Error> {
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        self.for_each_place(dataset, &mut |place| {
            for setting in place.settings.effective() {
                if is_user_property(&setting.name) && seen.insert(setting.name.clone()) {
                    all.push((setting.name.clone(), place.found(setting)));
                }
            }
            true
        })?;
        Ok(all)
    }

    /// Calls `each` with the dataset's own settings, then with those above, until it returns false.
    fn for_each_place(
        &self,
        dataset: &Dataset,
        each: &mut dyn FnMut(&Place<'_>) -> bool,
    ) -> Result<(), Error> {
        let is_snapshot = dataset.is_snapshot();
        if is_snapshot {
            let own = self.read_settings(dataset.phys.properties)?;
            if !each(&Place {
                settings: &own,
                above: None,
            }) {
                return Ok(());
            }
        }
        for (distance, dir) in dataset.dir.ancestry().enumerate() {
            let settings = self.dir_settings(dir)?;
            let above = (distance > 0 || is_snapshot).then_some(dir.name.as_str());
            if !each(&Place { settings, above }) {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a name is that of a user's property: with a colon, and of characters that such names have.
#[must_use]
pub fn is_user_property(name: &str) -> bool {
    name.contains(':')
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':'))
}
