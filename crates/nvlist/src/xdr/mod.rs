//! The XDR encoding (RFC 4506), `nvs_xdr_*` of `module/nvpair/nvpair.c`: big-endian words of four bytes.
//!
//! ```text
//!   list: ┌─────────┬───────┬──────┬──────┬─────┬────┬────┐
//!         │ version │ flags │ pair │ pair │ ... │ 0  │ 0  │
//!         └─────────┴───────┴──────┴──────┴─────┴────┴────┘
//!   pair: ┌─────────┬─────────┬────────┬──────────────┬──────┬───────────┬───────┐
//!         │ size of │ size in │ length │ name, zeros  │ type │ number of │ value │
//!         │ all this│ memory  │ of name│ to 4 n       │      │ elements  │       │
//!         └─────────┴─────────┴────────┴──────────────┴──────┴───────────┴───────┘
//! ```
//!
//! Values of less than four bytes take four. A string is its length and its bytes, zeros to four; a byte array only the
//! latter; any other array of numbers is preceded by the number of elements a second time. Lists stand where values do,
//! whole. An array without elements has no value at all.
//!
//! How bytes and 16-bit numbers fill their word is not agreed on: OpenZFS's programs extend the sign of `char` (on
//! machines where it has one) and `short`, while the Linux module writes zeros in front and refuses anything else.
//! Decoding takes both; encoding does as the module, which everybody reads.

mod decode;
mod encode;

pub(crate) use decode::decode;
pub(crate) use encode::encode;
