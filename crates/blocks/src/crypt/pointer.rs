//! What is authenticated of a block pointer, and the sum of the codes in an indirect block.
//!
//! ```text
//! for each pointer, 32 bytes
//!    0   u64 LE   its properties word, without what may differ after a raw receive
//!    8   16 bytes its MAC; zeros if it points to an objset
//!   24   u64      zero (not in version 0)
//! ```

use sha2::{Digest, Sha512};
use zferry_wire::Endian;

use super::key::equal;
use super::{CryptError, FormatVersion, Mac};

/// The bytes of a block pointer.
pub(super) const POINTER: usize = 128;

const OBJSET: u64 = 11;

// Fields of the properties word.
const PHYSICAL_SIZE: u64 = 0xffff << 16;
const COMPRESSION: u64 = 0x7f << 32;
const EMBEDDED: u64 = 1 << 39;
const CHECKSUM: u64 = 0xff << 40;
const DEDUP: u64 = 1 << 62;
const BYTE_ORDER: u64 = 1 << 63;

const fn object_type(properties: u64) -> u64 {
    properties >> 48 & 0xff
}

const fn level(properties: u64) -> u64 {
    properties >> 56 & 0x1f
}

/// Appends what is authenticated of a pointer, which is stored in `endian` order.
pub(super) fn authenticate(
    pointer: &[u8; POINTER],
    endian: Endian,
    version: FormatVersion,
    out: &mut impl Extend<u8>,
) {
    let (words, _) = pointer.as_chunks::<8>();
    let word = |index: usize| words.get(index).map_or(0, |bytes| endian.u64(*bytes));
    let properties = word(6);
    let mac = if object_type(properties) == OBJSET {
        Mac::default()
    } else {
        Mac::from_words([word(14), word(15)], block_endian(properties))
    };
    let is_hole = properties & EMBEDDED == 0 && word(0) == 0 && word(1) == 0;
    out.extend(portable(properties, is_hole, version).to_le_bytes());
    out.extend(mac.0);
    if version == FormatVersion::One {
        out.extend([0; 8]);
    }
}

/// The byte order of the block that a pointer with these properties leads to.
const fn block_endian(properties: u64) -> Endian {
    if properties & BYTE_ORDER == 0 {
        Endian::Big
    } else {
        Endian::Little
    }
}

/// The properties that survive a raw send and receive. A stream says nothing of indirect blocks, so the receiver may
/// store them in its own order and compression; of level-0 blocks it must keep both, for they tell how to read them.
const fn portable(properties: u64, is_hole: bool, version: FormatVersion) -> u64 {
    match version {
        FormatVersion::Zero => properties & !(DEDUP | CHECKSUM | PHYSICAL_SIZE),
        FormatVersion::One if is_hole => 0,
        FormatVersion::One if level(properties) == 0 => properties & !(DEDUP | CHECKSUM),
        FormatVersion::One => properties & !(DEDUP | CHECKSUM | BYTE_ORDER | COMPRESSION | PHYSICAL_SIZE),
    }
}

/// The code in the pointer to an indirect block: an unkeyed sum of the codes that are in the block. `block` is the
/// whole block, decompressed, in `endian` order.
///
/// # Errors
/// [`CryptError::BlockLength`] unless the block is a whole number of pointers.
pub fn indirect_mac(block: &[u8], endian: Endian, version: FormatVersion) -> Result<Mac, CryptError> {
    let (pointers, rest) = block.as_chunks::<POINTER>();
    if !rest.is_empty() {
        return Err(CryptError::BlockLength {
            kind: "indirect block",
            length: zferry_wire::u64_from_usize(block.len()),
        });
    }
    let mut hash = Sha512::new();
    let mut authenticated = Vec::with_capacity(32);
    for pointer in pointers {
        authenticated.clear();
        authenticate(pointer, endian, version, &mut authenticated);
        hash.update(&authenticated);
    }
    let mut mac = [0; 16];
    mac.copy_from_slice(&hash.finalize()[..16]);
    Ok(Mac(mac))
}

