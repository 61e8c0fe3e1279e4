//! Numbers that name something, and small structures that several records share. Values that this crate does not know
//! pass through unchanged: what they mean is decided where they are used.

use zferry_wire::{Reader, ShortRead, Writer};

/// `dmu_object_type_t`: what an object, its bonus buffer or its spill block holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectType(pub u32);

impl ObjectType {
    /// DMU_OT_NONE: no object, or no bonus.
    pub const NONE: Self = Self(0);
    /// DMU_OT_SA: system attributes.
    pub const SA: Self = Self(44);
}

/// `dmu_objset_type_t`: what kind of dataset was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjsetType(pub u32);

impl ObjsetType {
    /// DMU_OST_NONE: a package's header.
    pub const NONE: Self = Self(0);
    /// DMU_OST_ZFS: a file system.
    pub const ZFS: Self = Self(2);
    /// DMU_OST_ZVOL: a volume.
    pub const ZVOL: Self = Self(3);
    /// DMU_OST_OTHER: neither, as test tools make them.
    pub const OTHER: Self = Self(4);
}

/// `enum zio_checksum`: how a block is summed on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChecksumType(pub u8);

impl ChecksumType {
    /// ZIO_CHECKSUM_OFF: in WRITE, the block's checksum is not stated.
    pub const OFF: Self = Self(2);
}

/// `enum zio_compress`: how a block is compressed on disk or in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompressionType(pub u8);

impl CompressionType {
    /// Zero: in WRITE and SPILL, the payload is the block's logical contents.
    pub const NONE: Self = Self(0);
    /// ZIO_COMPRESS_OFF: in a raw stream, a block that is not compressed on disk.
    pub const OFF: Self = Self(2);
    /// ZIO_COMPRESS_LZ4: from here on, algorithms that a stream must announce.
    pub const LZ4: Self = Self(15);
    /// ZIO_COMPRESS_ZSTD
    pub const ZSTD: Self = Self(16);
}

/// `bp_embedded_type_t`: what an embedded block pointer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EmbeddedType(pub u8);

impl EmbeddedType {
    /// BP_EMBEDDED_TYPE_DATA: the block's contents.
    pub const DATA: Self = Self(0);
}

/// How a block of a raw stream is encrypted. All zero in other streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CryptParameters {
    /// Chooses the key, together with the master key.
    pub salt: [u8; 8],
    /// The initialization vector.
    pub iv: [u8; 12],
    /// The message authentication code.
    pub mac: [u8; 16],
}

impl CryptParameters {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            salt: reader.array()?,
            iv: reader.array()?,
            mac: reader.array()?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.salt).bytes(&self.iv).bytes(&self.mac);
    }
}
