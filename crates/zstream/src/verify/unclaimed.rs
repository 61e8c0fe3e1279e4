//! The bytes of records that no field claims, which are zero.
//!
//! A record's fields keep whatever stands in them, so what a record of a type claims is what comes back of one in which
//! every bit is set.

use std::sync::LazyLock;

use zferry_wire::Endian;

use crate::record::{CHECKSUM_OFFSET, Header, RECORD_SIZE, Record, RecordType};

/// The bytes before a record's own checksum.
type Fields = [u8; CHECKSUM_OFFSET];

/// How many types of records there are.
const TYPES: usize = 11;

/// For each type of record its fields, with every bit of the unclaimed bytes set.
static UNCLAIMED: LazyLock<[Fields; TYPES]> = LazyLock::new(|| {
    let mut all = [[0; CHECKSUM_OFFSET]; TYPES];
    for (number, unclaimed) in (0_u32..).zip(&mut all) {
        *unclaimed = unclaimed_by(RecordType(number));
    }
    all
});

fn unclaimed_by(record_type: RecordType) -> Fields {
    let mut header = [0xff; RECORD_SIZE];
    let (number, payload_length) = (Endian::Little.bytes_u32(record_type.0), [0; 4]);
    for (byte, value) in header.iter_mut().zip(number.into_iter().chain(payload_length)) {
        *byte = value;
    }
    let mut unclaimed = [0; CHECKSUM_OFFSET];
    // BEGIN, whose magic is not all ones, claims everything.
    if let Ok(record) = Record::decode(&header, Endian::Little) {
        let claimed = record.encode(Endian::Little);
        for (unclaimed, claimed) in unclaimed.iter_mut().zip(claimed).skip(4) {
            *unclaimed = !claimed;
        }
    }
    unclaimed
}

/// The first byte in front of the checksum that is set although no field of such a record claims it, from the record's
/// start.
pub(super) fn first_set(header: &Header, record_type: RecordType) -> Option<usize> {
    let unclaimed = UNCLAIMED.get(zferry_wire::usize_from_u32(record_type.0))?;
    let any = header
        .iter()
        .zip(unclaimed)
        .fold(0, |any, (byte, unclaimed)| any | (byte & unclaimed));
    if any == 0 {
        return None;
    }
    header
        .iter()
        .zip(unclaimed)
        .position(|(byte, unclaimed)| byte & unclaimed != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte at a time, in every type: it is unclaimed exactly if it is lost when the record is decoded and encoded.
    #[test]
    fn what_is_unclaimed_is_what_records_lose() {
        for number in 1..11 {
            let record_type = RecordType(number);
            for at in 8..CHECKSUM_OFFSET {
                for value in [1, 0x80, 0xff] {
                    let mut header = [0; RECORD_SIZE];
                    header[..4].copy_from_slice(&number.to_le_bytes());
                    header[at] = value;
                    let again = Record::decode(&header, Endian::Little)
                        .unwrap()
                        .encode(Endian::Little);
                    let lost = (again[at] != value).then_some(at);
                    assert_eq!(
                        first_set(&header, record_type),
                        lost,
                        "{record_type:?} {at} {value}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_length_in_the_common_part_is_for_begin_alone() {
        let mut header = [0; RECORD_SIZE];
        header[0] = 3;
        header[5] = 1;
        assert_eq!(first_set(&header, RecordType::WRITE), Some(5));
    }
}
