//! The encryption suites by number, the versions of the key format, and the object types that are encrypted.

/// An encryption suite (`enum zio_encrypt`): AES with a key of 128, 192 or 256 bits in one of two modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suite {
    /// `aes-128-ccm`
    Aes128Ccm,
    /// `aes-192-ccm`
    Aes192Ccm,
    /// `aes-256-ccm`
    Aes256Ccm,
    /// `aes-128-gcm`
    Aes128Gcm,
    /// `aes-192-gcm`
    Aes192Gcm,
    /// `aes-256-gcm`
    Aes256Gcm,
}

impl Suite {
    /// Every suite, by number.
    pub const ALL: [Self; 6] = [
        Self::Aes128Ccm,
        Self::Aes192Ccm,
        Self::Aes256Ccm,
        Self::Aes128Gcm,
        Self::Aes192Gcm,
        Self::Aes256Gcm,
    ];

    /// What `encryption=on` stands for.
    pub const ON: Self = Self::Aes256Gcm;

    /// The suite of that number, if there is one. 0 (`inherit`), 1 (`on`) and 2 (`off`) are property values only.
    #[must_use]
    pub fn from_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.id() == id)
    }

    /// Its number in properties and keys, 3 to 8.
    #[must_use]
    pub const fn id(self) -> u64 {
        match self {
            Self::Aes128Ccm => 3,
            Self::Aes192Ccm => 4,
            Self::Aes256Ccm => 5,
            Self::Aes128Gcm => 6,
            Self::Aes192Gcm => 7,
            Self::Aes256Gcm => 8,
        }
    }

    /// ZFS's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Ccm => "aes-128-ccm",
            Self::Aes192Ccm => "aes-192-ccm",
            Self::Aes256Ccm => "aes-256-ccm",
            Self::Aes128Gcm => "aes-128-gcm",
            Self::Aes192Gcm => "aes-192-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
        }
    }

    /// The bytes of its master and data keys: 16, 24 or 32.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Ccm | Self::Aes128Gcm => 16,
            Self::Aes192Ccm | Self::Aes192Gcm => 24,
            Self::Aes256Ccm | Self::Aes256Gcm => 32,
        }
    }

    /// The suite that encrypts its keys: the same mode, always with 256 bits, which wrapping keys have.
    pub(super) const fn wrapping(self) -> Self {
        match self {
            Self::Aes128Ccm | Self::Aes192Ccm | Self::Aes256Ccm => Self::Aes256Ccm,
            Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm => Self::Aes256Gcm,
        }
    }
}

impl std::fmt::Display for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The version of what is authenticated (`DSL_CRYPTO_VERSION`), which belongs to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FormatVersion {
    /// Of the time before OpenZFS 0.8. Such datasets are only read.
    Zero,
    /// The present one.
    One,
}

impl FormatVersion {
    /// The version of that number, if it is known.
    #[must_use]
    pub const fn from_id(id: u64) -> Option<Self> {
        match id {
            0 => Some(Self::Zero),
            1 => Some(Self::One),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn id(self) -> u64 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
        }
    }
}

/// Whether blocks of this object type are encrypted in an encrypted dataset; others are only authenticated.
///
/// That holds for level-0 blocks, and for bonus areas by their own type (`DMU_OT_IS_ENCRYPTED`).
#[must_use]
pub const fn is_encrypted_type(object_type: u8) -> bool {
    /// Types from this one on say about themselves what they are.
    const NEW_TYPE: u8 = 0x80;
    const NEW_TYPE_ENCRYPTED: u8 = 0x20;
    if object_type & NEW_TYPE != 0 {
        return object_type & NEW_TYPE_ENCRYPTED != 0;
    }
    matches!(
        object_type,
        9 | 10                  // intent log, dnodes
        | 18 | 19 | 20 | 22     // old ACL, plain file, directory, delete queue
        | 23 | 25 | 26          // volume, other bytes, other words
        | 33 | 34 | 35          // ACL, system ACL, FUID table
        | 39 | 40               // space used and quotas by user, group and project
        | 44 | 45 | 46 | 47     // system attributes, their master node, registration and layouts
        | 49 // deduplicated block
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_survive() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_id(suite.id()), Some(suite));
            assert_eq!(suite.wrapping().key_len(), 32);
            assert!(suite.name().contains(&format!("{}", suite.key_len() * 8)));
            assert_eq!(suite.name()[8..], suite.wrapping().name()[8..]);
        }
        for id in [0, 1, 2, 9, u64::MAX] {
            assert_eq!(Suite::from_id(id), None);
        }
        assert_eq!(FormatVersion::from_id(2), None);
    }

    #[test]
    fn new_types_say_it_themselves() {
        assert!(is_encrypted_type(0xe0));
        assert!(!is_encrypted_type(0xc4));
        assert!(!is_encrypted_type(21), "the master node stays readable");
        assert!(!is_encrypted_type(0));
    }
}
