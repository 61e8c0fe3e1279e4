//! Resume tokens: what the property `receive_resume_token` says of an interrupted receive, and `zfs send -t` takes.
//!
//! ```text
//! 1-c740b0c7a-e8-789c636064000310a500c4ec50360710e72765a52697303084a0…
//! │ │         │  └ the list below in its native encoding, compressed with zlib, as hexadecimal digits
//! │ │         └ how long the list is before compression, in bytes
//! │ └ first word of the Fletcher-4 sum over what is compressed
//! └ version
//! ```
//!
//! | name | value |
//! |---|---|
//! | `fromguid` | guid of the incremental source, if there is one |
//! | `object`, `offset` | where to go on |
//! | `bytes` | how much of the stream has arrived |
//! | `toguid`, `toname` | the snapshot that is sent |
//! | `largeblockok`, `embedok`, `compressok`, `rawok` | without a value: what the stream has |
//! | `redact_snaps`, `book_redact_snaps` | guids of snapshots that it is redacted for |

use std::fmt::Write as _;
use std::io::{Read, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use zferry_blocks::checksum::Fletcher4;
use zferry_nvlist::{DecodeError, Encoding, Limits, NvList};
use zferry_wire::{Endian, u64_from_usize};

pub use partial::{Partial, PartialError};

mod partial;

/// `ZFS_SEND_RESUME_TOKEN_VERSION`
const VERSION: &str = "1";

/// The longest list in a token, in bytes. Lists of redaction snapshots are what makes a token long.
const LIST_LIMIT: usize = 4 << 20;

/// Why a text is no resume token. The first five say what OpenZFS says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There are not four parts with the right digits.
    #[error("resume token is corrupt (invalid format)")]
    Format,
    /// It is of another version than 1.
    #[error("resume token is corrupt (invalid version {0})")]
    Version(String),
    /// Its last part is not made of pairs of hexadecimal digits.
    #[error("resume token is corrupt (payload is not hex-encoded)")]
    NotHexadecimal,
    /// A digit is wrong, or is missing.
    #[error("resume token is corrupt (incorrect checksum)")]
    Checksum,
    /// What is compressed is not compressed, or not of the length that is stated.
    #[error("resume token is corrupt (decompression failed)")]
    Compression,
    /// What is in it is no list.
    #[error("resume token is corrupt (nvlist_unpack failed): {0}")]
    List(#[from] DecodeError),
    /// A value is missing without which nothing can be resumed.
    #[error("resume token is corrupt (it has no {0})")]
    Lacks(&'static str),
}

/// Where a receive was interrupted, and what stream it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumeToken {
    /// The guid of the incremental source; `None` for a full stream.
    pub from_guid: Option<u64>,
    /// The object to go on with.
    pub object: u64,
    /// Where in it to go on, in bytes.
    pub offset: u64,
    /// How much of the stream has arrived, in bytes.
    pub bytes: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
    /// Its name where it is sent.
    pub to_name: String,
    /// The stream may have blocks of more than 128 KiB.
    pub large_blocks: bool,
    /// The stream may have embedded blocks.
    pub embedded: bool,
    /// The stream may have compressed blocks.
    pub compressed: bool,
    /// The stream is raw.
    pub raw: bool,
    /// The stream is of a partial receive (`zfs send -S`).
    pub saved: bool,
    /// The snapshots that the stream is redacted for.
    pub redact_snapshots: Option<Vec<u64>>,
    /// The snapshots of the redaction bookmark that it was sent with.
    pub bookmark_redact_snapshots: Option<Vec<u64>>,
}

impl ResumeToken {
    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn decode(token: &str) -> Result<Self, TokenError> {
        let list = unpack(token)?;
        let number = |name| list.u64(name).ok_or(TokenError::Lacks(name));
        Ok(Self {
            from_guid: list.u64("fromguid"),
            object: number("object")?,
            offset: number("offset")?,
            bytes: number("bytes")?,
            to_guid: number("toguid")?,
            to_name: list.str("toname").ok_or(TokenError::Lacks("toname"))?.to_owned(),
            large_blocks: list.flag("largeblockok"),
            embedded: list.flag("embedok"),
            compressed: list.flag("compressok"),
            raw: list.flag("rawok"),
            saved: list.flag("savedok"),
            redact_snapshots: list.u64s("redact_snaps").map(<[u64]>::to_vec),
            bookmark_redact_snapshots: list.u64s("book_redact_snaps").map(<[u64]>::to_vec),
        })
    }

    /// The token as text, with its values in OpenZFS's order.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut list = NvList::new();
        if let Some(guid) = self.from_guid {
            list.insert("fromguid", guid);
        }
        list.insert("object", self.object)
            .insert("offset", self.offset)
            .insert("bytes", self.bytes)
            .insert("toguid", self.to_guid)
            .insert("toname", self.to_name.as_str());
        for (name, set) in [
            ("largeblockok", self.large_blocks),
            ("embedok", self.embedded),
            ("compressok", self.compressed),
            ("rawok", self.raw),
            ("savedok", self.saved),
        ] {
            if set {
                list.insert(name, zferry_nvlist::Value::Boolean);
            }
        }
        for (name, guids) in [
            ("redact_snaps", &self.redact_snapshots),
            ("book_redact_snaps", &self.bookmark_redact_snapshots),
        ] {
            if let Some(guids) = guids {
                list.insert(name, guids.clone());
            }
        }
        pack(&list)
    }
}

