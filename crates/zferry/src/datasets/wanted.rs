//! The properties that are asked for, and how wide their columns have to be.

use super::{Handle, PropertyName};
use zferry_zpool::Error;
use zferry_zpool::dsl::property::{DatasetTypes, Property};

/// A property that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) property: PropertyName,
    /// The width of the widest value so far, in characters; at least that of the header.
    pub(crate) width: usize,
    /// The same of the values that came with streams.
    pub(crate) received_width: usize,
    /// Whether shortened numbers always fit.
    is_fixed: bool,
}

impl Wanted {
    fn new(property: PropertyName) -> Self {
        let (width, is_fixed) = match &property {
            PropertyName::Native(property) => {
                (property.description().width(), !property.description().flexible)
            }
            other => (other.name().len(), false),
        };
        Self {
            property,
            width,
            received_width: 0,
            is_fixed,
        }
    }
}

/// All properties that are asked for.
#[derive(Clone, Debug)]
pub(crate) struct WantedList {
    pub(crate) properties: Vec<Wanted>,
    /// Whether everything is asked for: what has no value is then left out, and users' properties are added as they
    /// are met.
    pub(crate) is_all: bool,
}

/// What `space` stands for.
const SPACE: [Property; 7] = [
    Property::Name,
    Property::Available,
    Property::Used,
    Property::UsedBySnapshots,
    Property::UsedByDataset,
    Property::UsedByRefReservation,
    Property::UsedByChildren,
];

impl WantedList {
    /// Takes a list of names apart: `all`, or names between commas, where `space` stands for several.
    ///
    /// # Errors
    /// The sentence to be printed.
    pub(crate) fn parse(names: &str) -> Result<Self, String> {
        if names == "all" {
            let all = std::iter::once(Property::Name).chain(Property::visible());
            let properties = all
                .map(|property| Wanted::new(PropertyName::Native(property)))
                .collect();
            return Ok(Self {
                properties,
                is_all: true,
            });
        }
        if names.is_empty() {
            return Err("bad property list: no properties specified".to_owned());
        }
        let mut properties = Vec::new();
        for name in names.split(',') {
            if name == "space" {
                properties.extend(SPACE.map(|property| Wanted::new(PropertyName::Native(property))));
                continue;
            }
            let property = PropertyName::parse(name).filter(applies_to_datasets);
            let property = property.ok_or_else(|| format!("bad property list: invalid property '{name}'"))?;
            properties.push(Wanted::new(property));
        }
        Ok(Self {
            properties,
            is_all: false,
        })
    }

    /// Puts the name before everything else, for its width.
    pub(crate) fn with_name_first(mut self) -> Self {
        if !self.is_all {
            self.properties
                .insert(0, Wanted::new(PropertyName::Native(Property::Name)));
        }
        self
    }

    /// Makes room for the values of `handle`. Numbers are measured as people see them, or, if `literal`, with all
    /// their digits; `received` says whether values that came with streams are shown too.
    pub(crate) fn make_room(
        &mut self,
        handle: &Handle<'_>,
        literal: bool,
        received: bool,
    ) -> Result<(), Error> {
        if self.is_all {
            for (name, _) in handle.user_properties()? {
                if !self
                    .properties
                    .iter()
                    .any(|wanted| wanted.property.name() == name)
                {
                    self.properties
                        .push(Wanted::new(PropertyName::User(name.clone())));
                }
            }
        }
        for wanted in &mut self.properties {
            if (wanted.is_fixed && !literal)
                || matches!(
                    wanted.property,
                    PropertyName::UserSpace(..) | PropertyName::Written(_)
                )
            {
                continue;
            }
            if let Some(shown) = handle.shown(&wanted.property, literal)? {
                wanted.width = wanted.width.max(shown.text.chars().count());
            }
            if received && let Some(text) = handle.received(&wanted.property, literal)? {
                wanted.received_width = wanted.received_width.max(text.chars().count());
            }
        }
        Ok(())
    }
}

fn applies_to_datasets(property: &PropertyName) -> bool {
    match property {
        PropertyName::Native(property) => property.description().applies_to(DatasetTypes::DATASET),
        _ => true,
    }
}
