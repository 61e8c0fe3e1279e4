//! Lists that OpenZFS's libnvpair packed and printed, which `golden/make.c` made, against the same lists built here.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use zferry_nvlist::{Encoding, Endian, Flags, Header, Limits, NvList, Text, Value};

struct Golden {
    native: &'static [u8],
    xdr: &'static [u8],
    print: &'static [u8],
    dump: &'static [u8],
}

macro_rules! golden {
    ($name:literal) => {
        Golden {
            native: include_bytes!(concat!("golden/", $name, ".native")),
            xdr: include_bytes!(concat!("golden/", $name, ".xdr")),
            print: include_bytes!(concat!("golden/", $name, ".print")),
            dump: include_bytes!(concat!("golden/", $name, ".dump")),
        }
    };
}

fn types() -> NvList {
    [
        ("boolean", Value::Boolean),
        ("byte", Value::Byte(0x7f)),
        ("int16", Value::Int16(0x102)),
        ("uint16", Value::Uint16(0xfffe)),
        ("int32", Value::Int32(-2)),
        ("uint32", Value::Uint32(0xffff_fffe)),
        ("int64", Value::Int64(-2)),
        ("uint64", Value::Uint64(0x0102_0304_0506_0708)),
        ("string", Value::String("tank/home".into())),
        ("latin", Value::String(Text::new(b"caf\xe9"))),
        ("byte_array", Value::ByteArray(vec![1, 0x7f, 0xff, 0x80, 5])),
        ("int16_array", Value::Int16Array(vec![0x102, 2, 3])),
        ("uint16_array", Value::Uint16Array(vec![0xfffe, 2])),
        ("int32_array", Value::Int32Array(vec![-2, 0x0102_0304, 3])),
        ("uint32_array", Value::Uint32Array(vec![0xffff_fffe])),
        ("int64_array", Value::Int64Array(vec![-2, 0x0102_0304_0506_0708])),
        (
            "uint64_array",
            Value::Uint64Array(vec![0xffff_ffff_ffff_fffe, 2, 3]),
        ),
        (
            "string_array",
            Value::StringArray(["", "a", "four", "eight by"].map(Text::from).to_vec()),
        ),
        ("hrtime", Value::Hrtime(-5)),
        ("boolean_value", Value::BooleanValue(true)),
        ("int8", Value::Int8(0x7e)),
        ("uint8", Value::Uint8(0x0a)),
        ("boolean_array", Value::BooleanArray(vec![true, false, true])),
        ("int8_array", Value::Int8Array(vec![1, 2, 127])),
        ("uint8_array", Value::Uint8Array(vec![3, 4, 5, 6, 7])),
        ("double", Value::Double(0.007_812_5)),
    ]
    .into_iter()
    .collect()
}

fn nested() -> NvList {
    let mut loose = NvList::with_flags(Flags::NONE);
    loose.insert("twice", 1_u64).insert("twice", 2_u64);
    let mut typed = NvList::with_flags(Flags::UNIQUE_NAME_TYPE);
    typed.insert("a", 1_u64).insert("a", "one").insert("a", 2_u64);
    let mut tree = NvList::new();
    tree.insert("children", vec![typed, NvList::new(), loose.clone()])
        .insert("type", "root");

    let mut list = NvList::new();
    for (length, value) in (0..=17).zip(0_u64..) {
        list.insert("n".repeat(length), value);
    }
    list.insert("empty", NvList::new())
        .insert("vdev_tree", tree)
        .insert("loose", loose);
    list.insert("last", Value::Boolean);
    list
}

fn empties() -> NvList {
    let mut inner = NvList::new();
    inner
        .insert("byte_array", Value::ByteArray(Vec::new()))
        .insert("int16_array", Value::Int16Array(Vec::new()))
        .insert("uint64_array", Value::Uint64Array(Vec::new()))
        .insert("string_array", Value::StringArray(Vec::new()))
        .insert("nvlist_array", Value::NvListArray(Vec::new()))
        .insert("boolean_array", Value::BooleanArray(Vec::new()))
        .insert("int8_array", Value::Int8Array(Vec::new()))
        .insert("string", "");
    let mut list = NvList::new();
    list.insert("inner", inner)
        .insert("uint32_array", Value::Uint32Array(Vec::new()));
    list.insert("last", Value::Boolean);
    list
}

fn signs() -> NvList {
    let mut list = NvList::new();
    list.insert("byte", Value::Byte(0xff))
        .insert("int8", Value::Int8(-2))
        .insert("uint8", Value::Uint8(0xfe))
        .insert("int16", Value::Int16(-2))
        .insert("int8_array", Value::Int8Array(vec![-128, -1, 127]))
        .insert("uint8_array", Value::Uint8Array(vec![0x80, 0xff, 0x7f]))
        .insert("int16_array", Value::Int16Array(vec![-32768, -1, 32767]));
    list
}

fn decode(bytes: &[u8]) -> (NvList, Header) {
    NvList::decode(bytes, &Limits::default()).unwrap()
}

