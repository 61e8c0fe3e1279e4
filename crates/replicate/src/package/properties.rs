//! Which properties of a dataset are written down in a package: those that were set on it, and may be set.
//!
//! They stand in the order in which ZFS walks through the table of what was set. Where a newer place holds what counts,
//! as for quotas, the value comes from there; and where only that place tells, as in pools before version 22, the
//! property stands behind the others.

use zferry_nvlist::{NvList, Value};
use zferry_zpool::Error;
use zferry_zpool::dsl::property::{
    self as dsl_property, DatasetTypes, Kind, Property, Setting, is_user_property,
};
use zferry_zpool::dsl::{Dataset, DslPool};

/// The properties of a dataset. With `received_only`, those that came with a stream, whether they count or not.
pub(super) fn of_dataset(dsl: &DslPool<'_>, dataset: &Dataset, received_only: bool) -> Result<NvList, Error> {
    let mut list = NvList::new();
    if received_only {
        for setting in &dsl.received_settings(dataset)? {
            add(&mut list, dataset, setting, None);
        }
        return Ok(list);
    }
    let settings = dsl.own_settings(dataset)?;
    for setting in settings.effective() {
        let current = current_number(dsl, dataset, &setting.name)?;
        add(&mut list, dataset, setting, current);
    }
    if !dataset.is_snapshot() {
        for (property, limit) in limits(dataset) {
            if limit != 0 && !list.contains(property.name()) {
                list.insert(property.name(), limit);
            }
        }
    }
    Ok(list)
}

/// The limits that a directory keeps outside its table of properties.
fn limits(dataset: &Dataset) -> [(Property, u64); 2] {
    let dir = &dataset.dir.phys;
    [
        (Property::Quota, dir.quota),
        (Property::Reservation, dir.reserved),
    ]
}

/// What counts of a property that is also kept outside the table.
fn current_number(dsl: &DslPool<'_>, dataset: &Dataset, name: &str) -> Result<Option<u64>, Error> {
    if dataset.is_snapshot() {
        return Ok(None);
    }
    if name == Property::VolSize.name() {
        let entity = dsl.entity_of(dataset.clone())?;
        let found = dsl.property(&entity, Property::VolSize)?;
        return Ok(found.and_then(|found| found.value.number()));
    }
    let limit = limits(dataset)
        .into_iter()
        .find(|(limit, _)| limit.name() == name);
    Ok(limit.map(|(_, number)| number))
}

fn add(list: &mut NvList, dataset: &Dataset, setting: &Setting, current: Option<u64>) {
    // The same name may be there for values of older and newer versions; the first counts.
    if list.contains(&setting.name) {
        return;
    }
    let is_text = if is_user_property(&setting.name) {
        true
    } else {
        match Property::by_name(&setting.name) {
            Some(property) if is_sent(property, dataset) => {
                matches!(property.description().kind, Kind::Text { .. })
            }
            // What a newer version has set is not sent, as nobody knows what it is.
            _ => return,
        }
    };
    match (&setting.value, is_text) {
        (dsl_property::Value::Text(text), true) => {
            let exact = setting.exact.clone();
            list.insert(
                &setting.name,
                exact.map_or_else(|| Value::from(text.as_str()), Value::from),
            );
        }
        (dsl_property::Value::Number(number), false) => {
            list.insert(&setting.name, current.unwrap_or(*number));
        }
        // A value of the wrong kind is no value.
        _ => {}
    }
}

fn is_sent(property: Property, dataset: &Dataset) -> bool {
    let description = property.description();
    let is_space_limit = matches!(
        property,
        Property::Quota | Property::Reservation | Property::RefQuota | Property::RefReservation
    );
    let fits = !dataset.is_snapshot() || (description.applies_to(DatasetTypes::SNAPSHOT) && !is_space_limit);
    fits && !description.is_read_only()
}
