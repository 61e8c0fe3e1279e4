//! `zferry send`.

mod answers;
mod damaged;
mod encrypted;
mod redacted;
mod resume;
mod same;
