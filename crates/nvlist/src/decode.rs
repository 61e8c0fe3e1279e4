//! Decoding and encoding from the outside, and what the decoders of both encodings share.

use zferry_wire::{Endian, Reader, ShortRead, Writer, u64_from_usize};

use crate::{DataType, DecodeError, Encoding, Header, Limits, NvList, native, xdr};

impl NvList {
    /// Decodes the list at the beginning of `bytes`. What is behind its end is not looked at: the configuration in a
    /// label, for one, is followed by zeros.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not a list, or one that is larger or deeper than `limits` allow.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<(Self, Header), DecodeError> {
        let within = bytes.get(..limits.bytes).unwrap_or(bytes);
        Self::decode_all(within, limits).map_err(|error| match error {
            DecodeError::Short(_) if within.len() < bytes.len() => {
                DecodeError::TooLarge { limit: limits.bytes }
            }
            error => error,
        })
    }

    fn decode_all(bytes: &[u8], limits: &Limits) -> Result<(Self, Header), DecodeError> {
        let header = Header::from_bytes(Reader::new(bytes, Endian::Big).array()?)?;
        let endian = match header.encoding {
            Encoding::Native => header.endian,
            Encoding::Xdr => Endian::Big,
        };
        let mut reader = Reader::new(bytes, endian);
        reader.skip(Header::SIZE)?;
        let mut budget = Budget {
            limits,
            pairs: limits.pairs,
            depth: limits.depth,
        };
        let list = match header.encoding {
            Encoding::Native => native::decode(&mut reader, &mut budget)?,
            Encoding::Xdr => xdr::decode(&mut reader, &mut budget)?,
        };
        Ok((list, header))
    }

    /// Encodes the list, byte for byte as libnvpair packs it on a machine of byte order `endian`.
    ///
    /// No field of the format holds a size of 2 GiB or more, and libnvpair refuses to pack such a list. Here it becomes
    /// bytes that no decoder takes.
    #[must_use]
    pub fn encode(&self, encoding: Encoding, endian: Endian) -> Vec<u8> {
        let mut writer = match encoding {
            Encoding::Native => Writer::new(endian),
            Encoding::Xdr => Writer::new(Endian::Big),
        };
        writer.bytes(&Header { encoding, endian }.to_bytes());
        match encoding {
            Encoding::Native => native::encode(&mut writer, self),
            Encoding::Xdr => drop(xdr::encode(&mut writer, self)),
        }
        // Only where arrays without elements were counted larger than they are is anything left to fill.
        let missing = self.encoded_size(encoding).saturating_sub(writer.len());
        writer.zeros(missing);
        writer.into_bytes()
    }
}

/// What is left of the limits.
pub(crate) struct Budget<'a> {
    limits: &'a Limits,
    pairs: usize,
    depth: u8,
}

impl Budget<'_> {
    /// Takes `count` pairs, of which the first begins at `offset`.
    pub(crate) fn take_pairs(&mut self, count: usize, offset: u64) -> Result<(), DecodeError> {
        let limit = self.limits.pairs;
        self.pairs = self
            .pairs
            .checked_sub(count)
            .ok_or(DecodeError::TooManyPairs { offset, limit })?;
        Ok(())
    }

    /// Goes down into the lists that are a value of the pair at `offset`, and up again.
    pub(crate) fn within<T>(
        &mut self,
        offset: u64,
        decode: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let limit = self.limits.depth;
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or(DecodeError::TooDeep { offset, limit })?;
        let value = decode(self);
        self.depth = self.depth.saturating_add(1);
        value
    }
}

/// What stands before the value of a pair.
pub(crate) struct PairHead {
    /// Where the pair begins, from the header of the outermost list.
    pub(crate) offset: u64,
    pub(crate) data_type: DataType,
    /// How many elements the pair says it has.
    pub(crate) count: u32,
}

impl PairHead {
    /// Refuses a number of elements that the type cannot have. Whether as many are there is for the decoder to see.
    pub(crate) fn check_count(&self) -> Result<(), DecodeError> {
        let single = if self.data_type == DataType::BOOLEAN { 0 } else { 1 };
        if self.data_type.is_array() || self.count == single {
            Ok(())
        } else {
            Err(self.wrong_count(self.count))
        }
    }

    pub(crate) const fn wrong_count(&self, found: u32) -> DecodeError {
        DecodeError::ElementCount {
            offset: self.offset,
            data_type: self.data_type,
            found,
        }
    }

    pub(crate) const fn out_of_range(&self, found: u32) -> DecodeError {
        DecodeError::Range {
            offset: self.offset,
            data_type: self.data_type,
            found,
        }
    }

    pub(crate) fn unknown_type(&self, name: Box<str>) -> DecodeError {
        DecodeError::UnknownType {
            offset: self.offset,
            name,
            found: self.data_type,
        }
    }

    pub(crate) const fn boolean(&self, word: u32) -> Result<bool, DecodeError> {
        match word {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(self.out_of_range(found)),
        }
    }

    /// A name of the pair, from its bytes without the NUL.
    pub(crate) fn name(&self, bytes: &[u8]) -> Result<Box<str>, DecodeError> {
        if bytes.len() > NvList::NAME_MAX {
            return Err(DecodeError::NameTooLong {
                offset: self.offset,
                found: bytes.len(),
            });
        }
        let name =
            std::str::from_utf8(bytes).map_err(|_| DecodeError::NameNotUtf8 { offset: self.offset })?;
        Ok(name.into())
    }
}

/// Reads `count` elements that take `width` bytes each, having seen that so many bytes are there.
pub(crate) fn elements<T>(
    reader: &mut Reader<'_>,
    count: usize,
    width: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let wanted = count.saturating_mul(width);
    let left = reader.rest().len();
    if wanted > left {
        let (wanted, left) = (u64_from_usize(wanted), u64_from_usize(left));
        return Err(ShortRead {
            offset: reader.offset(),
            wanted,
            left,
        }
        .into());
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(read(reader)?);
    }
    Ok(values)
}

/// Refuses a version other than 0, the only one.
pub(crate) const fn check_version(offset: u64, found: u32) -> Result<(), DecodeError> {
    if found == 0 {
        Ok(())
    } else {
        Err(DecodeError::UnknownVersion { offset, found })
    }
}
