//! `-o` and `-x`: properties that are set for what is received, or not taken over from the stream.

use super::sentences::{self, Action};
use crate::commands::assignment::{Assignment, stored_value};
use crate::commands::encryption::Encryption;
use crate::datasets::{PropertyName, usage};
use crate::error::CommandError;
use crate::output::warn;
use crate::pools::cannot_open;
use zferry_nvlist::NvList;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::property::{DatasetTypes, Property, Source};
use zferry_zpool::zap::ZapValue;
use zferry_zpool::{Error, Pool};
use zferry_zstream::flags::BeginFlags;
use zferry_zstream::record::Begin;

/// What `-o` and `-x` say.
#[derive(Debug)]
pub(super) struct PropertyOptions<'a> {
    set: Vec<(&'a str, &'a str)>,
    exclude: Vec<&'a str>,
}

impl<'a> PropertyOptions<'a> {
    /// Takes the words apart.
    pub(super) fn parse(set: &'a [String], exclude: &'a [String]) -> Result<Self, CommandError> {
        let mut options = Self {
            set: Vec::new(),
            exclude: Vec::new(),
        };
        for word in set {
            let Some((name, value)) = word.split_once('=') else {
                return Err(usage("missing '=' for property=value argument"));
            };
            options.check_once(name)?;
            options.set.push((name, value));
        }
        for name in exclude {
            if name.contains('=') {
                return Err(usage("invalid character '=' in property argument"));
            }
            options.check_once(name)?;
            options.exclude.push(name);
        }
        Ok(options)
    }

    /// The snapshot that the new dataset is to be a clone of.
    pub(super) fn origin(&self) -> Option<&'a str> {
        self.set
            .iter()
            .find(|(name, _)| *name == "origin")
            .map(|(_, origin)| *origin)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.set
            .iter()
            .map(|(name, _)| *name)
            .chain(self.exclude.iter().copied())
    }

    fn check_once(&self, name: &str) -> Result<(), CommandError> {
        if self.names().any(|known| known == name) {
            return Err(usage(format!("property '{name}' specified multiple times")));
        }
        Ok(())
    }

    /// Whether each is one that a receive may set.
    pub(super) fn check_names(&self) -> Result<(), CommandError> {
        for name in self.names() {
            if name == "origin" && self.origin().is_some() {
                continue;
            }
            let may_be_set = match PropertyName::parse(name) {
                Some(PropertyName::Native(property)) => may_be_received(property),
                Some(PropertyName::User(_)) => true,
                Some(PropertyName::UserSpace(..) | PropertyName::Written(_)) | None => false,
            };
            if !may_be_set {
                // zfs(8) says it twice.
                return Err(CommandError::failed(format_args!(
                    "cannot receive: cannot receive: invalid property '{name}'"
                )));
            }
        }
        Ok(())
    }

    /// Whether anything is said of encryption itself.
    pub(super) fn names_encryption(&self) -> bool {
        self.names().any(|name| name == "encryption")
    }

    /// How what is received is to be encrypted.
    pub(super) fn encryption(&self, begin: &Begin, scope: &Scope<'_>) -> Result<Encryption, CommandError> {
        let is_raw = begin.is_raw();
        let is_incremental = begin.from_guid != 0 && !begin.flags.contains(BeginFlags::CLONE);
        let cannot = |why: String| sentences::told(&why);
        if let Some(name) = self.names().find(|name| is_raw && is_encryption(name)) {
            return Err(cannot(format!(
                "encryption property '{name}' cannot be set or excluded for raw streams."
            )));
        }
        let mut encryption = Encryption::default();
        for &(name, value) in self.set.iter().filter(|(name, _)| is_encryption(name)) {
            if is_incremental && scope.is_recursive {
                continue;
            }
            if is_incremental {
                return Err(cannot(format!(
                    "encryption property '{name}' cannot be set for incremental streams."
                )));
            }
            let assignment = Assignment {
                name: name.to_owned(),
                value: value.to_owned(),
            };
            encryption.take(&assignment).map_err(cannot)?;
        }
        Ok(encryption)
    }

    /// What is to be done with a dataset's properties. What is not to be taken over goes from those `received`, where it
    /// is nothing that could be inherited instead.
    pub(super) fn changes(
        &self,
        scope: &Scope<'_>,
        pool: Option<&Pool>,
        received: &mut Option<NvList>,
    ) -> Result<Changes, CommandError> {
        let mut changes = Changes::default();
        for name in &self.exclude {
            if !scope.applies(name) {
                warn(format_args!(
                    "Warning: {}: property '{name}' does not apply to datasets of this type",
                    scope.dataset
                ));
                continue;
            }
            let full = full_name(name);
            if is_set(pool, scope.dataset, name)? {
                continue;
            }
            let is_own = matches!(
                PropertyName::parse(name),
                Some(PropertyName::Native(property)) if !property.description().is_inheritable()
            );
            if !is_own {
                changes.inherited.push(full);
            } else if let Some(received) = received {
                received.remove(&full);
            }
        }
        for &(name, value) in self.set.iter().filter(|(name, _)| *name != "origin") {
            let native = match PropertyName::parse(name) {
                Some(PropertyName::Native(property)) => Some(property),
                _ => None,
            };
            if native.is_some_and(is_of_encryption) && scope.is_recursive && scope.action != Action::NEW {
                continue;
            }
            if !scope.applies(name) {
                if scope.is_recursive {
                    continue;
                }
                return Err(scope.action.error(format_args!(
                    "property '{name}' does not apply to datasets of this type"
                )));
            }
            if is_encryption(name) {
                continue;
            }
            if !scope.is_top {
                let is_own = native.is_some_and(|property| !property.description().is_inheritable());
                if !is_own {
                    changes.inherited.push(full_name(name));
                }
                continue;
            }
            let assignment = Assignment {
                name: name.to_owned(),
                value: value.to_owned(),
            };
            let stored = stored_value(&assignment, scope.types);
            changes
                .set
                .push(stored.map_err(|error| scope.action.error(error.message))?);
        }
        Ok(changes)
    }
}

