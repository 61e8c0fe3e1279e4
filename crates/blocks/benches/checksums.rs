//! How fast blocks are summed: `cargo bench -p zferry-blocks --bench checksums`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zferry_blocks::checksum::{ChecksumAlgorithm, Fletcher4, Salt, Summer};
use zferry_blocks::{Endian, is_zero};

/// A block of 128 KiB without any pattern that matters to a checksum.
fn block() -> Vec<u8> {
    (0_u32..32_768)
        .flat_map(|index| index.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

fn fletcher4(criterion: &mut Criterion) {
    let block = block();
    let mut group = criterion.benchmark_group("fletcher4");
    for (name, endian) in [("little", Endian::Little), ("big", Endian::Big)] {
        for size in [312_u32, 4096, 131_072] {
            let part = &block[..usize::try_from(size).unwrap_or(0)];
            group.throughput(Throughput::Bytes(u64::from(size)));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| Fletcher4::of(black_box(part), endian));
            });
        }
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("append", |bencher| {
        let tail = Fletcher4::of(&block, Endian::Little);
        let mut sum = tail;
        bencher.iter(|| black_box(&mut sum).append(131_072, black_box(tail)));
    });
    group.finish();
}

fn every_algorithm(criterion: &mut Criterion) {
    let block = block();
    let summer = Summer::new(Some(Salt([7; 32])));
    let mut group = criterion.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(131_072));
    for algorithm in ChecksumAlgorithm::ALL {
        if algorithm.is_embedded() || algorithm.name() == "off" || algorithm.name() == "noparity" {
            continue;
        }
        group.bench_function(algorithm.name(), |bencher| {
            bencher.iter(|| summer.sum(algorithm, black_box(&block), Endian::Little));
        });
    }
    let zeros = vec![0; block.len()];
    group.bench_function("is_zero", |bencher| bencher.iter(|| is_zero(black_box(&zeros))));
    group.finish();
}

criterion_group!(benches, fletcher4, every_algorithm);
criterion_main!(benches);
