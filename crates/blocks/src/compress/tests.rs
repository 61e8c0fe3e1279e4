//! Every codec there and back, and against bytes that nobody's encoder wrote.

use proptest::prelude::*;

use super::*;

fn every_way() -> Vec<(Compression, CompressionLevel)> {
    let mut ways: Vec<_> = (0..=u8::MAX)
        .filter_map(Compression::from_id)
        .filter(|way| !matches!(way, Compression::Off | Compression::Empty))
        .map(|way| (way, CompressionLevel::DEFAULT))
        .collect();
    for number in [-1000, -5, -1, 1, 19] {
        ways.push((Compression::Zstd, CompressionLevel::from_number(number).unwrap()));
    }
    ways
}

/// Something that every codec makes smaller: runs of zeros between repeated words.
fn compressible(len: usize) -> Vec<u8> {
    let mut block: Vec<u8> = b"pool dataset snapshot stream "
        .iter()
        .copied()
        .chain([0; 35])
        .cycle()
        .take(len)
        .collect();
    for (index, byte) in block.iter_mut().step_by(97).enumerate() {
        *byte = index.to_le_bytes()[0];
    }
    block
}

fn there_and_back(way: Compression, level: CompressionLevel, block: &[u8]) -> Option<usize> {
    let mut packed = vec![0xa5; block.len() + 4096];
    let length = compress(way, level, block, &mut packed)?;
    // Padding of zeros, as on disk.
    packed.truncate(length);
    packed.resize(length.next_multiple_of(512), 0);
    let mut unpacked = vec![0x5a; block.len()];
    decompress(way, &packed, &mut unpacked).unwrap();
    assert!(unpacked == block, "{way} {level}, {} bytes", block.len());
    Some(length)
}

#[test]
fn every_codec_there_and_back() {
    for (way, level) in every_way() {
        for len in [512, 1536, 65_534, 65_535, 131_072, 1 << 20] {
            let length = there_and_back(way, level, &compressible(len)).unwrap();
            // The very fast levels of zstd see no use in small blocks.
            assert!(length < len || len < 65_534, "{way} {level}: {len} to {length}");
        }
    }
}

#[test]
fn what_does_not_fit_is_not_compressed() {
    let block = compressible(16_384);
    for (way, level) in every_way() {
        let mut room = vec![0; 32_768];
        let needed = compress(way, level, &block, &mut room).unwrap();
        for limit in [0, 1, 3, 4, 7, 8, 17, needed / 2, needed - 1] {
            assert_eq!(
                compress(way, level, &block, &mut room[..limit]),
                None,
                "{way} {level} into {limit} of {needed}"
            );
        }
        assert_eq!(
            compress(way, level, &block, &mut room[..needed + 64]),
            Some(needed)
        );
    }
}

#[test]
fn what_came_before_leaves_no_trace() {
    for (way, level) in every_way() {
        let block = compressible(131_072);
        let mut once = vec![0; 131_072];
        let mut again = once.clone();
        let first = compress(way, level, &block, &mut once);
        for (other_way, other_level) in every_way() {
            let _ = compress(
                other_way,
                other_level,
                &compressible(70_000),
                &mut vec![0; 90_000],
            );
            let _ = compress(other_way, other_level, &compressible(700), &mut [0; 8]);
            let _ = decompress(other_way, &[0xff; 600], &mut [0; 600]);
        }
        assert_eq!(compress(way, level, &block, &mut again), first);
        assert!(once == again, "{way} {level}");
    }
}

#[test]
fn a_block_must_come_out_whole() {
    let block = compressible(4096);
    for (way, level) in every_way() {
        let mut packed = vec![0; 8192];
        let length = compress(way, level, &block, &mut packed).unwrap();
        packed.truncate(length);
        for cut in 0..length {
            let outcome = decompress(way, &packed[..cut], &mut vec![0; 4096]);
            assert!(
                outcome.is_err(),
                "{way} {level}: {cut} bytes of {length} sufficed"
            );
        }
        // A codec that does not know its own length stops when the block is full, or starves.
        assert!(
            decompress(way, &packed, &mut vec![0; 4097]).is_err(),
            "{way} {level}"
        );
    }
}

