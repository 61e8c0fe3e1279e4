//! Putting the content of an object into the other byte order, by its type.
//!
//! A pool that was written by a machine of the other order is read as it is; only what leaves it in a stream, whose
//! numbers are all in one order, is turned round. Layouts: ZAP blocks in [`crate::zap`]; the znode is
//!
//! ```text
//! offset  field                        the file's attributes before version 5 of file systems, 264 bytes
//!      0  zp_atime, mtime, ctime, crtime     two u64 each
//!     64  zp_gen, mode, size, parent, links, xattr, rdev, flags, uid, gid, zap, 3 × pad       u64 each
//!    176  zp_acl: z_acl_extern_obj u64 | z_acl_size or z_acl_count u32 | z_acl_version u16 | z_acl_count or pad u16
//!         | z_ace_data, 72 bytes
//! ```

use zferry_wire::{Endian, Reader};

/// How the bytes of a type are put into the other order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Bytes: nothing to do.
    Bytes,
    /// 16-bit numbers.
    U16,
    /// 32-bit numbers.
    U32,
    /// 64-bit numbers.
    U64,
    /// A ZAP block, which tells its own layout.
    Zap,
    /// Dnodes.
    Dnode,
    /// An object set.
    ObjectSet,
    /// The znode of file systems before version 5.
    Znode,
    /// Access control lists of the first version.
    OldAcl,
    /// Access control lists.
    Acl,
}

/// The first words of ZAP blocks.
const ZAP_LEAF: u64 = 1 << 63;
const ZAP_MICRO: u64 = (1 << 63) + 3;

impl ByteOrder {
    /// Turns every number in `bytes` round. What is left over behind the last whole number stays as it is.
    ///
    /// `bytes` are in big-endian order, and are little-endian afterwards.
    pub fn swap(self, bytes: &mut [u8]) {
        match self {
            Self::Bytes => {}
            Self::U16 => swap_words::<2>(bytes),
            Self::U32 => swap_words::<4>(bytes),
            Self::U64 | Self::ObjectSet | Self::Dnode => swap_words::<8>(bytes),
            Self::Zap => swap_zap(bytes),
            Self::Znode => swap_znode(bytes),
            Self::OldAcl => swap_old_acl(bytes),
            Self::Acl => swap_acl(bytes),
        }
    }
}

fn swap_words<const WIDTH: usize>(bytes: &mut [u8]) {
    let (words, _) = bytes.as_chunks_mut::<WIDTH>();
    for word in words {
        word.reverse();
    }
}

/// Turns round the fields of the given widths, one after another.
fn swap_fields(bytes: &mut [u8], widths: &[usize]) {
    let mut rest = bytes;
    for &width in widths {
        let Some((field, tail)) = rest.split_at_mut_checked(width) else {
            return;
        };
        field.reverse();
        rest = tail;
    }
}

fn swap_zap(bytes: &mut [u8]) {
    match Reader::new(bytes, Endian::Big).u64() {
        Ok(ZAP_MICRO) => swap_micro_zap(bytes),
        Ok(ZAP_LEAF) => swap_zap_leaf(bytes),
        // Headers and pointer tables are arrays of 64-bit numbers.
        _ => swap_words::<8>(bytes),
    }
}

fn swap_micro_zap(bytes: &mut [u8]) {
    let (entries, _) = bytes.as_chunks_mut::<64>();
    for (index, entry) in entries.iter_mut().enumerate() {
        if index == 0 {
            swap_fields(entry, &[8, 8, 8]);
        } else {
            swap_fields(entry, &[8, 4]);
        }
    }
}

