//! How often each feature is used: what the feature tables count, against what was found.

use super::finding::{Findings, Spot};
use super::meta::MetaObjects;
use super::objects::Counts;
use crate::spa::{Feature, FeatureDescription};
use crate::zap;
use crate::{Error, ObjectNumber, Pool};
use std::collections::BTreeMap;

const VERSION_FEATURES: u64 = 5000;

/// Compares the feature tables with what was counted.
pub(super) fn check_features(
    pool: &Pool,
    meta: &MetaObjects,
    counts: &Counts,
    findings: &mut Findings<'_>,
) -> Result<(), Error> {
    if pool.version() != VERSION_FEATURES {
        return Ok(());
    }
    let enabled_since = match number(pool, "feature_enabled_txg")? {
        Some(table) => zap::entries(pool.reader(), &pool.meta_object(table)?)?.len(),
        None => 0,
    };
    let exists = |name: &str| Ok::<u64, Error>(u64::from(number(pool, name)?.is_some()));
    let expected = [
        (Feature::ExtensibleDataset, meta.extensible),
        (Feature::SpacemapHistogram, meta.histograms),
        (Feature::EmptyBpobj, counts.empty_lists),
        (Feature::AsyncDestroy, exists("bptree_obj")?),
        (Feature::LogSpacemap, exists("com.delphix:log_spacemap_zap")?),
        (Feature::EnabledTxg, zferry_wire::u64_from_usize(enabled_since)),
        (Feature::Bookmarks, counts.bookmark_tables),
        (Feature::BookmarkV2, counts.long_bookmarks),
        (Feature::BookmarkWritten, counts.bookmarks_written),
        (Feature::RedactionBookmarks, counts.redaction_lists),
        (Feature::RedactionListSpill, counts.redaction_spills),
        (Feature::Livelist, counts.livelists),
    ];
    let expected = |feature: &Feature| {
        if feature.description().per_dataset {
            let count = counts.per_dataset.get(feature.description().guid);
            return Some(count.copied().unwrap_or(0));
        }
        let mut known = expected.iter().filter(|(known, _)| known == feature);
        known.next().map(|(_, expected)| *expected)
    };
    let mut found = BTreeMap::new();
    for table in ["features_for_read", "features_for_write"] {
        let object = pool.directory_object(table)?;
        for entry in zap::entries(pool.reader(), &object)? {
            let count = entry.value.as_u64().unwrap_or(0);
            found.insert((table, entry.name_lossy()), (object.number, count));
        }
    }
    for feature in Feature::ALL {
        let FeatureDescription { guid, write_only, .. } = *feature.description();
        let (here, other) = if write_only {
            ("features_for_write", "features_for_read")
        } else {
            ("features_for_read", "features_for_write")
        };
        let there = found.get(&(other, guid.to_owned()));
        // OpenZFS looks a feature up in one of the tables. What the other says of it matters where it forbids something.
        if let Some((table, count)) = there.filter(|(_, count)| *count > 0) {
            let what = format!("{count}, in {other}");
            findings.report(Spot::meta(*table), guid, what, format!("in {here}"));
        }
        let table = || pool.directory_object(here).map(|object| object.number);
        let (table, count) = match found.get(&(here, guid.to_owned())) {
            Some((table, count)) => (*table, Some(*count)),
            None => (table()?, None),
        };
        let Some(expected) = expected(feature) else {
            continue;
        };
        match count {
            // OpenZFS counts a bookmark once more when a promotion moves it, and leaves it counted when its dataset goes.
            Some(count) if *feature == Feature::BookmarkV2 && count > expected => {}
            Some(count) => findings.compare(|| Spot::meta(table), guid, count, expected),
            None if expected > 0 => {
                findings.report(Spot::meta(table), guid, "a feature that is not enabled", expected);
            }
            None => {}
        }
    }
    Ok(())
}

fn number(pool: &Pool, name: &str) -> Result<Option<ObjectNumber>, Error> {
    let number = pool.directory_entry(name)?.and_then(|value| value.as_u64());
    Ok(number.filter(|number| *number != 0).map(ObjectNumber))
}