/// The dataset whose properties are to be changed.
pub(super) struct Scope<'a> {
    pub(super) types: DatasetTypes,
    pub(super) action: Action,
    pub(super) dataset: &'a str,
    /// Whether it is one of the many of a package.
    pub(super) is_recursive: bool,
    /// Whether it is the first of them: what is set there, those below it inherit.
    pub(super) is_top: bool,
}

impl Scope<'_> {
    fn applies(&self, name: &str) -> bool {
        match PropertyName::parse(name) {
            Some(PropertyName::Native(property)) => property.description().applies_to(self.types),
            _ => true,
        }
    }
}

/// What is to be done with a dataset's properties.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// To be set, in the form in which they are stored.
    pub(super) set: Vec<(String, ZapValue)>,
    /// To be inherited, whatever comes with the stream.
    pub(super) inherited: Vec<String>,
}

/// The name of a property that may have been given by a shorter one.
fn full_name(name: &str) -> String {
    match PropertyName::parse(name) {
        Some(PropertyName::Native(property)) => property.name().to_owned(),
        _ => name.to_owned(),
    }
}

/// Whether a dataset that is there has a value for a property that no stream brought: then it keeps that anyway.
fn is_set(pool: Option<&Pool>, dataset: &str, name: &str) -> Result<bool, CommandError> {
    let Some(pool) = pool else {
        return Ok(false);
    };
    let dsl = DslPool::new(pool);
    let cannot = |error: Error| cannot_open(dataset, error);
    let Some(head) = dsl.dataset(dataset).map_err(cannot)? else {
        return Ok(false);
    };
    let found = match PropertyName::parse(name) {
        Some(PropertyName::Native(property)) => dsl.setting(&head, property),
        _ => dsl.user_setting(&head, name),
    };
    let found = found.map_err(cannot)?;
    Ok(found.is_some_and(|found| found.source != Source::Received))
}

/// Not what is computed or chosen once, but for encryption; nor what the received data decide.
fn may_be_received(property: Property) -> bool {
    let decided = [Property::Version, Property::VolSize];
    is_of_encryption(property) || !(property.description().is_read_only() || decided.contains(&property))
}

fn is_encryption(name: &str) -> bool {
    matches!(PropertyName::parse(name), Some(PropertyName::Native(property)) if is_of_encryption(property))
}

fn is_of_encryption(property: Property) -> bool {
    let of_encryption = [
        Property::Encryption,
        Property::KeyFormat,
        Property::KeyLocation,
        Property::Pbkdf2Iters,
    ];
    of_encryption.contains(&property)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn each_property_is_named_once() {
        let (set, exclude) = (words(&["atime=off", "a:b=c=d"]), words(&["mountpoint"]));
        let options = PropertyOptions::parse(&set, &exclude).unwrap();
        assert_eq!(options.set, [("atime", "off"), ("a:b", "c=d")]);
        assert!(options.check_names().is_ok());
        let twice = words(&["atime"]);
        let error = PropertyOptions::parse(&set, &twice).unwrap_err();
        assert_eq!(error.message, "property 'atime' specified multiple times");
        let error = PropertyOptions::parse(&twice, &[]).unwrap_err();
        assert_eq!(error.message, "missing '=' for property=value argument");
    }

    #[test]
    fn what_the_data_decide_cannot_be_set() {
        for name in [
            "used=1",
            "volsize=1G",
            "version=5",
            "casesensitivity=mixed",
            "nonsense=1",
        ] {
            let set = words(&[name]);
            let error = PropertyOptions::parse(&set, &[])
                .unwrap()
                .check_names()
                .unwrap_err();
            assert!(
                error.message.contains("invalid property"),
                "{name}: {}",
                error.message
            );
        }
    }
}
