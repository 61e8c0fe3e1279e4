//! The table of properties that help texts end with.

use std::fmt::Write;
use zferry_zpool::dsl::property::{Attribute, Property};

/// Which properties there are, whether they can be set and are inherited, and which values they have.
pub(crate) fn properties() -> String {
    let mut properties: Vec<Property> = Property::visible().collect();
    // What is computed comes first, and each kind by name.
    properties.sort_by_key(|property| {
        let is_settable = property.description().attribute != Attribute::ReadOnly;
        (is_settable, property.name())
    });
    let mut text = "Properties:\n  PROPERTY               EDIT  INHERIT   VALUES\n\n".to_owned();
    for property in properties {
        let description = property.description();
        let edit = if description.is_read_only() { " NO" } else { "YES" };
        let inherit = if description.is_inheritable() {
            "YES"
        } else {
            " NO"
        };
        let values = description.values.unwrap_or("-");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {:<22} {edit}      {inherit}   {values}",
            description.name
        );
    }
    text.push_str(
        "\n  userused@USER, groupused@GROUP, projectused@PROJECT, each also with obj for objects (userobjused@USER) and \
         with quota for the limit (userquota@USER, userobjquota@USER); written@SNAPSHOT and written#BOOKMARK; and users' \
         own properties, whose names have a colon.\n\nSizes are in bytes, shown with K, M, G and so on, or in full with -p.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_property_is_explained() {
        let text = properties();
        for property in Property::visible() {
            assert!(
                text.contains(&format!("\n  {:<22} ", property.name())),
                "{property}"
            );
        }
        assert!(
            text.contains("  available               NO       NO   <size>\n"),
            "{text}"
        );
        assert!(
            text.contains("  recordsize             YES      YES   512 to 1M, power of 2\n"),
            "{text}"
        );
    }
}
