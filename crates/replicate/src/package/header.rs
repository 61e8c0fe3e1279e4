//! The header of a package: the list of what is in it, and the records around that.
//!
//! ```text
//! fromsnap        string   the incremental source, behind the `@`
//! tosnap          string   the last snapshot, behind the `@`
//! not_recursive   –        nothing below the dataset is in the package
//! raw             –        the streams are raw
//! fss             list     0x and the dataset's guid → what gather.rs writes down
//! ```

use super::gather::Gathered;
use super::{PackageError, PackageOptions, Span};
use zferry_nvlist::{Encoding, Endian, NvList, Value};
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
use zferry_zstream::record::{Begin, ObjsetType, Record, StreamName};
use zferry_zstream::writer::{Fletcher4, Summer};

/// Packs the list.
pub(super) fn pack(
    gathered: &[Gathered],
    span: &Span,
    options: &PackageOptions,
    top: &str,
) -> Result<Vec<u8>, PackageError> {
    let mut list = NvList::new();
    if let Some(from) = span.start_name() {
        list.insert("fromsnap", from);
    }
    list.insert("tosnap", span.to.as_str());
    if !options.replicate {
        list.insert("not_recursive", Value::Boolean);
    }
    if options.raw {
        list.insert("raw", Value::Boolean);
    }
    let mut datasets = NvList::new();
    for dataset in gathered {
        datasets.insert(format!("{:#x}", dataset.guid), dataset.list.clone());
    }
    // The size that OpenZFS holds against the limit is that of the other encoding.
    let parts = [&list, &datasets].map(|list| list.encoded_size(Encoding::Native));
    if parts.iter().fold(0_usize, |sum, part| sum.saturating_add(*part)) > options.list_bytes_max {
        return Err(PackageError::ListTooLarge(top.to_owned()));
    }
    list.insert("fss", datasets);
    Ok(list.encode(Encoding::Xdr, Endian::OURS))
}

/// The records before the first stream, with the list between them.
pub(super) fn records(name: &str, features: FeatureFlags, list: &[u8]) -> Result<Vec<u8>, PackageError> {
    let begin = Begin {
        payload_length: u32::try_from(list.len()).map_err(|_| PackageError::ListTooLarge(name.to_owned()))?,
        version_info: VersionInfo::new(HeaderType::COMPOUND, features),
        creation_time: 0,
        objset_type: ObjsetType(0),
        flags: BeginFlags::empty(),
        to_guid: 0,
        from_guid: 0,
        to_name: StreamName::new(name).map_err(|_| PackageError::NameTooLong(name.to_owned()))?,
    };
    let mut summer = Summer::new(Endian::OURS);
    let mut begin = Record::Begin(Box::new(begin)).encode(Endian::OURS);
    summer.stamp(&mut begin, &Fletcher4::of(list, Endian::OURS));
    let end = summer.end_of_package_header();
    Ok([&begin, list, &end].concat())
}
