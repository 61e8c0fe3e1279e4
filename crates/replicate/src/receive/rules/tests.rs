//! Each rule, broken.

use zferry_zpool::spa::Feature;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, RecordFlags, VersionInfo};
use zferry_zstream::record::{
    Begin, CompressionType, Object, ObjectType, ObjsetType, Record, Spill, StreamName, Write, WriteByRef,
    WriteEmbedded,
};

use super::begin::{Base, BeginError, Existing, Origin, Parent, Target, Wanted, check_stream, check_target};
use super::record::{RecordFault, RecordRules};
use super::redaction::Redaction;
use super::resume::{Begun, Resuming, check_resumed};
use crate::receive::Errno;

fn begin(features: FeatureFlags) -> Begin {
    Begin {
        payload_length: 0,
        version_info: VersionInfo::new(HeaderType::SUBSTREAM, features),
        creation_time: 1,
        objset_type: ObjsetType::ZFS,
        flags: BeginFlags::FREERECORDS | BeginFlags::SPILL_BLOCK,
        to_guid: 7,
        from_guid: 0,
        to_name: StreamName::new("tank/fs@a").unwrap(),
    }
}

fn stream_errno(begin: &Begin, is_enabled: impl Fn(Feature) -> bool) -> i32 {
    check_stream(begin, Wanted::default(), is_enabled).map_or_else(|error| error.errno().0, |()| 0)
}

#[test]
fn begin_must_open_a_stream_of_something() {
    let good = begin(FeatureFlags::SA_SPILL);
    assert_eq!(stream_errno(&good, |_| false), 0);
    let package = Begin {
        version_info: VersionInfo::new(HeaderType::COMPOUND, FeatureFlags::empty()),
        ..good.clone()
    };
    assert_eq!(stream_errno(&package, |_| true), 22);
    let unknown = Begin {
        objset_type: ObjsetType(6),
        ..good.clone()
    };
    assert_eq!(stream_errno(&unknown, |_| true), 22);
    let clone = Begin {
        flags: BeginFlags::CLONE,
        ..good
    };
    assert_eq!(stream_errno(&clone, |_| true), 22);
}

#[test]
fn a_stream_needs_features_of_the_pool() {
    for (flag, feature) in [
        (FeatureFlags::LZ4, Feature::Lz4Compress),
        (FeatureFlags::ZSTD, Feature::ZstdCompress),
        (FeatureFlags::EMBED_DATA, Feature::EmbeddedData),
        (FeatureFlags::LARGE_BLOCKS, Feature::LargeBlocks),
        (FeatureFlags::LARGE_DNODE, Feature::LargeDnode),
        (FeatureFlags::LARGE_MICROZAP, Feature::LargeMicrozap),
        (FeatureFlags::REDACTED, Feature::RedactedDatasets),
        (FeatureFlags::LONGNAME, Feature::LongName),
        (FeatureFlags::RAW, Feature::Encryption),
    ] {
        assert_eq!(stream_errno(&begin(flag), |_| true), 0, "{flag:?}");
        let refused = check_stream(&begin(flag), Wanted::default(), |enabled| enabled != feature);
        assert_eq!(refused, Err(BeginError::FeatureDisabled(feature)), "{flag:?}");
        assert_eq!(stream_errno(&begin(flag), |enabled| enabled != feature), 95);
    }
    assert_eq!(
        stream_errno(&begin(FeatureFlags::from_bits_retain(1 << 40)), |_| true),
        1037
    );
    assert_eq!(
        stream_errno(&begin(FeatureFlags::RAW | FeatureFlags::EMBED_DATA), |_| true),
        22
    );
    let unmarked = Begin {
        flags: BeginFlags::FREERECORDS,
        ..begin(FeatureFlags::RAW)
    };
    assert_eq!(stream_errno(&unmarked, |_| true), 1036);
}

