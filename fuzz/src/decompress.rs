//! Decompresses blocks.

use zferry_blocks::compress::{self, Compression, CompressionLevel};

/// Takes the first byte for the algorithm, the next two for the size of the block in words, and decompresses the rest.
/// What comes of it must come back after it was compressed again.
pub fn decompress(bytes: &[u8]) {
    let Some((&[id, low, high], packed)) = bytes.split_first_chunk() else {
        return;
    };
    let Some(algorithm) = Compression::from_id(id) else {
        return;
    };
    let mut block = vec![0; 8 * usize::from(u16::from_le_bytes([low, high]))];
    if compress::decompress(algorithm, packed, &mut block).is_err() {
        return;
    }
    let mut again = vec![0; block.len() + 4096];
    let Some(length) = compress::compress(algorithm, CompressionLevel::DEFAULT, &block, &mut again) else {
        assert!(algorithm == Compression::Off, "{algorithm}: no room");
        return;
    };
    let mut back = vec![1; block.len()];
    compress::decompress(algorithm, &again[..length], &mut back).expect("what was compressed is a block");
    assert!(back == block, "{algorithm}: another block came back");
}
