//! What happens to one ZFS block between memory and disk: it is compressed, encrypted and summed.
//!
//! Everything here is a pure function of bytes. Nothing knows where a block lies, who points to it or how many copies
//! there are; a caller says which algorithm a block pointer names, in which byte order its writer worked, and how long
//! the result must be.
//!
//! - [`checksum`]: the checksums that block pointers, labels and streams carry.
//! - [`compress`]: the compressed forms that blocks have on disk, in ZFS's own framing.
//! - [`crypt`]: native encryption, its keys and its message authentication codes.
//! - [`is_zero`]: whether a block may become a hole.
//! - [`MappedFile`]: a file that is summed where the system keeps it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod checksum;
pub mod compress;
pub mod crypt;
#[cfg_attr(not(target_os = "linux"), path = "unmapped.rs")]
mod mapped;
mod zero;

pub use mapped::MappedFile;
pub use zero::is_zero;
pub use zferry_wire::Endian;
