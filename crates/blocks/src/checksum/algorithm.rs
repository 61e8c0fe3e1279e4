//! The checksum algorithms by number, as block pointers and properties name them (`enum zio_checksum`).

/// A checksum algorithm that a block can have.
///
/// The numbers 0 (`inherit`) and 1 (`on`) are property values, which no block pointer carries: they are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChecksumAlgorithm {
    /// No checksum: the words are zero.
    Off,
    /// SHA-256 inside the block, in labels and uberblocks.
    Label,
    /// SHA-256 inside the block, in the header of a gang.
    GangHeader,
    /// Fletcher-2 inside the block, in the intent logs of old pools.
    Zilog,
    /// Fletcher-2.
    Fletcher2,
    /// Fletcher-4, which `on` stands for.
    Fletcher4,
    /// SHA-256.
    Sha256,
    /// Fletcher-4 inside the block, in intent logs.
    Zilog2,
    /// No checksum, and none wanted for what it covers.
    NoParity,
    /// SHA-512/256.
    Sha512,
    /// Skein-512-256, keyed with the pool's salt.
    Skein,
    /// Edon-R-512 behind the pool's salt, its first half.
    EdonR,
    /// BLAKE3, keyed with the pool's salt.
    Blake3,
}

/// What an algorithm may be used for: the flags of OpenZFS's `zio_checksum_table`.
struct Traits {
    id: u8,
    name: &'static str,
    metadata: bool,
    embedded: bool,
    dedup: bool,
    nopwrite: bool,
    salted: bool,
}

const fn weak(id: u8, name: &'static str) -> Traits {
    Traits {
        id,
        name,
        metadata: false,
        embedded: false,
        dedup: false,
        nopwrite: false,
        salted: false,
    }
}

const fn strong(id: u8, name: &'static str) -> Traits {
    Traits {
        metadata: true,
        dedup: true,
        nopwrite: true,
        ..weak(id, name)
    }
}

const fn salted(id: u8, name: &'static str) -> Traits {
    Traits {
        salted: true,
        ..strong(id, name)
    }
}

const fn embedded(id: u8, name: &'static str) -> Traits {
    Traits {
        embedded: true,
        ..weak(id, name)
    }
}

impl ChecksumAlgorithm {
    /// Every algorithm, by number.
    pub const ALL: [Self; 13] = [
        Self::Off,
        Self::Label,
        Self::GangHeader,
        Self::Zilog,
        Self::Fletcher2,
        Self::Fletcher4,
        Self::Sha256,
        Self::Zilog2,
        Self::NoParity,
        Self::Sha512,
        Self::Skein,
        Self::EdonR,
        Self::Blake3,
    ];

    const fn traits(self) -> Traits {
        match self {
            Self::Off => weak(2, "off"),
            Self::Label => Traits {
                metadata: true,
                ..embedded(3, "label")
            },
            Self::GangHeader => Traits {
                metadata: true,
                ..embedded(4, "gang_header")
            },
            Self::Zilog => embedded(5, "zilog"),
            Self::Fletcher2 => weak(6, "fletcher2"),
            Self::Fletcher4 => Traits {
                metadata: true,
                ..weak(7, "fletcher4")
            },
            Self::Sha256 => strong(8, "sha256"),
            Self::Zilog2 => embedded(9, "zilog2"),
            Self::NoParity => weak(10, "noparity"),
            Self::Sha512 => strong(11, "sha512"),
            Self::Skein => salted(12, "skein"),
            // Too young to be trusted alone: OpenZFS compares the blocks too where it deduplicates by Edon-R.
            Self::EdonR => Traits {
                dedup: false,
                ..salted(13, "edonr")
            },
            Self::Blake3 => salted(14, "blake3"),
        }
    }

    /// The algorithm of that number, if a block can have it.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.id() == id)
    }

    /// Its number in block pointers and properties.
    #[must_use]
    pub const fn id(self) -> u8 {
        self.traits().id
    }

    /// ZFS's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.traits().name
    }

    /// Whether metadata may be summed with it; what is weaker is replaced by fletcher-4 there.
    #[must_use]
    pub const fn is_metadata_strong(self) -> bool {
        self.traits().metadata
    }

    /// Whether the checksum lies inside the block that it covers.
    #[must_use]
    pub const fn is_embedded(self) -> bool {
        self.traits().embedded
    }

    /// Whether equal checksums are proof enough of equal blocks for deduplication.
    #[must_use]
    pub const fn is_dedup_capable(self) -> bool {
        self.traits().dedup
    }

    /// Whether equal checksums are proof enough for leaving a block unwritten that is overwritten with itself.
    #[must_use]
    pub const fn is_nopwrite_capable(self) -> bool {
        self.traits().nopwrite
    }

    /// Whether it takes the pool's salt.
    #[must_use]
    pub const fn is_salted(self) -> bool {
        self.traits().salted
    }
}

impl std::fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_from_two_to_fourteen() {
        let ids: Vec<u8> = ChecksumAlgorithm::ALL.map(ChecksumAlgorithm::id).to_vec();
        assert_eq!(ids, (2..=14).collect::<Vec<u8>>());
        for id in [0, 1, 15, 255] {
            assert_eq!(ChecksumAlgorithm::from_id(id), None);
        }
        assert_eq!(ChecksumAlgorithm::from_id(7), Some(ChecksumAlgorithm::Fletcher4));
    }

    #[test]
    fn flags_are_those_of_openzfs() {
        let with = |flag: fn(ChecksumAlgorithm) -> bool| -> Vec<&str> {
            ChecksumAlgorithm::ALL
                .into_iter()
                .filter(|&algorithm| flag(algorithm))
                .map(ChecksumAlgorithm::name)
                .collect()
        };
        assert_eq!(
            with(ChecksumAlgorithm::is_dedup_capable),
            ["sha256", "sha512", "skein", "blake3"]
        );
        assert_eq!(
            with(ChecksumAlgorithm::is_nopwrite_capable),
            ["sha256", "sha512", "skein", "edonr", "blake3"]
        );
        assert_eq!(with(ChecksumAlgorithm::is_salted), ["skein", "edonr", "blake3"]);
        assert_eq!(
            with(ChecksumAlgorithm::is_embedded),
            ["label", "gang_header", "zilog", "zilog2"]
        );
        assert_eq!(
            with(ChecksumAlgorithm::is_metadata_strong),
            [
                "label",
                "gang_header",
                "fletcher4",
                "sha256",
                "sha512",
                "skein",
                "edonr",
                "blake3"
            ]
        );
    }
}