fn swap_zap_leaf(bytes: &mut [u8]) {
    const TYPE_ENTRY: u8 = 252;
    const TYPES_WITH_NEXT: [u8; 2] = [251, 253];
    let hash_bytes = bytes.len() / 16;
    let Some((header, rest)) = bytes.split_at_mut_checked(48) else {
        return;
    };
    swap_fields(header, &[8, 8, 8, 4, 2, 2, 2, 2]);
    let Some((hashes, chunks)) = rest.split_at_mut_checked(hash_bytes) else {
        return;
    };
    swap_words::<2>(hashes);
    let (chunks, _) = chunks.as_chunks_mut::<24>();
    for chunk in chunks {
        let (kind, fields) = chunk
            .split_first_mut()
            .map_or((0, &mut [][..]), |(kind, fields)| (*kind, fields));
        if kind == TYPE_ENTRY {
            swap_fields(fields, &[1, 2, 2, 2, 2, 2, 4, 8]);
        } else if TYPES_WITH_NEXT.contains(&kind)
            && let Some(next) = fields.last_chunk_mut::<2>()
        {
            next.reverse();
        }
    }
}

fn swap_znode(bytes: &mut [u8]) {
    let Some((numbers, acl)) = bytes.split_at_mut_checked(176) else {
        swap_words::<8>(bytes);
        return;
    };
    swap_words::<8>(numbers);
    swap_fields(acl, &[8, 4, 2, 2]);
    let is_initial = acl.get(12..14) == Some(&[0, 0]);
    if let Some(entries) = acl.get_mut(16..) {
        if is_initial {
            swap_old_acl(entries);
        } else {
            swap_acl(entries);
        }
    }
}

/// Entries of the first version: `a_who` u32, `a_access_mask` u32, `a_flags` u16, `a_type` u16.
fn swap_old_acl(bytes: &mut [u8]) {
    let (entries, _) = bytes.as_chunks_mut::<12>();
    for entry in entries {
        swap_fields(entry, &[4, 4, 2, 2]);
    }
}

/// Entries: `z_type` u16, `z_flags` u16, `z_access_mask` u32, and for a named user or group `z_fuid` u64; entries of
/// objects carry two guids of 16 bytes behind that, which are bytes.
fn swap_acl(bytes: &mut [u8]) {
    const TYPES_OF_OBJECTS: std::ops::RangeInclusive<u16> = 5..=8;
    const WHO_TYPE_MASK: u16 = 0x7040;
    const WHO_WITHOUT_ID: [u16; 3] = [0x1000, 0x2040, 0x4000];
    let mut rest = bytes;
    loop {
        let mut reader = Reader::new(rest, Endian::Big);
        let (Ok(z_type), Ok(z_flags)) = (reader.u16(), reader.u16()) else {
            return;
        };
        let named = !WHO_WITHOUT_ID.contains(&(z_flags & WHO_TYPE_MASK));
        let size = match (named, TYPES_OF_OBJECTS.contains(&z_type)) {
            (false, _) => 8_usize,
            (true, false) => 16,
            (true, true) => 48,
        };
        swap_fields(rest, if named { &[2, 2, 4, 8] } else { &[2, 2, 4] });
        let Some((_, tail)) = rest.split_at_mut_checked(size) else {
            return;
        };
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_zap_names_stay() {
        let mut bytes = vec![0; 128];
        bytes[..8].copy_from_slice(&ZAP_MICRO.to_be_bytes());
        bytes[64..72].copy_from_slice(&7_u64.to_be_bytes());
        bytes[72..76].copy_from_slice(&1_u32.to_be_bytes());
        bytes[78..82].copy_from_slice(b"name");
        ByteOrder::Zap.swap(&mut bytes);
        assert_eq!(bytes[..8], ZAP_MICRO.to_le_bytes());
        assert_eq!(bytes[64..72], 7_u64.to_le_bytes());
        assert_eq!(bytes[72..76], 1_u32.to_le_bytes());
        assert_eq!(&bytes[78..82], b"name");
    }

    #[test]
    fn nothing_is_too_short_to_swap() {
        for order in [
            ByteOrder::Zap,
            ByteOrder::Znode,
            ByteOrder::Acl,
            ByteOrder::OldAcl,
            ByteOrder::U64,
        ] {
            for len in 0..300 {
                let mut bytes = vec![0x80; len];
                order.swap(&mut bytes);
            }
        }
    }
}
