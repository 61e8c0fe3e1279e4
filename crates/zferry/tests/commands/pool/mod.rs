//! Pools and what lies in them: the commands that neither send nor receive.

mod datasets;
mod layouts;
mod listing;
mod readers;
mod salvage;
mod scrub;
