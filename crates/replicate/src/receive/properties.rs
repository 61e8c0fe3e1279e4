//! What a receive does to properties: what came with the stream takes the place of all that came before, `-o` is set by
//! the owner, and `-x` is inherited on purpose. As `zfs_ioc_recv_impl` in `module/zfs/zfs_ioctl.c` has it.
//!
//! Properties that could keep the stream itself out wait for its end. What cannot be set is told, and keeps nothing else
//! from being received.

use super::{Errno, Request};
use std::collections::HashMap;
use zferry_nvlist::{NvList, Value};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::property::{Kind, Property, is_user_property};
use zferry_zpool::spa::Feature;
use zferry_zpool::zap::ZapValue;
use zferry_zpool::{Error, OwnProperties, PoolWriter, PropertySource};

/// Set when the stream has been received. Snapshots before the last may be larger than `refquota` allows.
const DELAYED: [&str; 3] = ["refquota", "keylocation", "sharesmb"];
/// Properties that decide how what is received is stored.
const OF_STORAGE: [&str; 4] = ["checksum", "compression", "copies", "redundant_metadata"];
/// What the data of the stream themselves decide.
const OF_DATA: [&str; 1] = ["volsize"];
/// How long a name and a value may be, in bytes, with the terminating zero.
const NAME_MAX: usize = 256;
const VALUE_MAX: usize = 8192;
/// How large a block may be, and could be before there was a feature for larger ones, in bytes.
const BLOCK_BYTES_MAX: u64 = 16 << 20;
const OLD_BLOCK_BYTES_MAX: u64 = 128 << 10;

/// A limit on what lies below a dataset that limits nothing.
const NO_LIMIT: u64 = u64::MAX;

/// When a property is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

impl When {
    fn includes(self, name: &str) -> bool {
        DELAYED.contains(&name) == (self == Self::After)
    }
}

/// A property of the stream that was not set, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyError {
    /// Its name.
    pub property: String,
    /// Why not.
    pub errno: Errno,
}

/// The properties of a receive.
#[derive(Debug)]
pub(super) struct Properties<'a> {
    request: &'a Request,
    /// What came with the stream and can be stored; `None` where properties did not come at all.
    received: Option<Vec<(String, ZapValue)>>,
    pub(super) errors: Vec<PropertyError>,
}

impl<'a> Properties<'a> {
    pub(super) fn new(request: &'a Request) -> Self {
        let mut errors = Vec::new();
        let received = request.received.as_ref().map(|list| storable(list, &mut errors));
        Self {
            request,
            received,
            errors,
        }
    }

    /// Sets what a new dataset has before anything of the stream is in it.
    pub(super) fn begin_new(&mut self, writer: &mut PoolWriter, target: &str) -> Result<(), Error> {
        self.set(writer, target, When::Before)
    }

    /// Sets what waited for the end of the stream.
    pub(super) fn end_new(&mut self, writer: &mut PoolWriter, target: &str) -> Result<(), Error> {
        self.set(writer, target, When::After)
    }

    /// Has what is received beside a dataset stored as it will have to be there.
    pub(super) fn begin_hidden(
        &self,
        writer: &mut PoolWriter,
        target: &str,
        hidden: &str,
    ) -> Result<(), Error> {
        let own = writer.own_properties(target)?;
        for name in OF_STORAGE {
            let value = match self.value_after(&own, name) {
                Some(value) => value,
                None => match writer.number_above(target, name)? {
                    Some(number) => ZapValue::number(number),
                    None => ZapValue::number(default_of(name)),
                },
            };
            writer.set_property(hidden, name, PropertySource::Local, &value)?;
        }
        Ok(())
    }

    /// What a dataset itself will have for a property when all is done.
    fn value_after(&self, own: &OwnProperties, name: &str) -> Option<ZapValue> {
        let request = self.request;
        let find = |list: &[(String, ZapValue)]| {
            let found = list.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.clone())
        };
        if let Some(value) = find(&request.properties) {
            return Some(value);
        }
        if request.inherited.iter().any(|other| other == name) {
            return None;
        }
        let loses_local = self.received.is_some() && !own.has_received;
        let local = find(&own.local).filter(|_| !loses_local);
        let is_inherited = !loses_local && own.inherited.iter().any(|other| other == name);
        let received = match &self.received {
            Some(received) => find(received),
            None => find(&own.received),
        };
        local.or(received.filter(|_| !is_inherited))
    }

    /// Changes the properties of a dataset that was there before.
    pub(super) fn replace(&mut self, writer: &mut PoolWriter, target: &str) -> Result<(), Error> {
        if let Some(received) = &self.received {
            clear(writer, target, received)?;
        }
        self.set(writer, target, When::Before)?;
        self.set(writer, target, When::After)
    }

    fn set(&mut self, writer: &mut PoolWriter, target: &str, when: When) -> Result<(), Error> {
        if let Some(received) = &self.received {
            writer.mark_received_properties(target)?;
            for (name, value) in received.iter().filter(|(name, _)| when.includes(name)) {
                match obstacle(writer, target, name, value)? {
                    None => writer.set_property(target, name, PropertySource::Received, value)?,
                    Some(errno) => self.errors.push(PropertyError {
                        property: name.clone(),
                        errno,
                    }),
                }
            }
        }
        for (name, value) in &self.request.properties {
            if when.includes(name) {
                writer.set_property(target, name, PropertySource::Local, value)?;
            }
        }
        for name in self.request.inherited.iter().filter(|name| when.includes(name)) {
            writer.inherit_property(target, name, false)?;
        }
        Ok(())
    }
}

