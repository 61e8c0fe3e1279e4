//! Blocks that OpenZFS wrote, held against what this crate makes of them. See `golden/README.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use zferry_blocks::Endian;
use zferry_blocks::checksum::{
    Checksum, ChecksumAlgorithm, Fletcher4, Salt, Summer, embedded_endian, seal_embedded, verify_embedded,
    verify_embedded_folded,
};
use zferry_blocks::compress::{Compression, CompressionLevel, compress, decompress, zstd_stored_level};

/// `org.illumos:checksum_salt` of the pool.
const SALT: [u8; 32] = [
    0xb5, 0x58, 0x52, 0x4e, 0xdb, 0xab, 0x4b, 0x52, 0xc4, 0x1b, 0x7c, 0xbf, 0x79, 0x0a, 0x1d, 0xfc, 0x8d,
    0xbb, 0xd8, 0x34, 0x9c, 0xd4, 0x00, 0x69, 0x53, 0xd7, 0x14, 0xa7, 0x3d, 0x7f, 0xbf, 0xc2,
];

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn lines(name: &str) -> Vec<Vec<String>> {
    let text = String::from_utf8(golden(name)).unwrap();
    text.lines()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect()
}

fn words(text: &str) -> Checksum {
    let words: Vec<u64> = text
        .split(':')
        .map(|word| u64::from_str_radix(word, 16).unwrap())
        .collect();
    Checksum(words.try_into().unwrap())
}

fn algorithm(suffix: &str) -> (Compression, CompressionLevel) {
    let level = match suffix {
        "zstd-19" => 19,
        "zstd-fast-5" => -5,
        _ => 3,
    };
    let name = if suffix.starts_with("zstd") {
        "zstd"
    } else {
        suffix
    };
    let algorithm = (0..=u8::MAX)
        .filter_map(Compression::from_id)
        .find(|algorithm| algorithm.name() == name)
        .unwrap();
    (algorithm, CompressionLevel::from_number(level).unwrap())
}

fn unpacked(name: &str, size: usize) -> Vec<u8> {
    let (_, suffix) = name.split_once('.').unwrap();
    let mut block = vec![0xa5; size];
    decompress(algorithm(suffix).0, &golden(name), &mut block).unwrap();
    block
}

#[test]
fn every_checksum_is_the_one_in_the_block_pointer() {
    let block = golden("gpl-2.lz4");
    let summer = Summer::new(Some(Salt(SALT)));
    let mut seen = Vec::new();
    for line in lines("sums.txt") {
        let algorithm = ChecksumAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == line[0])
            .unwrap();
        let sum = summer.sum(algorithm, &block, Endian::Little).unwrap();
        assert_eq!(sum, words(&line[1]), "{algorithm}");
        assert_eq!(sum.to_string(), line[1]);
        seen.push(algorithm);
    }
    assert_eq!(seen.len(), 7);
}

#[test]
fn a_pool_of_the_other_order_sees_the_same_digests_as_other_numbers() {
    let block = golden("gpl-2.lz4");
    let summer = Summer::new(Some(Salt(SALT)));
    for algorithm in ChecksumAlgorithm::ALL {
        let Checksum(little) = summer.sum(algorithm, &block, Endian::Little).unwrap();
        let Checksum(big) = summer.sum(algorithm, &block, Endian::Big).unwrap();
        match algorithm.name() {
            "off" | "noparity" | "sha256" | "label" | "gang_header" => assert_eq!(little, big, "{algorithm}"),
            "sha512" | "skein" | "edonr" | "blake3" => {
                assert_eq!(little, big.map(u64::swap_bytes), "{algorithm}");
            }
            _ => assert_ne!(little, big, "{algorithm}"),
        }
    }
}

#[test]
fn every_compressed_block_becomes_what_was_written() {
    let artistic = golden("artistic.off");
    let gpl = unpacked("gpl-3.gzip-9", 131_072);
    assert!(gpl.windows(26).any(|text| text == b"GNU GENERAL PUBLIC LICENSE"));
    for line in lines("blocks.txt") {
        let (name, size) = (line[0].as_str(), line[1].parse().unwrap());
        assert_eq!(
            Fletcher4::of(&golden(name), Endian::Little).checksum(),
            words(&line[2]),
            "{name}"
        );
        let block = unpacked(name, size);
        if name.starts_with("artistic") {
            assert!(block == artistic, "{name}");
        } else if name.starts_with("gpl-3") {
            assert!(block == gpl, "{name}");
        }
    }
}

#[test]
fn lzjb_and_zle_make_the_bytes_of_openzfs() {
    for (name, plain) in [
        ("artistic.lzjb", golden("artistic.off")),
        ("gpl-3.zle", unpacked("gpl-3.gzip-9", 131_072)),
    ] {
        let (algorithm, level) = algorithm(name.split_once('.').unwrap().1);
        let theirs = golden(name);
        let mut ours = vec![0; algorithm.limit(plain.len(), 512)];
        let length = compress(algorithm, level, &plain, &mut ours).unwrap();
        assert_eq!(length.next_multiple_of(512), theirs.len(), "{name}");
        ours[length..].fill(0);
        assert!(ours[..theirs.len()] == theirs[..], "{name}");
    }
    // And where OpenZFS found zle of no use, so it is.
    let plain = golden("artistic.off");
    let (zle, level) = algorithm("zle");
    assert_eq!(
        compress(zle, level, &plain, &mut vec![0; zle.limit(plain.len(), 512)]),
        None
    );
}

#[test]
fn zstd_blocks_tell_their_level() {
    for name in ["artistic.zstd", "artistic.zstd-19", "artistic.zstd-fast-5"] {
        let (_, level) = algorithm(name.split_once('.').unwrap().1);
        assert_eq!(zstd_stored_level(&golden(name)), Some(level), "{name}");
    }
}

#[test]
fn uberblocks_and_gang_headers_verify() {
    for (name, verifier) in [
        ("uberblock", [216_064, 0, 0, 0]),
        ("gang-header", [0, 0x17200, 8, 0]),
    ] {
        let block = golden(name);
        assert_eq!(embedded_endian(&block), Some(Endian::Little), "{name}");
        assert!(verify_embedded(&block, verifier, Endian::Little), "{name}");
        let mut sealed = block.clone();
        sealed[block.len() - 40..].fill(0);
        seal_embedded(&mut sealed, verifier, Endian::Little);
        assert!(sealed == block, "{name}");
    }
}

#[test]
fn the_gang_header_of_an_encrypted_block_verifies_folded() {
    let mut header = golden("gang-header-crypt");
    let verifier = [0, 0x5e_0e00, 50, 0];
    assert!(verify_embedded_folded(&header, verifier, Endian::Little));
    assert!(!verify_embedded(&header, verifier, Endian::Little));
    header[0] ^= 1;
    assert!(!verify_embedded_folded(&header, verifier, Endian::Little));
}
