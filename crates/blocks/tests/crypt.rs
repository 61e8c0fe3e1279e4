//! Two encrypted file systems that OpenZFS wrote, read from their objsets down. See `golden/README.md`.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use support::encrypted::{FileSystem, Slices};
use zferry_blocks::crypt::{CryptError, FormatVersion, Iv, Key, Mac, Suite, WrappedKey, WrappingKey};

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

/// The key object of `crypt/gcm`, and the user's key for it.
fn gcm() -> (WrappedKey, WrappingKey) {
    let wrapped = WrappedKey {
        suite: Suite::from_id(8).unwrap(),
        version: FormatVersion::One,
        guid: (-8_633_982_599_424_636_920_i64).cast_unsigned(),
        iv: Iv(bytes("2873d6483018654456433370")),
        mac: Mac(bytes("ca0418072ea7b9581b1f2068b120ef08")),
        master_key: bytes("2cfe692e2dd253046c663a8ba31f9631fc851f07f342d2fa693751b6f85ac642"),
        hmac_key: bytes(
            "e0032185bb5cd651d00f7f95d93174639da37a3b60dbaca6e08cea9cc8470abc\
             bbe5d4f7616bc8681e1294e57a38b30a66c581734d1835e0bfccf082772f2d67",
        ),
    };
    let passphrase = b"correct horse battery";
    let user = WrappingKey::from_passphrase(passphrase, 6_743_800_259_017_896_745, 100_000).unwrap();
    (wrapped, user)
}

/// The key object of `crypt/ccm`, and the user's key for it.
fn ccm() -> (WrappedKey, WrappingKey) {
    let wrapped = WrappedKey {
        suite: Suite::from_id(3).unwrap(),
        version: FormatVersion::One,
        guid: (-6_179_540_343_303_220_571_i64).cast_unsigned(),
        iv: Iv(bytes("72d1938c8719db6d9b2de975")),
        mac: Mac(bytes("8b0b66939280dcc833f65abeae03487e")),
        master_key: bytes("e18369ad50742bbabf638574eeba898f00000000000000000000000000000000"),
        hmac_key: bytes(
            "4f901f81fa62141fbe80dcb88d17ef7b6ca205010d5b2b323cc248fd910e2dbb\
             0830d6eed2e73216649e4adf8d3d4ce8775aa2b56a5dc752f73d8afeb833e4f1",
        ),
    };
    (wrapped, WrappingKey::from_hex(&[b'1'; 64]).unwrap())
}

fn opened((wrapped, user): (WrappedKey, WrappingKey)) -> Key {
    wrapped.unwrap(&user).unwrap()
}

#[test]
fn keys_unwrap_and_wrap_to_the_same_bytes() {
    for (wrapped, user) in [gcm(), ccm()] {
        let key = wrapped.unwrap(&user).unwrap();
        assert_eq!(key.wrap(&user, wrapped.iv).unwrap(), wrapped);
    }
    let (wrapped, _) = gcm();
    let (_, other) = ccm();
    assert_eq!(wrapped.unwrap(&other).unwrap_err(), CryptError::Authentication);
}

#[test]
fn a_file_system_under_gcm_opens_from_the_objset_down() {
    let mut disk = Slices::open("crypt-gcm");
    let system = FileSystem::read(&mut disk, &opened(gcm()), 0x25_f000, 0x5000);
    assert_eq!(
        system.checksum,
        "0000001cc43b5652:00004e72be224095:0071007715f58de9:71dacad7ebcb3f79"
    );
    // The objects that zdb lists, and the three of accounting.
    assert_eq!(
        system.objects,
        [-3, -2, -1, 1, 2, 12, 13, 32, 33, 34, 35, 36, 128]
    );
    let license = &system.files[&12];
    assert!(license.starts_with(b"                    GNU GENERAL PUBLIC LICENSE"));
    assert!(license[..35_154].ends_with(b"more\n"));
}

#[test]
fn a_file_system_under_ccm_opens_from_the_objset_down() {
    let mut disk = Slices::open("crypt-ccm");
    let system = FileSystem::read(&mut disk, &opened(ccm()), 0x2c_5000, 0x1000);
    assert_eq!(
        system.checksum,
        "00000022e1daf9c2:000065a121e5ca8a:009c509acc20bd57:a7470c67047ecb95"
    );
    assert_eq!(system.objects, [-3, -2, -1, 1, 11, 12, 32, 33, 34, 35, 36, 128]);
}