#[test]
fn off_is_a_copy_and_empty_is_nothing() {
    let mut dst = [0; 4];
    assert_eq!(
        decompress(Compression::Off, &[1, 2, 3, 4, 0, 0], &mut dst),
        Ok(())
    );
    assert_eq!(dst, [1, 2, 3, 4]);
    assert_eq!(
        decompress(Compression::Off, &[1, 2], &mut dst),
        Err(DecompressError::Truncated {
            algorithm: Compression::Off,
            available: 2
        })
    );
    assert_eq!(
        decompress(Compression::Empty, &[], &mut dst),
        Err(DecompressError::NotStored {
            algorithm: Compression::Empty
        })
    );
    assert_eq!(
        compress(
            Compression::Off,
            CompressionLevel::DEFAULT,
            &[0; 64],
            &mut [0; 64]
        ),
        None
    );
}

#[test]
fn lengths_beyond_the_data_are_refused() {
    for way in [Compression::Lz4, Compression::Zstd] {
        let mut src = [0; 64];
        src[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(
            decompress(way, &src, &mut [0; 512]),
            Err(DecompressError::Length {
                recorded: 0xffff_ffff,
                ..
            })
        ));
    }
}

#[test]
fn the_level_of_a_zstd_block_is_found_in_every_layout() {
    let level = |word: [u8; 4]| {
        let mut src = [0; 8];
        src[4..].copy_from_slice(&word);
        zstd_stored_level(&src).map(CompressionLevel::id)
    };
    // Version 1.4.5 is 0x28a5: as little-endian machines write it, as big-endian ones did, and the two swapped.
    assert_eq!(level([19, 0, 0x28, 0xa5]), Some(19));
    assert_eq!(level([0, 0x28, 0xa5, 19]), Some(19));
    assert_eq!(level([0xa5, 0x28, 0, 19]), Some(19));
    assert_eq!(level([19, 0xa5, 0x28, 0]), Some(19));
    assert_eq!(level([1, 2, 3, 4]), None);
    assert_eq!(level([200, 0, 0x28, 0xa5]), None);
    assert_eq!(zstd_stored_level(&[0; 7]), None);
}

/// Bytes like those of blocks: stretches of one byte, of repetition, and of noise.
fn blocks() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        (any::<u8>(), 1..200_usize).prop_map(|(byte, len)| vec![byte; len]),
        (1..200_usize).prop_map(|len| vec![0; len]),
        proptest::collection::vec(any::<u8>(), 1..100),
        (proptest::collection::vec(any::<u8>(), 1..9), 1..40_usize)
            .prop_map(|(unit, times)| unit.repeat(times)),
    ];
    proptest::collection::vec(stretch, 0..30).prop_map(|stretches| stretches.concat())
}

proptest! {
    #[test]
    fn whatever_is_compressed_comes_back(block in blocks()) {
        for (way, level) in every_way() {
            there_and_back(way, level, &block);
        }
    }

    #[test]
    fn no_bytes_do_harm(src in proptest::collection::vec(any::<u8>(), 0..600), len in 0..3000_usize) {
        for (way, _) in every_way() {
            let _ = decompress(way, &src, &mut vec![0; len]);
        }
    }

    #[test]
    fn no_damage_does_harm(block in blocks(), at in any::<prop::sample::Index>(), byte: u8) {
        for (way, level) in every_way() {
            let mut packed = vec![0; block.len() + 4096];
            if let Some(length) = compress(way, level, &block, &mut packed).filter(|&length| length > 0) {
                packed.truncate(length);
                packed[at.index(length)] ^= byte;
                let _ = decompress(way, &packed, &mut vec![0; block.len()]);
            }
        }
    }
}
