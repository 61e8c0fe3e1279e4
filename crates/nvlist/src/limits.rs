//! What a decoder allows.

/// How much a list may hold. Whoever decodes what others wrote sets these; what goes beyond is refused before memory is
/// taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that the encoded list may have, its header included. Bytes behind the list do not count.
    pub bytes: usize,
    /// The most pairs in the list and the lists within it, where each member of an array of lists or strings counts as
    /// a pair too. This is what bounds memory: a pair takes less than 200 bytes beside the bytes of its value.
    pub pairs: usize,
    /// How many lists may lie within one another below the outermost. Decoding recurses as deep.
    pub depth: u8,
}

impl Limits {
    /// The depth that OpenZFS's kernel module allows.
    pub const DEPTH: u8 = 20;

    /// These limits with another limit of bytes.
    #[must_use]
    pub const fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

impl Default for Limits {
    /// 64 MiB, which is what OpenZFS allows the list in front of a package of streams, 2^20 pairs, and the depth that
    /// OpenZFS's kernel module allows.
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            pairs: 1 << 20,
            depth: Self::DEPTH,
        }
    }
}
