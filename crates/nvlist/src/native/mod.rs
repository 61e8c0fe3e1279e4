//! The native encoding: C structs as they lie in memory, `nvs_native_*` of `module/nvpair/nvpair.c`.
//!
//! ```text
//!   ┌─────────┬───────┬──────┬──────┬─────┬────────┐
//!   │ version │ flags │ pair │ pair │ ... │ 0      │
//!   │ 4 bytes │ 4     │      │      │     │ 4      │
//!   └─────────┴───────┴──────┴──────┴─────┴────────┘
//! ```
//!
//! A pair looks as in memory (see [`crate::size`]), its pointers zeroed. The lists that are its value have their
//! `nvlist_t` in the pair, with version and flags; their pairs, and the zero that ends them, follow the pair one list
//! after the other.
//!
//! ```text
//!   nvlist_t:  0         4       8         16     20     24
//!              ┌─────────┬───────┬─────────┬──────┬──────┐
//!              │ version │ flags │ pointer │ flag │ pad  │   the last three are zero
//!              └─────────┴───────┴─────────┴──────┴──────┘
//! ```

mod decode;
mod encode;

pub(crate) use decode::decode;
pub(crate) use encode::encode;
