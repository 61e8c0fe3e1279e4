//! A stream taken apart, changed, and put together again with checksums that are right.

use crate::rng::Rng;
use zferry_wire::{Endian, usize_from_u64};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{Header, Record, RecordType};
use zferry_zstream::writer::Fletcher4;

/// Where a record states its own checksum.
const CHECKSUM: usize = 280;
/// Where END states the sum of all before it.
const END_CHECKSUM: usize = 8;
/// The longest payload that is made up, in bytes: beyond that, a claim is left unmet.
const MADE_UP: u64 = 20 << 20;

/// Numbers at which something may go wrong.
const NUMBERS: [u64; 40] = [
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    31,
    32,
    33,
    63,
    64,
    127,
    128,
    192,
    255,
    511,
    512,
    513,
    1 << 10,
    4 << 10,
    64 << 10,
    128 << 10,
    1 << 20,
    16 << 20,
    (16 << 20) + 512,
    1 << 30,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    (1 << 48) - 1,
    1 << 48,
    i64::MAX as u64,
    1 << 63,
    (1 << 63) + 1,
    u64::MAX - 511,
    u64::MAX - 1,
    u64::MAX,
];

/// A record and what follows it.
#[derive(Clone)]
pub(crate) struct Part {
    header: Header,
    payload: Vec<u8>,
    endian: Endian,
    /// Whether it states what the stream sums up to.
    is_stamped: bool,
}

/// Takes a sound stream apart.
pub(crate) fn parts(stream: &[u8]) -> Vec<Part> {
    let mut reader = StreamReader::new(stream);
    let mut parts = Vec::new();
    while let Some(read) = reader.next().unwrap() {
        parts.push(Part {
            header: *read.header,
            payload: read.payload.to_vec(),
            endian: read.endian,
            is_stamped: read.header[CHECKSUM..] != [0; 32],
        });
    }
    parts
}

/// Puts a stream together.
pub(crate) fn stream(parts: &[Part]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut sum = Fletcher4::new(Endian::Little);
    for part in parts {
        let mut header = part.header;
        match part.record_type() {
            RecordType::BEGIN => sum = Fletcher4::of(&header, part.endian),
            record_type => {
                if record_type == RecordType::END && header[4..] != [0; 308] {
                    lay_down(&mut header, END_CHECKSUM, &sum, part.endian);
                }
                sum.update(&header[..CHECKSUM]);
                if part.is_stamped {
                    let own = sum;
                    lay_down(&mut header, CHECKSUM, &own, part.endian);
                }
                sum.update(&header[CHECKSUM..]);
            }
        }
        sum.update(&part.payload);
        stream.extend_from_slice(&header);
        stream.extend_from_slice(&part.payload);
    }
    stream
}

fn lay_down(header: &mut Header, at: usize, sum: &Fletcher4, endian: Endian) {
    for (word, to) in sum.checksum().0.into_iter().zip(header[at..].chunks_exact_mut(8)) {
        to.copy_from_slice(&endian.bytes_u64(word));
    }
}

impl Part {
    fn record_type(&self) -> RecordType {
        RecordType::of(&self.header, self.endian)
    }

    /// Puts another number somewhere into the record; mostly with a payload as long as it then has to be.
    fn change_field(&mut self, others: &[Self], rng: &mut Rng) {
        // Most records have their fields in the first hundred bytes, BEGIN has a name behind.
        let end = *rng.pick(&[64, 112, 112, CHECKSUM]);
        let width = *rng.pick(&[1, 4, 8, 8, 8]);
        let at = 4 + rng.below((end - 4) / width) * width;
        let at = at.min(CHECKSUM - width) / width * width;
        let old = number(&self.header[at..at + width], self.endian);
        let new = match rng.below(6) {
            0 => old.wrapping_add(1),
            1 => old.wrapping_sub(1),
            2 => old ^ 1 << rng.below(8 * width),
            3 => {
                let other = rng.pick(others);
                number(&other.header[at..at + width], other.endian)
            }
            _ => *rng.pick(&NUMBERS),
        };
        let bytes = match self.endian {
            Endian::Little => new.to_le_bytes()[..width].to_vec(),
            Endian::Big => new.to_be_bytes()[8 - width..].to_vec(),
        };
        self.header[at..at + width].copy_from_slice(&bytes);
        if rng.below(8) > 0 {
            self.fit(rng);
        }
    }

    /// Gives the payload the length that the record states.
    fn fit(&mut self, rng: &mut Rng) {
        if let Ok(record) = Record::decode(&self.header, self.endian)
            && record.payload_length() <= MADE_UP
        {
            let filler = *rng.pick(&[0, 0x11, 0xff]);
            self.payload
                .resize(usize_from_u64(record.payload_length()), filler);
        }
    }

    fn change_payload(&mut self, rng: &mut Rng) {
        if self.payload.is_empty() {
            return;
        }
        for _ in 0..1 << rng.below(6) {
            // The beginning is where structure is, mostly.
            let end = self.payload.len().min(1 << (3 + rng.below(16)));
            let at = rng.below(end);
            let new = *rng.pick(&NUMBERS);
            let bytes = match rng.below(3) {
                0 => vec![rng.byte()],
                1 => new.to_le_bytes()[..4].to_vec(),
                _ => new.to_le_bytes().to_vec(),
            };
            for (to, byte) in self.payload[at / 4 * 4..].iter_mut().zip(bytes) {
                *to = byte;
            }
        }
    }
}

fn number(bytes: &[u8], endian: Endian) -> u64 {
    let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match endian {
        Endian::Little => bytes.iter().rev().fold(0, fold),
        Endian::Big => bytes.iter().fold(0, fold),
    }
}

/// Changes some of the records, of which `others` may become some, too.
pub(crate) fn mutate(parts: &mut Vec<Part>, others: &[Part], rng: &mut Rng) {
    for _ in 0..1 << rng.below(3) {
        if parts.is_empty() {
            return;
        }
        // What stands at the start decides most.
        let near = parts.len().min(1 << (1 + rng.below(14)));
        let at = rng.below(near);
        match rng.below(16) {
            0 => {
                parts.remove(at);
            }
            1 => parts.insert(rng.below(near), parts[at].clone()),
            2 => {
                let other = rng.below(near);
                parts.swap(at, other);
            }
            3 => parts.insert(at, rng.pick(others).clone()),
            4..=6 => parts[at].change_payload(rng),
            _ => parts[at].change_field(others, rng),
        }
    }
}

#[test]
fn a_stream_that_is_not_changed_is_the_same() {
    for bytes in crate::streams::samples() {
        assert!(stream(&parts(&bytes.stream)) == bytes.stream, "{}", bytes.name);
    }
}
