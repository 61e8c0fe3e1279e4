//! `zferry set` and `zferry inherit`: properties of file systems and volumes.

use zferry_zpool::PropertySource;
use zferry_zpool::dsl::property::{Attribute, DatasetTypes, Property, is_user_property};

use super::assignment::{Assignment, stored_value};
use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// Set properties
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not mount anything: nothing here ever does
    #[arg(short = 'u')]
    unmounted: bool,
    /// The properties with their values, then the datasets
    #[arg(value_name = "PROPERTY=VALUE… DATASET", required = true, num_args = 2..)]
    operands: Vec<String>,
}

/// Sets properties.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let (assignments, datasets): (Vec<_>, Vec<_>) = args.operands.iter().partition(|word| word.contains('='));
    if assignments.is_empty() || datasets.is_empty() {
        return Err(CommandError::usage("missing dataset name(s)"));
    }
    for dataset in datasets {
        let cannot =
            |why: &str| CommandError::failed(format_args!("cannot set property for '{dataset}': {why}"));
        let mut writer = open_pool_of(paths, dataset)?;
        for word in &assignments {
            let assignment: Assignment = word.parse().map_err(CommandError::usage)?;
            let is_once = Property::by_name(&assignment.name).is_some_and(|property| {
                matches!(
                    property.description().attribute,
                    Attribute::Once | Attribute::OnceOwn
                )
            });
            if is_once {
                return Err(cannot(&format!("'{}' is readonly", assignment.name)));
            }
            let types = DatasetTypes::FILESYSTEM | DatasetTypes::VOLUME;
            let (name, value) = stored_value(&assignment, types).map_err(|error| cannot(&error.message))?;
            writer
                .set_property(dataset, &name, PropertySource::Local, &value)
                .map_err(|error| match error {
                    zferry_zpool::Error::Missing(_) => crate::pools::missing(dataset),
                    other => cannot(&other.to_string()),
                })?;
        }
        finish(writer)?;
    }
    Ok(())
}

/// Take properties over from above again
#[derive(Debug, clap::Args)]
pub(crate) struct InheritArgs {
    /// Back to what was received, where something was
    #[arg(short = 'S')]
    received: bool,
    /// The property, then the datasets
    #[arg(value_name = "PROPERTY DATASET", required = true, num_args = 2..)]
    operands: Vec<String>,
}

/// Takes a property over from above.
pub(super) fn inherit(paths: &Paths, args: &InheritArgs) -> Result<(), CommandError> {
    let Some((name, datasets)) = args.operands.split_first() else {
        return Err(CommandError::usage("missing property argument"));
    };
    let property = Property::by_name(name);
    let name = match property {
        Some(property) => {
            let description = property.description();
            let is_known = matches!(
                property.name(),
                "quota" | "reservation" | "refquota" | "refreservation"
            );
            if description.is_read_only() {
                return Err(CommandError::usage(format_args!("{name} property is read-only")));
            }
            if !description.is_inheritable() && !args.received {
                let hint = if is_known {
                    format!(
                        "use 'zfs set {name}=none' to clear\nuse 'zfs inherit -S {name}' to revert to received value"
                    )
                } else {
                    String::new()
                };
                let error = CommandError::usage(format_args!("'{name}' property cannot be inherited"));
                return Err(if hint.is_empty() { error } else { error.hint(hint) });
            }
            property.name()
        }
        None if is_user_property(name) => name,
        None => return Err(CommandError::usage(format_args!("invalid property '{name}'"))),
    };
    for dataset in datasets {
        let mut writer = open_pool_of(paths, dataset)?;
        writer
            .inherit_property(dataset, name, args.received)
            .map_err(|error| match error {
                zferry_zpool::Error::Missing(_) => crate::pools::missing(dataset),
                other => CommandError::failed(format_args!("cannot inherit {name} for '{dataset}': {other}")),
            })?;
        finish(writer)?;
    }
    Ok(())
}