/// Gives a snapshot, or any other dataset, the properties that a package tells of it, in place of those that it had of
/// packages before. What cannot be set is left out. Says whether anything was changed.
///
/// # Errors
/// Where the pool's metadata cannot be read.
pub fn set_received_properties(writer: &mut PoolWriter, name: &str, list: &NvList) -> Result<bool, Error> {
    let own = writer.own_properties(name)?;
    if list.is_empty() && own.has_received && own.received.is_empty() {
        return Ok(false);
    }
    let received = storable(list, &mut Vec::new());
    // A snapshot has properties of users, and no others.
    let is_snapshot = name.contains('@');
    let received: Vec<_> = received
        .into_iter()
        .filter(|(property, _)| !is_snapshot || is_user_property(property))
        .collect();
    clear(writer, name, &received)?;
    writer.mark_received_properties(name)?;
    for (property, value) in &received {
        writer.set_property(name, property, PropertySource::Received, value)?;
    }
    Ok(true)
}

/// Forgets what was received before and is not received again.
fn clear(writer: &mut PoolWriter, target: &str, received: &[(String, ZapValue)]) -> Result<(), Error> {
    let own = writer.own_properties(target)?;
    let new: HashMap<&str, &ZapValue> = received.iter().map(|(name, value)| (&**name, value)).collect();
    // What was set before the first receive cannot be told from what an older version received.
    let is_dataset = !target.contains('@');
    let gone: Vec<&String> = if own.has_received {
        let names = own.received.iter().map(|(name, _)| name);
        names.filter(|name| !new.contains_key(name.as_str())).collect()
    } else {
        let names = own.local.iter().map(|(name, _)| name);
        names
            .filter(|name| is_dataset || !new.contains_key(name.as_str()))
            .collect()
    };
    for name in gone {
        writer.clear_received_property(target, name)?;
    }
    Ok(())
}

/// What of a list can be stored, in its form; of the rest, why not.
fn storable(list: &NvList, errors: &mut Vec<PropertyError>) -> Vec<(String, ZapValue)> {
    let mut values = Vec::new();
    for (name, value) in list {
        if OF_DATA.contains(&name) {
            continue;
        }
        match stored(name, value) {
            Ok(value) => values.push((name.to_owned(), value)),
            Err(errno) => errors.push(PropertyError {
                property: name.to_owned(),
                errno,
            }),
        }
    }
    values
}

/// The form in which a value is stored.
fn stored(name: &str, value: &Value) -> Result<ZapValue, Errno> {
    if name.len() >= NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let property = Property::by_name(name).filter(|property| property.name() == name);
    let kind = property.map(Property::description);
    let is_text = match kind {
        Some(description) => matches!(description.kind, Kind::Text { .. }),
        None if is_user_property(name) => true,
        None => return Err(Errno::EINVAL),
    };
    match value {
        Value::String(text) if is_text => {
            let mut bytes = text.as_bytes().to_vec();
            bytes.push(0);
            if bytes.len() > VALUE_MAX {
                return Err(Errno::E2BIG);
            }
            Ok(ZapValue::bytes(&bytes))
        }
        Value::Uint64(number) if !is_text => match kind {
            Some(description)
                if matches!(description.kind, Kind::Index { .. }) && description.word(*number).is_none() =>
            {
                Err(Errno::ZFS_ERR_BADPROP)
            }
            _ => Ok(ZapValue::number(*number)),
        },
        _ => Err(Errno::EINVAL),
    }
}

/// Why a value cannot be set in this pool, or for this dataset as it is.
fn obstacle(
    writer: &mut PoolWriter,
    target: &str,
    name: &str,
    value: &ZapValue,
) -> Result<Option<Errno>, Error> {
    let Some(number) = value.as_u64().filter(|number| *number != 0) else {
        return Ok(None);
    };
    if name == "recordsize" && number > BLOCK_BYTES_MAX {
        return Ok(Some(Errno::ERANGE));
    }
    if let Some(feature) = needed(name, number) {
        let is_enabled = writer.is_feature_enabled(feature)?;
        return Ok((!is_enabled).then_some(Errno::ENOTSUP));
    }
    let is_space = matches!(name, "quota" | "refquota" | "reservation" | "refreservation");
    if !is_space || is_user_property(name) {
        return Ok(None);
    }
    let head = writer.find(target)?;
    let referenced = writer.dataset_now(head.0)?.referenced;
    let dir = DslPool::new(writer.pool()).dir(target)?;
    let (used, reserved) = dir.map_or((0, 0), |dir| (dir.phys.used, dir.phys.reserved));
    let has_no_room = match name {
        "quota" => number < used.max(reserved),
        "refquota" => number < referenced,
        _ => number > used.saturating_add(writer.available()),
    };
    Ok(has_no_room.then_some(Errno::ENOSPC))
}

/// The feature of the pool without which a property cannot have this value.
fn needed(name: &str, number: u64) -> Option<Feature> {
    match (name, number & 0x7f) {
        ("recordsize", _) => (number > OLD_BLOCK_BYTES_MAX).then_some(Feature::LargeBlocks),
        ("dnodesize", _) => Some(Feature::LargeDnode),
        ("compression", 15) => Some(Feature::Lz4Compress),
        ("compression", 16) => Some(Feature::ZstdCompress),
        ("checksum" | "dedup", 11) => Some(Feature::Sha512),
        ("checksum" | "dedup", 12) => Some(Feature::Skein),
        ("checksum" | "dedup", 13) => Some(Feature::EdonR),
        ("checksum" | "dedup", 14) => Some(Feature::Blake3),
        ("filesystem_limit" | "snapshot_limit", _) => {
            (number != NO_LIMIT).then_some(Feature::FilesystemLimits)
        }
        _ => None,
    }
}

fn default_of(name: &str) -> u64 {
    Property::by_name(name).map_or(0, |property| property.description().default_number())
}
