//! The properties of pools that are asked for, and how wide their columns have to be.

use super::Handle;
use super::value::PropertyName;
use zferry_zpool::Error;
use zferry_zpool::dsl::property::PoolProperty;
use zferry_zpool::spa::Feature;

/// A property that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) property: PropertyName,
    /// The width of the widest value so far, in characters; at least that of the header.
    pub(super) width: usize,
    /// Whether shortened numbers always fit.
    is_fixed: bool,
}

impl Wanted {
    fn new(property: PropertyName) -> Self {
        let (width, is_fixed) = match &property {
            PropertyName::Native(property) => (property.width(), !property.description().flexible),
            other => (other.name().len(), false),
        };
        Self {
            property,
            width,
            is_fixed,
        }
    }
}

/// All properties that are asked for.
#[derive(Clone, Debug)]
pub(super) struct WantedList {
    pub(super) properties: Vec<Wanted>,
    pub(super) is_all: bool,
}

impl WantedList {
    /// Takes a list of names apart: `all`, or names between commas.
    ///
    /// # Errors
    /// The sentence to be printed.
    pub(super) fn parse(names: &str) -> Result<Self, String> {
        if names == "all" {
            let all = std::iter::once(PoolProperty::Name).chain(PoolProperty::visible());
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
        let property = |name: &str| {
            let property = PropertyName::parse(name).map(Wanted::new);
            property.ok_or_else(|| format!("bad property list: invalid property '{name}'"))
        };
        let properties = names.split(',').map(property).collect::<Result<_, _>>()?;
        Ok(Self {
            properties,
            is_all: false,
        })
    }

    /// Puts the name before everything else, for its width.
    pub(super) fn with_name_first(mut self) -> Self {
        if !self.is_all {
            self.properties
                .insert(0, Wanted::new(PropertyName::Native(PoolProperty::Name)));
        }
        self
    }

    /// Makes room for the values of the pools.
    pub(super) fn make_room(&mut self, handles: &[Handle<'_>], literal: bool) -> Result<(), Error> {
        if self.is_all {
            self.add_all(handles)?;
        }
        for handle in handles {
            for wanted in &mut self.properties {
                let measured = match wanted.property {
                    PropertyName::Native(_) => literal || !wanted.is_fixed,
                    PropertyName::User(_) => true,
                    PropertyName::Feature(_) | PropertyName::Unsupported(_) => false,
                };
                if measured && let Some(shown) = handle.shown(&wanted.property, literal)? {
                    wanted.width = wanted.width.max(shown.text.chars().count());
                }
            }
        }
        Ok(())
    }

    /// Adds the users' properties of the first pool, every feature, and what some pool has and nobody knows.
    fn add_all(&mut self, handles: &[Handle<'_>]) -> Result<(), Error> {
        if let Some(first) = handles.first() {
            let users = first.dsl.pool_user_properties()?;
            self.properties.extend(
                users
                    .into_iter()
                    .map(|(name, _)| Wanted::new(PropertyName::User(name))),
            );
        }
        let features = Feature::ALL.iter().map(|feature| format!("feature@{feature}"));
        self.properties
            .extend(features.map(|name| Wanted::new(PropertyName::Feature(name))));
        for handle in handles {
            for name in handle.unsupported_features()? {
                if !self
                    .properties
                    .iter()
                    .any(|wanted| wanted.property.name() == name)
                {
                    self.properties.push(Wanted::new(PropertyName::Unsupported(name)));
                }
            }
        }
        Ok(())
    }
}
