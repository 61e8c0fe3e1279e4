//! Numbers for people: at most five characters, as zfs(8) writes them.

const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
/// How many significant bits the numbers have with which zfs(8) divides.
const DOUBLE_BITS: u32 = 53;

/// A count: `1.50K`, `77`.
pub(crate) fn nice_number(number: u64) -> String {
    nice(number, "")
}

/// A number of bytes: `1.50K`, `77B`.
pub(crate) fn nice_bytes(number: u64) -> String {
    nice(number, "B")
}

/// A ratio in hundredths: `1.50`, followed by `x` for people.
pub(crate) fn ratio(hundredths: u64, literal: bool) -> String {
    let unit = if literal { "" } else { "x" };
    format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
}

fn nice(number: u64, small_unit: &str) -> String {
    let index = number.checked_ilog2().unwrap_or(0) / 10;
    let shift = index.saturating_mul(10);
    let unit = usize::try_from(index)
        .ok()
        .and_then(|index| UNITS.get(index))
        .copied()
        .unwrap_or("");
    let whole = number >> shift;
    if index == 0 {
        return format!("{number}{small_unit}");
    }
    if whole << shift == number {
        return format!("{whole}{unit}");
    }
    let decimals = (0..=2)
        .rev()
        .map(|decimals| format!("{}{unit}", quotient(number, shift, decimals)));
    let mut text = String::new();
    for candidate in decimals {
        text = candidate;
        if text.len() <= 5 {
            break;
        }
    }
    text
}

/// `number / 2^shift` with so many decimals, rounded as a double is printed: to the nearest, and from the middle to the
/// even one.
fn quotient(number: u64, shift: u32, decimals: u32) -> String {
    let scale = 10_u128.saturating_pow(decimals);
    let scaled = round_shift(u128::from(as_double(number)).saturating_mul(scale), shift);
    let (whole, part) = (
        scaled.checked_div(scale).unwrap_or(0),
        scaled.checked_rem(scale).unwrap_or(0),
    );
    match usize::try_from(decimals) {
        Ok(width) if width > 0 => format!("{whole}.{part:0width$}"),
        _ => whole.to_string(),
    }
}

/// The number that a double would hold.
fn as_double(number: u64) -> u64 {
    let excess = (u64::BITS.saturating_sub(number.leading_zeros())).saturating_sub(DOUBLE_BITS);
    let rounded = round_shift(u128::from(number), excess)
        .checked_shl(excess)
        .unwrap_or(0);
    u64::try_from(rounded).unwrap_or(u64::MAX)
}

fn round_shift(number: u128, shift: u32) -> u128 {
    let whole = number.checked_shr(shift).unwrap_or(0);
    let rest = number.saturating_sub(whole.checked_shl(shift).unwrap_or(0));
    let half = 1_u128.checked_shl(shift).unwrap_or(0) >> 1;
    let up = shift > 0 && (rest > half || (rest == half && whole & 1 == 1));
    whole.saturating_add(u128::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_characters_are_enough() {
        for (number, text) in [
            (0, "0B"),
            (1, "1B"),
            (1023, "1023B"),
            (1024, "1K"),
            (1025, "1.00K"),
            (1536, "1.50K"),
            (10239, "10.0K"),
            (10240, "10K"),
            (98304, "96K"),
            (102_399, "100K"),
            (1_023_999, "1000K"),
            (1_047_552, "1023K"),
            (1_048_575, "1024K"),
            (39_952_384, "38.1M"),
            (52_322_304, "49.9M"),
            (1 << 30, "1G"),
            (u64::MAX, "16.0E"),
        ] {
            assert_eq!(nice_bytes(number), text, "{number}");
        }
        assert_eq!(nice_number(0), "0");
        assert_eq!(nice_number(2048), "2K");
    }

    #[test]
    fn ratios_have_two_decimals() {
        assert_eq!(ratio(133, false), "1.33x");
        assert_eq!(ratio(100, true), "1.00");
        assert_eq!(ratio(12_305, false), "123.05x");
    }

    #[test]
    fn the_middle_goes_to_the_even_side() {
        assert_eq!(round_shift(0b101, 1), 0b10);
        assert_eq!(round_shift(0b111, 1), 0b100);
        assert_eq!(quotient(1 << 10 | 1 << 9, 10, 0), "2");
        assert_eq!(quotient(1 << 11 | 1 << 9, 10, 0), "2");
    }
}
