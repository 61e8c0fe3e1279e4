//! Compares streams from pools of the other byte order. OpenZFS's sender reads blocks past its cache and sends them in the
//! pool's byte order, but those that its cache happens to hold in the machine's; zferry sends all in the machine's, which is
//! the stream's. What may differ for that reason is turned around here, and has to be the same then. The layout of a micro
//! ZAP is that of `zap_impl.h`: a header of words, and entries of a word, half a word, a quarter and a name.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use zferry_zstream::reader::StreamReader;

use super::same::undecided;

/// A header, and each of the entries behind it.
const CHUNK: usize = 64;
/// What a micro ZAP of a big-endian pool begins with.
const MICRO_ZAP: [u8; 8] = [0x80, 0, 0, 0, 0, 0, 0, 3];

/// Whether two streams differ only in the byte order of tables, which in `theirs` is the big-endian pool's; how many those
/// are.
pub(super) fn compare(ours: &Path, theirs: &Path) -> Result<usize> {
    let mut ours = StreamReader::new(File::open(ours)?);
    let mut theirs = StreamReader::new(File::open(theirs)?);
    let mut turned: usize = 0;
    loop {
        let (one, other) = match (ours.next()?, theirs.next()?) {
            (Some(one), Some(other)) => (one, other),
            (None, None) => return Ok(turned),
            _ => bail!("one stream ends before the other"),
        };
        let at = one.position;
        let (mine, yours) = (undecided(one.record), undecided(other.record));
        ensure!(
            mine == yours,
            "at offset {at} `ozfs send` says {yours:?}, zferry {mine:?}"
        );
        if one.payload != other.payload {
            let their = micro_zap(other.payload).with_context(|| {
                format!("at offset {at} the payload of {mine:?} differs, which is no big-endian micro ZAP")
            })?;
            ensure!(
                their == one.payload,
                "at offset {at} the table differs in more than its byte order"
            );
            turned = turned.saturating_add(1);
        }
    }
}

/// A big-endian micro ZAP in the other byte order.
fn micro_zap(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(&MICRO_ZAP) {
        return None;
    }
    let mut bytes = bytes.to_vec();
    let mut chunks = bytes.chunks_exact_mut(CHUNK);
    for word in chunks.next()?.chunks_exact_mut(8) {
        word.reverse();
    }
    for entry in chunks {
        for field in [0..8, 8..12, 12..14] {
            entry.get_mut(field)?.reverse();
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_turned_around_field_by_field() {
        let mut table = vec![0; 2 * CHUNK];
        table[..8].copy_from_slice(&MICRO_ZAP);
        table[CHUNK..CHUNK + 18].copy_from_slice(b"\0\0\0\0\0\0\0\x07\0\0\0\x05\0\x01name");
        let turned = micro_zap(&table).unwrap();
        assert_eq!(turned[..8], [3, 0, 0, 0, 0, 0, 0, 0x80]);
        assert_eq!(
            turned[CHUNK..CHUNK + 18],
            *b"\x07\0\0\0\0\0\0\0\x05\0\0\0\x01\0name"
        );
        assert_eq!(micro_zap(&turned), None);
    }
}
