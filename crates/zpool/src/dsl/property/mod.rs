//! Properties of datasets: what they are called, how their values are written down, and how they are inherited.

mod description;
mod index;
mod lookup;
mod pool_table;
mod settings;
mod table;

pub use description::{Attribute, DatasetTypes, Description, Kind};
pub use index::IndexValue;
pub use lookup::{Found, Source, is_user_property};
pub use pool_table::PoolProperty;
pub use settings::{Setting, Settings, Value};
pub use table::Property;
