//! `zferry receive`.

mod corrective;
mod encrypted;
mod existing;
mod made;
mod packages;
mod raw;
mod redacted;
mod resume;
mod space;