/// Checks the code in the pointer to an indirect block, which needs no key. The version of the format is not known
/// without one, so either will do, as in OpenZFS.
///
/// # Errors
/// [`CryptError::Authentication`] where the code is another one, [`CryptError::BlockLength`] as in [`indirect_mac`].
pub fn verify_indirect_mac(block: &[u8], endian: Endian, mac: Mac) -> Result<(), CryptError> {
    let current = indirect_mac(block, endian, FormatVersion::One)?;
    equal(&current.0, &mac.0).or_else(|_error| {
        let old = indirect_mac(block, endian, FormatVersion::Zero)?;
        equal(&old.0, &mac.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(properties: u64, endian: Endian) -> [u8; POINTER] {
        let mut pointer = [0; POINTER];
        let (words, _) = pointer.as_chunks_mut::<8>();
        words[0] = endian.bytes_u64(8);
        words[1] = endian.bytes_u64(0x1000);
        words[6] = endian.bytes_u64(properties);
        words[14] = endian.bytes_u64(0x0102_0304_0506_0708);
        words[15] = endian.bytes_u64(0x1112_1314_1516_1718);
        pointer
    }

    fn authenticated(pointer: &[u8; POINTER], endian: Endian, version: FormatVersion) -> Vec<u8> {
        let mut bytes = Vec::new();
        authenticate(pointer, endian, version, &mut bytes);
        bytes
    }

    #[test]
    fn the_order_of_the_pointer_does_not_matter_that_of_the_block_does() {
        let little = BYTE_ORDER | 19 << 48 | 15 << 32 | 7;
        for version in [FormatVersion::Zero, FormatVersion::One] {
            assert_eq!(
                authenticated(&pointer(little, Endian::Little), Endian::Little, version),
                authenticated(&pointer(little, Endian::Big), Endian::Big, version)
            );
        }
        let one = authenticated(
            &pointer(little, Endian::Little),
            Endian::Little,
            FormatVersion::One,
        );
        assert_eq!(one.len(), 32);
        assert_eq!(one[8..16], [8, 7, 6, 5, 4, 3, 2, 1]);
        let big = authenticated(
            &pointer(little & !BYTE_ORDER, Endian::Little),
            Endian::Little,
            FormatVersion::One,
        );
        assert_eq!(big[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn what_may_differ_is_left_out() {
        let all = !EMBEDDED & !(0xff << 48) & !(0x1f << 56);
        let file = all | 19 << 48;
        let level_one = file | 1 << 56;
        assert_eq!(
            portable(file, false, FormatVersion::One),
            file & !(DEDUP | CHECKSUM)
        );
        assert_eq!(
            portable(level_one, false, FormatVersion::One),
            level_one & !(DEDUP | CHECKSUM | BYTE_ORDER | COMPRESSION | PHYSICAL_SIZE)
        );
        assert_eq!(portable(file, true, FormatVersion::One), 0);
        assert_ne!(portable(file, true, FormatVersion::Zero), 0);
        let objset = authenticated(
            &pointer(11 << 48, Endian::Little),
            Endian::Little,
            FormatVersion::One,
        );
        assert_eq!(objset[8..], [0; 24]);
    }

    #[test]
    fn either_version_verifies() {
        let block = [pointer(19 << 48, Endian::Little), [0; POINTER]].concat();
        for version in [FormatVersion::Zero, FormatVersion::One] {
            let mac = indirect_mac(&block, Endian::Little, version).unwrap();
            assert_eq!(verify_indirect_mac(&block, Endian::Little, mac), Ok(()));
            assert_eq!(
                verify_indirect_mac(&block[..POINTER], Endian::Little, mac),
                Err(CryptError::Authentication)
            );
        }
        assert!(matches!(
            indirect_mac(&block[1..], Endian::Little, FormatVersion::One),
            Err(CryptError::BlockLength { length: 255, .. })
        ));
    }
}