/// The list in a token, whatever it holds: what `zstream token` shows.
///
/// # Errors
/// [`TokenError`], except that nothing is missing.
pub fn unpack(token: &str) -> Result<NvList, TokenError> {
    let mut parts = token.splitn(4, '-');
    let mut part = || parts.next().ok_or(TokenError::Format);
    let (version, checksum, length, payload) = (part()?, part()?, part()?, part()?);
    let number = |digits| u64::from_str_radix(digits, 16).map_err(|_| TokenError::Format);
    let (checksum, length) = (number(checksum)?, number(length)?);
    if version != VERSION {
        return Err(TokenError::Version(version.to_owned()));
    }
    let compressed = from_hexadecimal(payload).ok_or(TokenError::NotHexadecimal)?;
    // The sum is over words in the order of the machine that made the token.
    let is_sum = |endian| Fletcher4::of(whole_words(&compressed), endian).a == checksum;
    if !is_sum(Endian::Little) && !is_sum(Endian::Big) {
        return Err(TokenError::Checksum);
    }
    let packed = inflate(&compressed, length).ok_or(TokenError::Compression)?;
    let (list, _) = NvList::decode(&packed, &Limits::default().with_bytes(LIST_LIMIT))?;
    Ok(list)
}

/// The token that holds a list.
#[must_use]
pub fn pack(list: &NvList) -> String {
    let packed = list.encode(Encoding::Native, Endian::OURS);
    let compressed = deflate(&packed);
    let checksum = Fletcher4::of(whole_words(&compressed), Endian::OURS).a;
    let mut token = format!("{VERSION}-{checksum:x}-{:x}-", packed.len());
    for byte in compressed {
        // Writing to a string cannot fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// What is summed: a part of a word at the end is not.
fn whole_words(bytes: &[u8]) -> &[u8] {
    bytes.as_chunks::<4>().0.as_flattened()
}

fn deflate(packed: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    // Memory takes everything, so neither can fail.
    let _ = encoder.write_all(packed);
    encoder.finish().unwrap_or_default()
}

/// Exactly `length` bytes, or nothing.
fn inflate(compressed: &[u8], length: u64) -> Option<Vec<u8>> {
    if length > u64_from_usize(LIST_LIMIT) {
        return None;
    }
    let mut packed = Vec::new();
    let mut decoder = ZlibDecoder::new(compressed).take(length.saturating_add(1));
    decoder.read_to_end(&mut packed).ok()?;
    (u64_from_usize(packed.len()) == length).then_some(packed)
}

fn from_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?))
        .collect()
}

fn nibble(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests;
