//! The flag words of a stream: `drr_versioninfo`, BEGIN's `drr_flags`, and the flag byte of the other records.
//!
//! ```text
//! drr_versioninfo  63   58 57                                2 1    0
//!                 ┌───────┬───────────────────────────────────┬──────┐
//!                 │ spare │ feature flags (30 bits before 2.3)│ type │
//!                 └───────┴───────────────────────────────────┴──────┘
//! ```

use bitflags::bitflags;

bitflags! {
    /// What a reader must know to make sense of a stream. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FeatureFlags: u64 {
        /// WRITE_BYREF records are present. Sent by releases before 2.0.
        const DEDUP = 1 << 0;
        /// The keys of WRITE records are fit for deduplication. Sent by releases before 2.0.
        const DEDUPPROPS = 1 << 1;
        /// A file system with system attributes: SPILL records are possible.
        const SA_SPILL = 1 << 2;
        /// WRITE_EMBEDDED records are possible (`zfs send -e`).
        const EMBED_DATA = 1 << 16;
        /// Payloads may be compressed with lz4 or a later algorithm, zstd excepted.
        const LZ4 = 1 << 17;
        /// Blocks may be larger than 128 KiB (`zfs send -L`).
        const LARGE_BLOCKS = 1 << 19;
        /// The stream continues an interrupted one (`zfs send -t`).
        const RESUMING = 1 << 20;
        /// REDACT records are possible (`zfs send --redact`).
        const REDACTED = 1 << 21;
        /// Payloads of WRITE records may be compressed (`zfs send -c`).
        const COMPRESSED = 1 << 22;
        /// Dnodes may be larger than 512 bytes.
        const LARGE_DNODE = 1 << 23;
        /// Blocks of an encrypted dataset as they lie on disk (`zfs send -w`).
        const RAW = 1 << 24;
        /// Payloads may be compressed with zstd.
        const ZSTD = 1 << 25;
        /// The package carries user holds (`zfs send -h`); only in a package's header.
        const HOLDS = 1 << 26;
        /// The receiver must cope with a change to large blocks. Never sent, accepted by OpenZFS since 2.0.
        const SWITCH_TO_LARGE_BLOCKS = 1 << 27;
        /// File names may be longer than 255 bytes.
        const LONGNAME = 1 << 28;
        /// Microzaps may be larger than 128 KiB.
        const LARGE_MICROZAP = 1 << 29;
    }

    /// The flags of a BEGIN record. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct BeginFlags: u32 {
        /// The incremental source lies in another dataset: the stream is received as a clone.
        const CLONE = 1 << 0;
        /// The dataset is case-insensitive.
        const CI_DATA = 1 << 1;
        /// A full stream frees what it does not hold, so that it may be received as a clone.
        const FREERECORDS = 1 << 2;
        /// OBJECT_SPILL and SPILL_UNMODIFIED mean something in this stream.
        const SPILL_BLOCK = 1 << 3;
    }

    /// The flag byte of OBJECT, WRITE, WRITE_BYREF, SPILL and OBJECT_RANGE. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RecordFlags: u8 {
        /// WRITE, WRITE_BYREF: the block's checksum is strong enough for deduplication.
        const CHECKSUM_DEDUP = 1 << 0;
        /// Raw OBJECT, WRITE, SPILL, OBJECT_RANGE: the payload's byte order is not the stream's.
        const RAW_BYTESWAP = 1 << 1;
        /// OBJECT: the object has a spill block.
        const OBJECT_SPILL = 1 << 2;
        /// SPILL: the block has not changed since the incremental source.
        const SPILL_UNMODIFIED = 1 << 2;
    }
}

impl FeatureFlags {
    /// How many bits of `drr_versioninfo` hold feature flags.
    pub const BITS: u32 = 56;
}

/// Whether a BEGIN opens one snapshot's stream or a package of them. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeaderType(u8);

impl HeaderType {
    /// One snapshot's stream.
    pub const SUBSTREAM: Self = Self(1);
    /// A package of streams (`zfs send -R`, `-I`, `-p`, `-b`, `-h`).
    pub const COMPOUND: Self = Self(2);

    /// The number on the wire, at most 3.
    #[must_use]
    pub const fn id(self) -> u8 {
        self.0
    }
}

/// The word `drr_versioninfo` of a BEGIN record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionInfo(pub u64);

impl VersionInfo {
    const TYPE_BITS: u32 = 2;
    const FEATURE_MASK: u64 = u64::MAX >> (u64::BITS - FeatureFlags::BITS);

    /// The word for a header type and its features. Feature bits beyond [`FeatureFlags::BITS`] have no place in it.
    #[must_use]
    pub const fn new(header_type: HeaderType, features: FeatureFlags) -> Self {
        let [id, ..] = [header_type.0];
        let mut low = [0; 8];
        low[0] = id;
        Self(u64::from_le_bytes(low) | (features.bits() & Self::FEATURE_MASK) << Self::TYPE_BITS)
    }

    /// The lowest two bits.
    #[must_use]
    pub const fn header_type(self) -> HeaderType {
        let [low, ..] = self.0.to_le_bytes();
        HeaderType(low & 3)
    }

    /// The feature flags.
    #[must_use]
    pub const fn features(self) -> FeatureFlags {
        FeatureFlags::from_bits_retain(self.0 >> Self::TYPE_BITS & Self::FEATURE_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_info_holds_type_and_features() {
        let features = FeatureFlags::SA_SPILL | FeatureFlags::LARGE_MICROZAP;
        let word = VersionInfo::new(HeaderType::SUBSTREAM, features);
        assert_eq!(word.0, 0x8000_0011);
        assert_eq!(
            (word.header_type(), word.features()),
            (HeaderType::SUBSTREAM, features)
        );
    }

    #[test]
    fn unknown_bits_survive() {
        let word = VersionInfo(0x0123_4567_89ab_cdef);
        let features = word.features();
        assert_eq!(features.bits(), 0x0123_4567_89ab_cdef >> 2);
        assert_eq!(VersionInfo::new(word.header_type(), features), word);
    }

    #[test]
    fn spare_bits_are_no_features() {
        assert_eq!(VersionInfo(u64::MAX).features().bits(), (1 << 56) - 1);
        assert_eq!(VersionInfo(u64::MAX).header_type().id(), 3);
    }
}
