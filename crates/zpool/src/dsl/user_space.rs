//! Space and objects by user, group and project: what they use, and what they may use.
//!
//! ```text
//! object set   os_userused_dnode at 1024, os_groupused_dnode at 1536, os_projectused_dnode at 2048
//!              each a table: hex(id) → bytes, and "obj-" hex(id) → objects
//! master node  userquota@, groupquota@, projectquota@, userobjquota@ …: objects, each a table hex(id) → quota
//! ```

use super::{Dataset, DslPool};
use crate::dmu::{Dnode, Object, ObjectSet, ObjectSetType};
use crate::zap;
use crate::{Error, ObjectNumber};

const MASTER_NODE: ObjectNumber = ObjectNumber(1);
/// What an object set's flags say of its tables.
const SPACE_COUNTED: u64 = 1 << 0;
const OBJECTS_COUNTED: u64 = 1 << 1;
const PROJECTS_COUNTED: u64 = 1 << 2;

/// Whose space is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSpaceKind {
    /// That of a user.
    User,
    /// That of a group.
    Group,
    /// That of a project.
    Project,
}

/// Which number of a user, group or project is meant: `userused@…` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserSpace {
    /// Whose.
    pub kind: UserSpaceKind,
    /// Objects; otherwise bytes.
    pub is_objects: bool,
    /// What may be used; otherwise what is.
    pub is_quota: bool,
}

impl UserSpace {
    const ALL: [(&'static str, Self); 12] = [
        ("userused@", Self::new(UserSpaceKind::User, false, false)),
        ("userquota@", Self::new(UserSpaceKind::User, false, true)),
        ("groupused@", Self::new(UserSpaceKind::Group, false, false)),
        ("groupquota@", Self::new(UserSpaceKind::Group, false, true)),
        ("userobjused@", Self::new(UserSpaceKind::User, true, false)),
        ("userobjquota@", Self::new(UserSpaceKind::User, true, true)),
        ("groupobjused@", Self::new(UserSpaceKind::Group, true, false)),
        ("groupobjquota@", Self::new(UserSpaceKind::Group, true, true)),
        ("projectused@", Self::new(UserSpaceKind::Project, false, false)),
        ("projectquota@", Self::new(UserSpaceKind::Project, false, true)),
        ("projectobjused@", Self::new(UserSpaceKind::Project, true, false)),
        ("projectobjquota@", Self::new(UserSpaceKind::Project, true, true)),
    ];

    const fn new(kind: UserSpaceKind, is_objects: bool, is_quota: bool) -> Self {
        Self {
            kind,
            is_objects,
            is_quota,
        }
    }

    /// Takes a property such as `userused@1000` apart.
    #[must_use]
    pub fn parse(property: &str) -> Option<(Self, &str)> {
        Self::ALL
            .iter()
            .find_map(|(prefix, which)| property.strip_prefix(prefix).map(|who| (*which, who)))
    }

    /// The property's name up to the `@`, and that.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, which)| *which == self)
            .map_or("", |(prefix, _)| prefix)
    }

    /// What must be counted in an object set for the number to be known.
    const fn wanted_flags(self) -> u64 {
        let objects = if self.is_objects { OBJECTS_COUNTED } else { 0 };
        let projects = if matches!(self.kind, UserSpaceKind::Project) {
            PROJECTS_COUNTED
        } else {
            0
        };
        SPACE_COUNTED | objects | projects
    }

    /// Where the table of used space lies in an object set's block, in bytes.
    const fn used_offset(self) -> usize {
        match self.kind {
            UserSpaceKind::User => 1024,
            UserSpaceKind::Group => 1536,
            UserSpaceKind::Project => 2048,
        }
    }
}

impl DslPool<'_> {
    /// What a user, group or project uses or may use of a file system or its snapshot; `None` where that is not
    /// counted. What was never used or limited is 0.
    ///
    /// # Errors
    /// Where the tables cannot be read.
    pub fn user_space(&self, dataset: &Dataset, which: UserSpace, id: u64) -> Result<Option<u64>, Error> {
        let Some(set) = self.object_set(dataset)? else {
            return Ok(None);
        };
        let wanted = which.wanted_flags();
        if set.set_type != ObjectSetType::ZFS || set.is_encrypted || set.flags & wanted != wanted {
            return Ok(None);
        }
        let reader = self.pool().reader();
        let (table, prefix) = if which.is_quota {
            let master = set.object(reader, MASTER_NODE)?;
            let number = zap::lookup_u64(reader, &master, which.prefix())?;
            (
                number
                    .map(|number| set.object(reader, ObjectNumber(number)))
                    .transpose()?,
                "",
            )
        } else {
            (
                self.used_table(dataset, which)?,
                if which.is_objects { "obj-" } else { "" },
            )
        };
        let Some(table) = table else { return Ok(Some(0)) };
        let value = zap::lookup_u64(reader, &table, &format!("{prefix}{id:x}"))?;
        Ok(Some(value.unwrap_or(0)))
    }

    /// The table of used space in a dataset's object set; `None` where nothing was ever counted.
    fn used_table(&self, dataset: &Dataset, which: UserSpace) -> Result<Option<Object>, Error> {
        let block = self.pool().reader().read_cached(&dataset.phys.root)?;
        let bytes = block.bytes.get(which.used_offset()..).unwrap_or_default();
        if Dnode::is_free(bytes) {
            return Ok(None);
        }
        let dnode = Dnode::decode(bytes, block.endian)?;
        Ok(Some(Object {
            number: ObjectNumber(0),
            dnode,
        }))
    }

    /// Whether space is counted by user in a dataset.
    pub(super) const fn counts_users(set: &ObjectSet) -> bool {
        set.flags & SPACE_COUNTED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_names_whose_and_what() {
        let (which, who) = UserSpace::parse("userobjquota@anna@example").unwrap();
        assert_eq!(
            (which.kind, which.is_objects, which.is_quota, who),
            (UserSpaceKind::User, true, true, "anna@example")
        );
        assert_eq!(which.prefix(), "userobjquota@");
        assert_eq!(UserSpace::parse("used@1"), None);
    }
}