#[test]
fn a_new_dataset_needs_a_file_system_above_it() {
    let full = begin(FeatureFlags::empty());
    let check = |begin: &Begin, parent| check_target(begin, Wanted::default(), Target::Missing(parent));
    let plain = Parent::FileSystem { is_encrypted: false };
    let encrypted = Parent::FileSystem { is_encrypted: true };
    assert_eq!(check(&full, plain), Ok(()));
    assert_eq!(check(&full, Parent::Missing), Err(BeginError::ParentMissing));
    assert_eq!(check(&full, Parent::Volume), Err(BeginError::ParentNoFileSystem));
    assert_eq!(check(&full, encrypted), Err(BeginError::NoKey));
    assert_eq!(check(&begin(FeatureFlags::RAW), encrypted), Ok(()));
    let incremental = Begin { from_guid: 3, ..full };
    assert_eq!(check(&incremental, plain), Err(BeginError::TargetMissing));
    assert_eq!(BeginError::TargetMissing.errno(), Errno::ENOENT);
    assert_eq!(BeginError::ParentNoFileSystem.errno().0, 1033);
    assert_eq!(BeginError::NoKey.errno().0, 13);
}

#[test]
fn an_existing_target_refuses_a_full_stream() {
    let full = begin(FeatureFlags::empty());
    let target = |is_busy, has_snapshot, has_children| {
        Target::Existing(Existing {
            is_busy,
            has_snapshot,
            has_children,
            ..Existing::default()
        })
    };
    let errno = |begin: &Begin, target| errno(begin, Wanted::default(), target);
    assert_eq!(errno(&full, target(false, false, false)), 17);
    assert_eq!(errno(&full, target(true, true, true)), 16);
    assert_eq!(errno(&full, target(false, true, true)), 17);
    let volume = Begin {
        objset_type: ObjsetType::ZVOL,
        ..full.clone()
    };
    assert_eq!(errno(&volume, target(false, false, true)), 1033);
}

fn errno(begin: &Begin, wanted: Wanted, target: Target) -> i32 {
    check_target(begin, wanted, target).map_or_else(|error| error.errno().0, |()| 0)
}

const FORCED: Wanted = Wanted {
    is_forced: true,
    is_resumable: false,
    is_unlocked: false,
    encrypts: None,
    origin: None,
};

#[test]
fn an_incremental_stream_goes_over_what_it_continues_and_nothing_else() {
    let incremental = Begin {
        from_guid: 3,
        ..begin(FeatureFlags::empty())
    };
    let plain = Wanted::default();
    let mut existing = Existing {
        has_children: true,
        ..Existing::default()
    };
    assert_eq!(errno(&incremental, plain, Target::Existing(existing)), 19);
    assert_eq!(errno(&incremental, FORCED, Target::Existing(existing)), 19);
    existing.base = Some(Base::default());
    assert_eq!(errno(&incremental, plain, Target::Existing(existing)), 0);
    existing.is_modified = true;
    assert_eq!(errno(&incremental, plain, Target::Existing(existing)), 26);
    assert_eq!(errno(&incremental, FORCED, Target::Existing(existing)), 0);
    let base = Base {
        has_large_blocks: true,
        ..Base::default()
    };
    existing.base = Some(base);
    assert_eq!(errno(&incremental, FORCED, Target::Existing(existing)), 1041);
    let large = Begin {
        from_guid: 3,
        ..begin(FeatureFlags::LARGE_BLOCKS)
    };
    assert_eq!(errno(&large, FORCED, Target::Existing(existing)), 0);
    existing.base = Some(Base {
        is_redacted_otherwise: true,
        ..base
    });
    assert_eq!(errno(&large, FORCED, Target::Existing(existing)), 22);
    existing.is_encrypted = true;
    assert_eq!(errno(&large, FORCED, Target::Existing(existing)), 13);
}

#[test]
fn a_forced_full_stream_replaces_what_is_not_encrypted() {
    let full = begin(FeatureFlags::empty());
    let existing = Existing::default();
    assert_eq!(errno(&full, FORCED, Target::Existing(existing)), 0);
    let raw = begin(FeatureFlags::RAW);
    assert_eq!(errno(&raw, FORCED, Target::Existing(existing)), 22);
}

