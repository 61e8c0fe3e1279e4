//! How fast blocks are encrypted and decrypted: `cargo bench -p zferry-blocks --bench crypt`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zferry_blocks::Endian;
use zferry_blocks::crypt::{FormatVersion, Iv, Key, KeySalt, Suite, indirect_mac};

fn suites(criterion: &mut Criterion) {
    let mut block = vec![7; 131_072];
    for suite in Suite::ALL {
        let key = Key::new(suite, 1, &[1; 32], &[2; 64]);
        let data_key = key.data_key(KeySalt([3; 8]));
        let mut group = criterion.benchmark_group(suite.name());
        group.bench_function("data_key", |bencher| {
            bencher.iter(|| key.data_key(black_box(KeySalt([3; 8]))));
        });
        group.throughput(Throughput::Bytes(131_072));
        group.bench_function("encrypt", |bencher| {
            bencher.iter(|| data_key.encrypt(Iv([4; 12]), black_box(&mut block)));
        });
        let mac = data_key.encrypt(Iv([4; 12]), &mut block).unwrap_or_default();
        let encrypted = block.clone();
        group.bench_function("copy and decrypt", |bencher| {
            bencher.iter(|| {
                block.copy_from_slice(&encrypted);
                data_key.decrypt(Iv([4; 12]), mac, black_box(&mut block))
            });
        });
        group.finish();
    }
}

fn macs(criterion: &mut Criterion) {
    let block = vec![7; 131_072];
    let key = Key::new(Suite::ON, 1, &[1; 32], &[2; 64]);
    let mut group = criterion.benchmark_group("mac");
    group.throughput(Throughput::Bytes(131_072));
    group.bench_function("authenticated block", |bencher| {
        bencher.iter(|| key.mac(black_box(&block)));
    });
    group.bench_function("indirect block", |bencher| {
        bencher.iter(|| indirect_mac(black_box(&block), Endian::Little, FormatVersion::One));
    });
    group.finish();
}

criterion_group!(benches, suites, macs);
criterion_main!(benches);
