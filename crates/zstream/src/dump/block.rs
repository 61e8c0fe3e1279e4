//! A payload in hexadecimal and ASCII.
//!
//! ```text
//!  03 00 00 00  08 00 5a 00  00 00 00 00  a1 ff 73 00   .... ..Z. .... ..s.
//! ```

use std::io::{self, Write};

const BYTES_PER_LINE: usize = 16;
const BYTES_PER_GROUP: usize = 4;

/// Where the ASCII column begins: two digits and a space a byte, a space a group, and two more.
const ASCII_COLUMN: usize = BYTES_PER_LINE * 3 + BYTES_PER_LINE / BYTES_PER_GROUP + 2;

/// Writes a payload, sixteen bytes a line.
pub(super) fn payload(bytes: &[u8], output: &mut impl Write) -> io::Result<()> {
    // A line is put together first: payloads are large.
    let mut line = Vec::with_capacity(80);
    for row in bytes.chunks(BYTES_PER_LINE) {
        line.clear();
        for group in row.chunks(BYTES_PER_GROUP) {
            line.push(b' ');
            for byte in group {
                line.extend([digit(byte >> 4), digit(byte & 0xf), b' ']);
            }
        }
        line.resize(ASCII_COLUMN, b' ');
        for (number, group) in row.chunks(BYTES_PER_GROUP).enumerate() {
            if number > 0 {
                line.push(b' ');
            }
            line.extend(group.iter().map(|&byte| printable(byte)));
        }
        line.push(b'\n');
        output.write_all(&line)?;
    }
    Ok(())
}

const fn printable(byte: u8) -> u8 {
    if byte.is_ascii_graphic() || byte == b' ' {
        byte
    } else {
        b'.'
    }
}

/// The digit of a number below 16.
fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0'.saturating_add(nibble),
        _ => b'a'.saturating_add(nibble.saturating_sub(10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        let mut output = Vec::new();
        payload(bytes, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn lines_are_laid_out_as_zstream_lays_them_out() {
        assert_eq!(
            shown(b"\x01abc \x7f\xff~0123456789+"),
            " 01 61 62 63  20 7f ff 7e  30 31 32 33  34 35 36 37   .abc  ..~ 0123 4567\n \
             38 39 2b                                             89+\n"
        );
        assert_eq!(shown(&[]), "");
    }
}