#[test]
fn a_clone_needs_its_origin() {
    let full = begin(FeatureFlags::empty());
    let clone = Begin {
        from_guid: 3,
        flags: BeginFlags::CLONE,
        ..full.clone()
    };
    let over = |origin| Wanted {
        origin: Some(origin),
        ..Wanted::default()
    };
    let of = |guid| {
        over(Origin::Snapshot {
            guid,
            base: Base::default(),
        })
    };
    let missing = Target::Missing(Parent::FileSystem { is_encrypted: false });
    assert_eq!(errno(&clone, of(3), missing), 0);
    assert_eq!(errno(&clone, of(4), missing), 19);
    assert_eq!(errno(&clone, over(Origin::Missing), missing), 2);
    assert_eq!(errno(&clone, over(Origin::Elsewhere), missing), 18);
    assert_eq!(errno(&clone, over(Origin::NoSnapshot), missing), 22);
    assert_eq!(errno(&clone, of(3), Target::Existing(Existing::default())), 22);
    assert_eq!(errno(&full, of(4), missing), 0);
    let silent = Begin {
        flags: BeginFlags::empty(),
        ..full
    };
    assert_eq!(errno(&silent, of(4), missing), 22);
}

/// An object that any stream may hold.
fn object() -> Object {
    Object {
        object: 3,
        object_type: ObjectType(19),
        bonus_type: ObjectType::SA,
        bonus_length: 168,
        block_size: 4096,
        dnode_slots: 1,
        ..Object::default()
    }
}

fn raw_object() -> Object {
    Object {
        raw_bonus_length: 320,
        indirect_block_shift: 17,
        levels: 1,
        block_pointers: 1,
        ..object()
    }
}

fn fault(features: FeatureFlags, record: impl Into<Checked>) -> Option<RecordFault> {
    let Checked(record) = record.into();
    RecordRules::of(&begin(features)).check(&record).err()
}

/// A record to be checked.
struct Checked(Record);

impl From<Object> for Checked {
    fn from(object: Object) -> Self {
        Self(Record::Object(object))
    }
}

impl From<Write> for Checked {
    fn from(write: Write) -> Self {
        Self(Record::Write(write))
    }
}

impl From<WriteEmbedded> for Checked {
    fn from(write: WriteEmbedded) -> Self {
        Self(Record::WriteEmbedded(write))
    }
}

#[test]
fn objects_have_bonus_buffers_of_a_type() {
    let none = FeatureFlags::empty();
    assert_eq!(fault(none, object()), None);
    let typeless = Object {
        bonus_type: ObjectType::NONE,
        ..object()
    };
    assert!(matches!(fault(none, typeless), Some(RecordFault::Bonus { .. })));
    let empty = Object {
        bonus_type: ObjectType(17),
        bonus_length: 0,
        ..object()
    };
    assert!(matches!(fault(none, empty), Some(RecordFault::Bonus { .. })));
    for bonus_type in [ObjectType::NONE, ObjectType::SA, ObjectType(0xc3)] {
        let empty = Object {
            bonus_type,
            bonus_length: 0,
            ..object()
        };
        assert_eq!(fault(none, empty), None, "{bonus_type:?}");
    }
}

#[test]
fn objects_keep_to_the_numbers_and_marks_there_are() {
    let large = FeatureFlags::LARGE_DNODE;
    let last = Object {
        object: (1 << 48) - 1,
        ..object()
    };
    assert_eq!(fault(large, last), None);
    let past = Object {
        dnode_slots: 2,
        ..last
    };
    assert!(matches!(fault(large, past), Some(RecordFault::PastEnd { .. })));
    let marked = Object {
        flags: RecordFlags::OBJECT_SPILL,
        ..object()
    };
    assert_eq!(fault(large, marked), None);
    let unmarked_stream = Begin {
        flags: BeginFlags::FREERECORDS,
        ..begin(large)
    };
    let checked = RecordRules::of(&unmarked_stream).check(&Record::Object(marked));
    assert_eq!(checked, Err(RecordFault::SpillMark));
}

