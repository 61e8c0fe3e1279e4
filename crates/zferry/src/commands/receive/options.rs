//! `-o` and `-x`: properties that are set for what is received, or not taken over from the stream.

use super::sentences::Action;
use crate::commands::assignment::{Assignment, stored_value};
use crate::datasets::{PropertyName, usage};
use crate::error::CommandError;
use zferry_zpool::dsl::property::{DatasetTypes, Property};
use zferry_zpool::zap::ZapValue;

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

    /// What is to be set, for a dataset of the kind `types`.
    pub(super) fn values(
        &self,
        types: DatasetTypes,
        action: Action,
        dataset: &str,
    ) -> Result<Vec<(String, ZapValue)>, CommandError> {
        let applies = |name: &str| match PropertyName::parse(name) {
            Some(PropertyName::Native(property)) => property.description().applies_to(types),
            _ => true,
        };
        for name in &self.exclude {
            if !applies(name) {
                eprintln!("Warning: {dataset}: property '{name}' does not apply to datasets of this type");
            }
        }
        let mut values = Vec::new();
        for &(name, value) in self.set.iter().filter(|(name, _)| *name != "origin") {
            if !applies(name) {
                return Err(action.error(format_args!(
                    "property '{name}' does not apply to datasets of this type"
                )));
            }
            // That is what a new dataset is anyway.
            if name == "encryption" && value == "off" {
                continue;
            }
            if matches!(PropertyName::parse(name), Some(PropertyName::Native(property)) if is_of_encryption(property))
            {
                return Err(action.error(format_args!("'{name}' cannot be set yet")));
            }
            let assignment = Assignment {
                name: name.to_owned(),
                value: value.to_owned(),
            };
            values.push(stored_value(&assignment, types).map_err(|error| action.error(error.message))?);
        }
        Ok(values)
    }
}

/// Not what is computed or chosen once, but for encryption; nor what the received data decide.
fn may_be_received(property: Property) -> bool {
    let decided = [Property::Version, Property::VolSize];
    is_of_encryption(property) || !(property.description().is_read_only() || decided.contains(&property))
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
