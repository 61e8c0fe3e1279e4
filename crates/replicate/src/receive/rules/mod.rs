//! What a stream must keep to be received: OpenZFS's checks, each with its errno.
//!
//! Nothing here reads or writes a pool; what must be known of it is handed in. [`begin`] has the checks on BEGIN, in
//! the order of `dmu_recv_begin_check`; [`key_data`] those on the list behind that of a raw stream, [`resume`] those on a
//! stream that goes on where another was cut, [`redaction`] on what was left out; [`record`] those on every other record, of
//! `receive_object`, `receive_write`
//! and their like in `module/zfs/dmu_recv.c`, completed by those of later releases where older ones would have crashed.
//! What depends on the objects received so far is checked where they are, in `apply`.

pub mod begin;
pub mod key_data;
pub mod record;
pub mod redaction;
pub mod resume;

#[cfg(test)]
mod tests;