#[test]
fn raw_objects_have_a_shape_that_dnodes_have() {
    let raw = FeatureFlags::RAW | FeatureFlags::LARGE_DNODE;
    assert_eq!(fault(raw, raw_object()), None);
    let indirect = Object {
        indirect_block_shift: 11,
        ..raw_object()
    };
    assert_eq!(fault(raw, indirect), Some(RecordFault::IndirectShift(11)));
    let flat = Object {
        levels: 0,
        ..raw_object()
    };
    assert_eq!(fault(raw, flat), Some(RecordFault::Levels(0)));
    let pointers = Object {
        block_pointers: 2,
        ..raw_object()
    };
    assert!(matches!(
        fault(raw, pointers),
        Some(RecordFault::Pointers { expected: 1, .. })
    ));
    let spilled = Object {
        flags: RecordFlags::OBJECT_SPILL,
        ..raw_object()
    };
    assert_eq!(
        fault(raw, spilled),
        Some(RecordFault::BonusArea {
            length: 320,
            room: 192
        })
    );
    // A znode leaves no room for another pointer in one slot, but in two.
    for (slots, pointers) in [(1, 1), (2, 3)] {
        let znode = Object {
            bonus_type: ObjectType(17),
            bonus_length: 264,
            raw_bonus_length: 264,
            dnode_slots: slots,
            block_pointers: pointers,
            ..raw_object()
        };
        assert_eq!(fault(raw, znode), None, "{slots} slots");
    }
}

fn write() -> Write {
    Write {
        object: 3,
        object_type: ObjectType(19),
        logical_size: 4096,
        ..Write::default()
    }
}

#[test]
fn compression_must_be_announced() {
    let compressed = |id| Write {
        compression: CompressionType(id),
        compressed_size: 1024,
        ..write()
    };
    let compressed_only = FeatureFlags::COMPRESSED;
    assert_eq!(fault(compressed_only, compressed(3)), None);
    for (id, feature) in [(15, FeatureFlags::LZ4), (16, FeatureFlags::ZSTD)] {
        assert_eq!(
            fault(compressed_only, compressed(id)),
            Some(RecordFault::Compression(id))
        );
        assert_eq!(fault(compressed_only | feature, compressed(id)), None);
    }
    assert!(matches!(
        fault(FeatureFlags::empty(), compressed(3)),
        Some(RecordFault::Invalid(_))
    ));
    assert_eq!(
        fault(FeatureFlags::RAW, write()),
        Some(RecordFault::Compression(0))
    );
    let spill = Spill {
        object: 3,
        length: 512,
        compression: CompressionType::ZSTD,
        compressed_size: 512,
        ..Spill::default()
    };
    let checked = RecordRules::of(&begin(FeatureFlags::RAW)).check(&Record::Spill(spill));
    assert_eq!(checked, Err(RecordFault::Compression(16)));
}

#[test]
fn embedded_blocks_hold_what_they_say() {
    let embedded = |compression, logical_size, physical_size| WriteEmbedded {
        object: 3,
        length: 512,
        compression: CompressionType(compression),
        logical_size,
        physical_size,
        ..WriteEmbedded::default()
    };
    let features = FeatureFlags::EMBED_DATA;
    assert_eq!(fault(features, embedded(15, 512, 30)), None);
    assert_eq!(fault(features, embedded(2, 30, 30)), None);
    assert!(matches!(
        fault(features, embedded(2, 512, 30)),
        Some(RecordFault::Embedded { .. })
    ));
    assert!(matches!(
        fault(features, embedded(15, 512, 0)),
        Some(RecordFault::Embedded { .. })
    ));
}

#[test]
fn writes_go_forwards() {
    let mut rules = RecordRules::of(&begin(FeatureFlags::DEDUP));
    let at = |object, offset| {
        Record::Write(Write {
            object,
            offset,
            ..write()
        })
    };
    for (object, offset) in [(3, 0), (3, 0), (3, 4096), (4, 0)] {
        assert_eq!(rules.check(&at(object, offset)), Ok(()));
    }
    assert!(matches!(
        rules.check(&at(3, 8192)),
        Err(RecordFault::Backwards { .. })
    ));
    assert_eq!(rules.check(&at(4, 4096)), Ok(()));
    assert!(matches!(
        rules.check(&at(4, 0)),
        Err(RecordFault::Backwards { .. })
    ));
    let reference = Record::WriteByRef(WriteByRef {
        object: 4,
        length: 4096,
        ref_object: 3,
        ..WriteByRef::default()
    });
    assert!(matches!(
        rules.check(&reference),
        Err(RecordFault::Backwards { .. })
    ));
}

