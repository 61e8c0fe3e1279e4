//! Every property of every dataset of pools that OpenZFS made, held against what its kernel's `zfs get -Hp` printed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::path::Path;
use std::sync::Arc;
use zferry_zpool::dsl::property::{Found, Property, Source, Value};
use zferry_zpool::dsl::{DslPool, Entity};
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{OpenOptions, Pool};

fn open(image: &Path) -> Pool {
    let disk = FileDisk::open(image).unwrap();
    Pool::open(Arc::new(disk), &OpenOptions::default()).unwrap()
}

/// How `zfs get -p` prints a value, as far as that takes no more than the value.
fn printed(property: Property, value: &Value) -> Option<String> {
    let description = property.description();
    match (property, value) {
        (Property::MountPoint, Value::Text(path)) if path.starts_with('/') => None,
        (Property::Mounted, _) => Some("no".to_owned()),
        (_, Value::Text(text)) => Some(text.clone()),
        (Property::CompressRatio | Property::RefCompressRatio, Value::Number(ratio)) => {
            Some(format!("{}.{:02}", ratio / 100, ratio % 100))
        }
        (_, Value::Number(u64::MAX)) => Some("none".to_owned()),
        (_, Value::Number(number)) => Some(
            description
                .word(*number)
                .map_or_else(|| number.to_string(), str::to_owned),
        ),
    }
}

fn source(found: &Found) -> String {
    match &found.source {
        Source::None => "-".to_owned(),
        Source::Default => "default".to_owned(),
        Source::Local => "local".to_owned(),
        Source::Received => "received".to_owned(),
        Source::Inherited(from) => format!("inherited from {from}"),
    }
}

fn found(dsl: &DslPool<'_>, entity: &Entity, name: &str) -> Option<(String, Found)> {
    let Some(property) = Property::by_name(name) else {
        let found = dsl.user_setting(entity.dataset().unwrap(), name).unwrap()?;
        return Some((found.value.text().unwrap().to_owned(), found));
    };
    let found = dsl.property(entity, property).unwrap()?;
    Some((printed(property, &found.value)?, found))
}

/// Checks a pool against lines of `name, property, value, source`. What was printed while the pool was in use differs
/// in the space that was left, and in what was mounted.
fn check(image: &Path, props: &str, is_live: bool) {
    let pool = open(image);
    let dsl = DslPool::new(&pool);
    let mut checked = 0;
    for line in props.lines() {
        let [name, property, value, from] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let entity = dsl
            .entity(name)
            .unwrap()
            .unwrap_or_else(|| panic!("{name} is missing"));
        if property == "mountpoint" || (is_live && matches!(property, "available" | "mounted")) {
            continue;
        }
        let (text, found) = found(&dsl, &entity, property).unwrap_or_else(|| panic!("{line}: nothing found"));
        assert_eq!(
            (text.as_str(), source(&found).as_str()),
            (value, from),
            "{name} {property}"
        );
        checked += 1;
    }
    assert!(checked > 100, "{checked} lines");
}

#[test]
fn the_example_has_the_properties_that_the_kernel_printed() {
    let example = zferry_fixtures::example().unwrap();
    let props = std::fs::read_to_string(zferry_fixtures::Example::file("harbour.props")).unwrap();
    check(example.image(), &props, false);
}

#[test]
fn the_corpus_has_the_properties_that_the_kernel_printed() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let props = std::fs::read_to_string(corpus.file("basic.props")).unwrap();
    check(&corpus.file("basic.img"), &props, true);
}

#[test]
fn what_is_not_there_is_not_found() {
    let example = zferry_fixtures::example().unwrap();
    let pool = open(example.image());
    let dsl = DslPool::new(&pool);
    for name in [
        "",
        "tank",
        "harbour/none",
        "harbour@none",
        "harbour/photos#none",
        "harbour/",
        "harbour/photos/x/y",
    ] {
        assert!(dsl.entity(name).unwrap().is_none(), "{name}");
    }
}

#[test]
fn a_snapshot_is_before_what_came_after_it() {
    let example = zferry_fixtures::example().unwrap();
    let pool = open(example.image());
    let dsl = DslPool::new(&pool);
    let dataset = |name: &str| dsl.dataset(name).unwrap().unwrap();
    let [monday, tuesday, clone, other] = [
        "harbour/log@monday",
        "harbour/log@tuesday",
        "harbour/draft@proof",
        "harbour/photos@friday",
    ]
    .map(dataset);
    assert!(dsl.is_before(&tuesday, &monday).unwrap());
    assert!(!dsl.is_before(&monday, &tuesday).unwrap());
    assert!(!dsl.is_before(&monday, &monday).unwrap());
    assert!(dsl.is_before(&clone, &monday).unwrap());
    assert!(!dsl.is_before(&clone, &tuesday).unwrap());
    assert!(!dsl.is_before(&other, &monday).unwrap());
    assert_eq!(
        dsl.origin(&clone.dir).unwrap().unwrap().name,
        "harbour/log@monday"
    );
    assert!(dsl.origin(&other.dir).unwrap().is_none());
    assert_eq!(dsl.clones(&monday).unwrap(), ["harbour/draft"]);
    assert_eq!(dsl.dataset_at(tuesday.number).unwrap().name, tuesday.name);
}
