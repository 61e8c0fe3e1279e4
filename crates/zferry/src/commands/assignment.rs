//! Properties as they are set on a command line: `NAME=VALUE`, and what is stored for it.

use std::str::FromStr;

use zferry_zpool::dsl::property::{Attribute, DatasetTypes, Kind, Property, is_user_property};
use zferry_zpool::zap::ZapValue;

use crate::error::CommandError;

/// A property with the value that it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("missing '=' for property=value argument '{text}'"))?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// A number of bytes, with a unit behind it or none.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?.to_ascii_uppercase();
    let unit = unit
        .strip_suffix("IB")
        .or(unit.strip_suffix('B'))
        .unwrap_or(&unit);
    let shift = match unit {
        "" => 0_u32,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return None,
    };
    if let Ok(number) = digits.parse::<u64>() {
        return number.checked_mul(1_u64.checked_shl(shift)?);
    }
    let (whole, part) = digits.split_once('.')?;
    let whole = whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_u64.checked_shl(shift)?)?;
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = part.parse::<u64>().ok()?.checked_mul(1_u64.checked_shl(shift)?)?;
    whole.checked_add(part.checked_div(scale)?)
}

/// Checks a property and gives what is stored for it, with its full name.
pub(crate) fn stored_value(
    assignment: &Assignment,
    kind: DatasetTypes,
) -> Result<(String, ZapValue), CommandError> {
    let Assignment { name, value } = assignment;
    let cannot = |why: String| CommandError::failed(why);
    if is_user_property(name) {
        return Ok((name.clone(), ZapValue::text(value)));
    }
    let property = Property::by_name(name).ok_or_else(|| cannot(format!("invalid property '{name}'")))?;
    let description = property.description();
    let name = property.name();
    if description.attribute == Attribute::ReadOnly {
        return Err(cannot(format!("'{name}' is readonly")));
    }
    if !description.applies_to(kind) {
        return Err(cannot(format!(
            "'{name}' does not apply to datasets of this type"
        )));
    }
    let stored = match description.kind {
        Kind::Index { .. } => {
            let number = description.number_of(value).ok_or_else(|| {
                let values = description.values.unwrap_or("its words");
                cannot(format!("'{name}' must be one of '{values}'"))
            })?;
            ZapValue::number(number)
        }
        Kind::Number { .. } => ZapValue::number(number(name, value)?),
        Kind::Text { .. } => {
            if name == "mountpoint" && !value.starts_with('/') && !matches!(value.as_str(), "none" | "legacy")
            {
                return Err(cannot(format!(
                    "'{name}' must be an absolute path, 'none', or 'legacy'"
                )));
            }
            ZapValue::text(value)
        }
    };
    Ok((name.to_owned(), stored))
}

fn number(name: &str, value: &str) -> Result<u64, CommandError> {
    if value == "none" {
        return Ok(match name {
            "filesystem_limit" | "snapshot_limit" => u64::MAX,
            _ => 0,
        });
    }
    let number = parse_size(value);
    let number = number.ok_or_else(|| CommandError::failed(format_args!("bad numeric value '{value}'")))?;
    let is_block_size = |max: u64| number.is_power_of_two() && (512..=max).contains(&number);
    let is_wrong = match name {
        "recordsize" => !is_block_size(16 << 20),
        "volblocksize" => !is_block_size(128 << 10),
        "copies" => !(1..=3).contains(&number),
        _ => false,
    };
    if is_wrong {
        return Err(CommandError::failed(format_args!(
            "invalid value '{value}' for '{name}'"
        )));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let cases = [
            ("512", Some(512)),
            ("1K", Some(1024)),
            ("1.5g", Some(3 << 29)),
            ("2TiB", Some(2 << 40)),
            ("1X", None),
            ("", None),
            ("99999999999E", None),
        ];
        for (text, size) in cases {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }
}