#[test]
fn what_continues_a_redacted_snapshot_brings_what_it_lacks_or_lacks_it_too() {
    let base = [1, 2, 3];
    let plain = begin(FeatureFlags::empty());
    let redacted = begin(FeatureFlags::REDACTED);
    let of_redacted = Begin {
        to_guid: 2,
        ..plain.clone()
    };
    let says =
        |snapshots: Option<&'static [u64]>, from: Option<&'static [u64]>| Redaction { snapshots, from };
    for (begin, redaction, expected) in [
        (&plain, says(None, None), false),
        (&of_redacted, says(None, None), true),
        (&plain, says(None, Some(&[3, 1])), true),
        (&plain, says(None, Some(&[])), true),
        (&plain, says(None, Some(&[3, 4])), false),
        (&of_redacted, says(None, Some(&[4])), false),
        (&redacted, says(None, None), false),
        (&redacted, says(Some(&[1]), None), true),
        (&redacted, says(Some(&[1, 4]), None), false),
        (&redacted, says(Some(&[4]), Some(&[1])), true),
    ] {
        assert_eq!(redaction.continues(begin, &base), expected, "{redaction:?}");
    }
}

#[test]
fn a_stream_goes_on_only_where_it_was_cut() {
    let full = begin(FeatureFlags::RESUMING);
    let cut = Begun {
        is_inconsistent: true,
        to_guid: Some(full.to_guid),
        point: (5, 4096),
        ..Begun::default()
    };
    let redaction = [3, 4];
    let on = Resuming {
        point: Some((5, 4096)),
        redaction: Some(&redaction),
    };
    let errno = |begin: &Begin, on, is_forced, begun: Option<&Begun>| {
        check_resumed(begin, on, is_forced, begun).map_or_else(|error| error.errno().0, |()| 0)
    };
    assert_eq!(errno(&full, on, false, Some(&cut)), 0);
    assert_eq!(errno(&full, on, false, None), 2);
    let elsewhere = Resuming {
        point: Some((5, 8192)),
        ..on
    };
    for elsewhere in [elsewhere, Resuming::default()] {
        assert_eq!(errno(&full, elsewhere, true, Some(&cut)), 22);
    }
    let change = |change: fn(&mut Begun)| {
        let mut begun = cut.clone();
        change(&mut begun);
        begun
    };
    for (begun, expected) in [
        (change(|begun| begun.is_inconsistent = false), 22),
        (change(|begun| begun.to_guid = None), 22),
        (change(|begun| begun.to_guid = Some(99)), 22),
        (change(|begun| begun.from_guid = 9), 22),
        (change(|begun| begun.has_snapshots = true), 22),
        (change(|begun| begun.has_large_blocks = true), 1041),
        (change(|begun| begun.is_locked = true), 13),
        (change(|begun| begun.is_hidden = true), 1047),
    ] {
        assert_eq!(errno(&full, on, false, Some(&begun)), expected, "{begun:?}");
    }
    assert_eq!(
        errno(&full, on, true, Some(&change(|begun| begun.is_hidden = true))),
        0
    );
    let redacted = begin(FeatureFlags::RESUMING | FeatureFlags::REDACTED);
    assert_eq!(errno(&redacted, on, false, Some(&cut)), 22);
    for (guids, expected) in [(vec![4, 3], 0), (vec![4], 22), (vec![4, 5], 22)] {
        let begun = Begun {
            redaction: Some(guids),
            ..cut.clone()
        };
        assert_eq!(errno(&redacted, on, false, Some(&begun)), expected);
    }
    let incremental = Begin { from_guid: 9, ..full };
    let over = change(|begun| (begun.from_guid, begun.is_hidden) = (9, true));
    assert_eq!(errno(&incremental, on, false, Some(&over)), 0);
    for (begun, expected) in [
        (
            Begun {
                is_modified: true,
                ..over.clone()
            },
            26,
        ),
        (
            Begun {
                is_overtaken: true,
                ..over
            },
            22,
        ),
    ] {
        assert_eq!(errno(&incremental, on, false, Some(&begun)), expected);
        assert_eq!(errno(&incremental, on, true, Some(&begun)), 0);
    }
}