fn same_native(list: &NvList, golden: &Golden) {
    assert_eq!(list.encode(Encoding::Native, Endian::Little), golden.native);
    assert_eq!(list.encoded_size(Encoding::Native), golden.native.len());
    let header = Header {
        encoding: Encoding::Native,
        endian: Endian::Little,
    };
    assert_eq!(decode(golden.native), (list.clone(), header));
}

fn same_xdr(list: &NvList, golden: &Golden) {
    assert_eq!(list.encode(Encoding::Xdr, Endian::Little), golden.xdr);
    assert_eq!(list.encoded_size(Encoding::Xdr), golden.xdr.len());
    let header = Header {
        encoding: Encoding::Xdr,
        endian: Endian::Little,
    };
    assert_eq!(decode(golden.xdr), (list.clone(), header));
}

fn same_text(list: &NvList, golden: &Golden) {
    assert_eq!(list.print().to_string(), String::from_utf8_lossy(golden.print));
    assert_eq!(list.dump(2).to_string(), String::from_utf8_lossy(golden.dump));
}

#[test]
fn every_type() {
    let golden = golden!("types");
    same_native(&types(), &golden);
    same_xdr(&types(), &golden);
    same_text(&types(), &golden);
}

#[test]
fn lists_within_lists() {
    let golden = golden!("nested");
    same_native(&nested(), &golden);
    same_xdr(&nested(), &golden);
    same_text(&nested(), &golden);
}

#[test]
fn arrays_without_elements() {
    let golden = golden!("empties");
    same_native(&empties(), &golden);
    same_xdr(&empties(), &golden);
    same_text(&empties(), &golden);
}

/// Programs extend signs in XDR, the kernel puts zeros: both are read, the kernel's form is written.
#[test]
fn signs_in_words() {
    let golden = golden!("signs");
    same_native(&signs(), &golden);
    same_text(&signs(), &golden);
    assert_eq!(decode(golden.xdr).0, signs());
    let ours = signs().encode(Encoding::Xdr, Endian::Little);
    assert_eq!(decode(&ours).0, signs());
    let differing = golden
        .xdr
        .chunks(4)
        .zip(ours.chunks(4))
        .filter(|(theirs, ours)| theirs != ours);
    for (theirs, ours) in differing {
        assert!(
            theirs.starts_with(&[0xff, 0xff]) && ours.starts_with(&[0, 0]),
            "{theirs:x?} {ours:x?}"
        );
    }
    assert_eq!(ours.len(), golden.xdr.len());
}

/// Bytes behind a list are none of its business.
#[test]
fn what_follows_a_list_is_ignored() {
    for bytes in [golden!("nested").native, golden!("nested").xdr] {
        let mut padded = bytes.to_vec();
        padded.extend([0xff; 100]);
        assert_eq!(decode(&padded).0, nested());
        let limits = Limits::default().with_bytes(bytes.len());
        assert_eq!(NvList::decode(&padded, &limits).unwrap().0, nested());
    }
}

/// The list in front of a package of streams.
#[test]
fn a_package() {
    let bytes = include_bytes!("golden/package.xdr");
    let (list, header) = decode(bytes);
    assert_eq!(list.encode(header.encoding, header.endian), bytes);
    assert_eq!(list.print().to_string(), include_str!("golden/package.print"));
    assert_eq!(list.str("tosnap"), Some("c"));
    let (_, fs) = list.list("fss").unwrap().iter().next().unwrap();
    let Value::NvList(fs) = fs else {
        panic!("not a list")
    };
    assert_eq!(fs.text("name").unwrap(), &"basic/fs");
    assert_eq!(fs.list("snaps").unwrap().len(), 3);
}

/// The list in the first record of a raw stream.
#[test]
fn a_raw_stream() {
    let bytes = include_bytes!("golden/raw.native");
    let (list, header) = decode(bytes);
    assert_eq!(list.encode(header.encoding, header.endian), bytes);
    assert_eq!(list.print().to_string(), include_str!("golden/raw.print"));
    let key = list.list("crypt_keydata").unwrap();
    assert_eq!(key.bytes("DSL_CRYPTO_MASTER_KEY_1").unwrap().len(), 32);
    assert_eq!(key.u64("pbkdf2iters"), Some(100_000));
}

/// The configuration in the label of a vdev.
#[test]
fn a_label() {
    let bytes = include_bytes!("golden/label.xdr");
    let (list, header) = decode(bytes);
    assert_eq!(list.encode(header.encoding, header.endian), bytes);
    assert_eq!(list.dump(4).to_string(), include_str!("golden/label.dump"));
    let tree = list.list("vdev_tree").unwrap();
    assert_eq!(
        tree.lists("children").unwrap()[1].u64("guid"),
        Some(16_822_920_750_919_329_701)
    );
    assert!(
        list.list("features_for_read")
            .unwrap()
            .flag("com.delphix:hole_birth")
    );
}
