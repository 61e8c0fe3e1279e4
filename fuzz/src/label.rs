//! Opens a pool whose labels and uberblock lie.

use zferry_zpool::Pool;

use crate::example::{Input, open, soft_pool};

/// How much of the configuration is in use, and of the uberblock, in bytes.
const CONFIG: std::ops::Range<u64> = (16 << 10)..(20 << 10);
const UBERBLOCK_BYTES: u64 = 512;

/// Takes `bytes` for changes of the first label (where, how many bytes, which), gives all four labels that content and
/// their checksums, and opens the pool.
pub fn label(bytes: &[u8]) {
    let mut pool = soft_pool().clone();
    let (uberblock, _) = pool.uberblock();
    let mut input = Input(bytes);
    while !input.is_empty() {
        let (place, len) = (u64::from(input.u16()), usize::from(input.u8()));
        let offset = if place & 0x8000 == 0 {
            CONFIG.start + place % (CONFIG.end - CONFIG.start)
        } else {
            uberblock + place % UBERBLOCK_BYTES
        };
        pool.image.write(offset, input.take(len));
    }
    pool.seal_labels();
    let pool = open(pool.image);
    if bytes.is_empty() {
        assert_eq!(
            pool.as_ref().ok().and_then(|pool| pool.name().ok()),
            Some("harbour")
        );
    }
    let _ = pool.as_ref().map(Pool::top_vdevs);
}
