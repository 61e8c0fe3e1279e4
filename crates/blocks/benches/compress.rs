//! How fast blocks are compressed and decompressed: `cargo bench -p zferry-blocks --bench compress`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zferry_blocks::compress::{Compression, CompressionLevel, compress, decompress};

const SIZE: usize = 131_072;

/// A block of text: two licences, over and over.
fn text() -> Vec<u8> {
    let artistic = include_bytes!("../tests/golden/artistic.off");
    let packed = include_bytes!("../tests/golden/gpl-2.lz4");
    let mut gpl = vec![0; 18_432];
    let outcome = decompress(Compression::Lz4, packed, &mut gpl);
    assert!(outcome.is_ok(), "{outcome:?}");
    artistic.iter().chain(&gpl).copied().cycle().take(SIZE).collect()
}

fn codecs(criterion: &mut Criterion) {
    let block = text();
    let ways = (0..=u8::MAX)
        .filter_map(Compression::from_id)
        .filter(|way| !matches!(way, Compression::Off | Compression::Empty))
        .map(|way| (way, CompressionLevel::DEFAULT));
    let levels = [-5, 1, 19]
        .into_iter()
        .filter_map(CompressionLevel::from_number)
        .map(|level| (Compression::Zstd, level));
    for (way, level) in ways.chain(levels) {
        let name = if way == Compression::Zstd {
            format!("{way}-{level}")
        } else {
            way.to_string()
        };
        let mut packed = vec![0; 2 * SIZE];
        let Some(length) = compress(way, level, &block, &mut packed) else {
            continue;
        };
        let mut unpacked = vec![0; SIZE];
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(131_072));
        group.bench_function("decompress", |bencher| {
            bencher.iter(|| decompress(way, black_box(&packed[..length]), &mut unpacked));
        });
        group.sample_size(20);
        group.bench_function("compress", |bencher| {
            bencher.iter(|| compress(way, level, black_box(&block), &mut packed));
        });
        group.finish();
    }
}

criterion_group!(benches, codecs);
criterion_main!(benches);
