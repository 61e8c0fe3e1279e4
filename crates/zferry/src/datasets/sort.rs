//! The order of lists: by the properties that `-s` and `-S` name, then by name, with snapshots by age behind what they
//! were taken of.

use super::{Handle, PropertyName};
use clap::{ArgAction, ArgMatches, Command, FromArgMatches};
use std::cmp::{Ordering, Reverse};
use zferry_zpool::Error;
use zferry_zpool::dsl::property::{Kind, Property, Source};

/// A property to sort by.
#[derive(Clone, Debug)]
pub(crate) struct SortKey {
    pub(crate) property: PropertyName,
    pub(crate) is_reverse: bool,
}

/// The names behind `-s` and `-S`, in the order of the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct SortKeys(Vec<(String, bool)>);

impl SortKeys {
    /// The properties that are meant.
    ///
    /// # Errors
    /// The sentence to be printed.
    pub(crate) fn parse(&self) -> Result<Vec<SortKey>, String> {
        let key = |(name, is_reverse): &(String, bool)| {
            let property = PropertyName::parse(name);
            let sortable =
                property.filter(|name| matches!(name, PropertyName::Native(_) | PropertyName::User(_)));
            let property = sortable.ok_or_else(|| format!("invalid property '{name}'"))?;
            Ok(SortKey {
                property,
                is_reverse: *is_reverse,
            })
        };
        self.0.iter().map(key).collect()
    }
}

impl clap::Args for SortKeys {
    fn augment_args(command: Command) -> Command {
        let key = |id: &'static str, short, help: &'static str| {
            clap::Arg::new(id)
                .short(short)
                .value_name("PROPERTY")
                .action(ArgAction::Append)
                .help(help)
        };
        command
            .arg(key(
                "sort",
                's',
                "Sort by a property, ascending; several sort what is equal by those before",
            ))
            .arg(key("sort_descending", 'S', "Sort by a property, descending"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SortKeys {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut keys = Vec::new();
        for (id, is_reverse) in [("sort", false), ("sort_descending", true)] {
            let names = matches.get_many::<String>(id).into_iter().flatten();
            let places = matches.indices_of(id).into_iter().flatten();
            keys.extend(
                places
                    .zip(names)
                    .map(|(place, name)| (place, (name.clone(), is_reverse))),
            );
        }
        keys.sort_by_key(|(place, _)| *place);
        Ok(Self(keys.into_iter().map(|(_, key)| key).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What one property says of where something belongs. What has no value belongs at the end, whatever the direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(u64),
    Text(String),
    NumberDown(Reverse<u64>),
    TextDown(Reverse<String>),
    None,
}

impl Rank {
    fn number(number: u64, is_reverse: bool) -> Self {
        if is_reverse {
            Self::NumberDown(Reverse(number))
        } else {
            Self::Number(number)
        }
    }

    fn text(text: Option<String>, is_reverse: bool) -> Self {
        match text {
            None => Self::None,
            Some(text) if is_reverse => Self::TextDown(Reverse(text)),
            Some(text) => Self::Text(text),
        }
    }
}

/// Where something belongs in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    ranks: Vec<Rank>,
    name: NamePlace,
}

/// Where something belongs by its name: a snapshot behind what it was taken of, the older first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamePlace {
    name: String,
    dataset_len: usize,
    creation_txg: u64,
}

impl NamePlace {
    fn dataset(&self) -> &str {
        self.name.get(..self.dataset_len).unwrap_or(&self.name)
    }

    const fn is_snapshot(&self) -> bool {
        self.dataset_len < self.name.len()
    }
}

impl Ord for NamePlace {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_dataset = self.dataset().cmp(other.dataset());
        let by_kind = || self.is_snapshot().cmp(&other.is_snapshot());
        let by_age = || self.creation_txg.cmp(&other.creation_txg);
        by_dataset
            .then_with(by_kind)
            .then_with(by_age)
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for NamePlace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Place {
    pub(super) fn of(handle: &Handle<'_>, keys: &[SortKey]) -> Result<Self, Error> {
        let ranks = keys
            .iter()
            .map(|key| rank(handle, key))
            .collect::<Result<_, _>>()?;
        let name = handle.name().to_owned();
        let dataset_len = name.find('@').unwrap_or(name.len());
        // Only snapshots of the same dataset are compared by it.
        let creation_txg = handle
            .entity
            .dataset()
            .map_or(0, |dataset| dataset.phys.creation_txg.0);
        Ok(Self {
            ranks,
            name: NamePlace {
                name,
                dataset_len,
                creation_txg,
            },
        })
    }
}

fn rank(handle: &Handle<'_>, key: &SortKey) -> Result<Rank, Error> {
    let PropertyName::Native(property) = key.property else {
        let shown = handle.shown(&key.property, true)?;
        return Ok(Rank::text(shown.map(|shown| shown.text), key.is_reverse));
    };
    if property == Property::Name {
        return Ok(Rank::text(Some(handle.name().to_owned()), key.is_reverse));
    }
    let description = property.description();
    if matches!(description.kind, Kind::Number { .. }) {
        if !description.applies_to(handle.types()) {
            return Ok(Rank::None);
        }
        return Ok(Rank::number(number(handle, property)?, key.is_reverse));
    }
    let shown = handle.shown(&key.property, true)?;
    Ok(Rank::text(shown.map(|shown| shown.text), key.is_reverse))
}

/// What a property is sorted by: what nobody set is its default.
fn number(handle: &Handle<'_>, property: Property) -> Result<u64, Error> {
    let found = handle.dsl.property(&handle.entity, property)?;
    Ok(match found {
        Some(found) if found.source != Source::Default => found.value.number().unwrap_or(0),
        _ => property.description().default_number(),
    })
}
