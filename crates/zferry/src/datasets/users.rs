//! The numbers of users and groups, from the system's own tables.

use std::fs;
use zferry_zpool::dsl::UserSpaceKind;

/// The number that a property such as `userused@anna` means. `None` where nobody is called so.
pub(crate) fn id_of(kind: UserSpaceKind, who: &str) -> Option<u64> {
    let named = match kind {
        UserSpaceKind::User => number_in("/etc/passwd", who),
        UserSpaceKind::Group => number_in("/etc/group", who),
        UserSpaceKind::Project => None,
    };
    named.or_else(|| who.parse().ok().filter(|id| *id <= u64::from(u32::MAX)))
}

/// The third field of the line that begins with `name`.
fn number_in(table: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(table).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

/// The name of the user with this number, where the system knows one.
pub(crate) fn user_name(id: u64) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}
