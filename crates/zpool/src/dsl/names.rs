//! Names of datasets, snapshots and bookmarks: which are valid, and what their parts are.
//!
//! ```text
//! pool/component/…/component            a file system or volume
//! pool/component/…/component@snapshot
//! pool/component/…/component#bookmark
//! ```

/// The longest name there is, in bytes.
pub(super) const NAME_MAX: usize = 255;

/// Why a name is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// More than 255 bytes.
    #[error("name is too long")]
    TooLong,
    /// It begins with `/`.
    #[error("leading slash in name")]
    LeadingSlash,
    /// It ends with `/`, or has one behind `@` or `#`.
    #[error("trailing slash in name")]
    TrailingSlash,
    /// Nothing stands between two delimiters, or before or behind one.
    #[error("empty component or misplaced '@' or '#' delimiter in name")]
    EmptyComponent,
    /// A character that names do not have.
    #[error("invalid character '{0}' in name")]
    InvalidCharacter(char),
    /// More than one `@` or `#`.
    #[error("multiple '@' and/or '#' delimiters in name")]
    MultipleDelimiters,
    /// A pool's name begins with a letter.
    #[error("pool doesn't begin with a letter")]
    NoLetter,
    /// A pool's name is none of the words for vdevs.
    #[error("name is reserved")]
    Reserved,
    /// A component is `.`.
    #[error("self reference, '.' is found in name")]
    SelfReference,
    /// A component is `..`.
    #[error("parent reference, '..' is found in name")]
    ParentReference,
}

const fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | ':' | ' ')
}

/// Checks the name of a file system, volume, snapshot or bookmark, as far as its form goes.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_entity_name(name: &str) -> Result<(), NameError> {
    if name.len() > NAME_MAX {
        return Err(NameError::TooLong);
    }
    if name.starts_with('/') {
        return Err(NameError::LeadingSlash);
    }
    let mut rest = name;
    let mut delimited = false;
    loop {
        let end = rest.find(['/', '@', '#']).unwrap_or(rest.len());
        let (component, tail) = rest.split_at(end);
        let delimiter = tail.chars().next();
        if delimiter.is_none() && component.is_empty() && name.ends_with('/') {
            return Err(NameError::TrailingSlash);
        }
        if let Some(bad) = component.chars().find(|&c| !is_name_character(c) && c != '%') {
            return Err(NameError::InvalidCharacter(bad));
        }
        match (component, delimiter) {
            (".", None | Some('/')) => return Err(NameError::SelfReference),
            ("..", None | Some('/')) => return Err(NameError::ParentReference),
            (_, Some('@' | '#')) if delimited => return Err(NameError::MultipleDelimiters),
            ("", _) => return Err(NameError::EmptyComponent),
            (_, None) => return Ok(()),
            (_, Some('/')) if delimited => return Err(NameError::TrailingSlash),
            (_, Some(delimiter)) => delimited |= delimiter != '/',
        }
        rest = tail.get(1..).unwrap_or_default();
    }
}

/// Checks the name of a pool.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_pool_name(name: &str) -> Result<(), NameError> {
    // Room for `/$ORIGIN@$ORIGIN` is kept.
    if name.len() > 239 {
        return Err(NameError::TooLong);
    }
    if let Some(bad) = name.chars().find(|&c| !is_name_character(c)) {
        return Err(NameError::InvalidCharacter(bad));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(NameError::NoLetter);
    }
    match name {
        "mirror" | "raidz" | "draid" => Err(NameError::Reserved),
        _ => Ok(()),
    }
}

/// A name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityName<'a> {
    /// The file system or volume.
    pub dataset: &'a str,
    /// What of it.
    pub part: Part<'a>,
}

/// What of a file system or volume is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it is now.
    Head,
    /// A snapshot, by the name behind `@`.
    Snapshot(&'a str),
    /// A bookmark, by the name behind `#`.
    Bookmark(&'a str),
}

impl<'a> EntityName<'a> {
    /// Takes a name apart. What is no valid name has parts too; nothing is found by them.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        if let Some((dataset, snapshot)) = name.split_once('@') {
            return Self {
                dataset,
                part: Part::Snapshot(snapshot),
            };
        }
        if let Some((dataset, bookmark)) = name.split_once('#') {
            return Self {
                dataset,
                part: Part::Bookmark(bookmark),
            };
        }
        Self {
            dataset: name,
            part: Part::Head,
        }
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &'a str {
        self.dataset.split('/').next().unwrap_or(self.dataset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_refused_for_its_first_fault() {
        for (name, fault) in [
            ("", NameError::EmptyComponent),
            ("/a", NameError::LeadingSlash),
            ("a/", NameError::TrailingSlash),
            ("a//b", NameError::EmptyComponent),
            ("@a", NameError::EmptyComponent),
            ("a@", NameError::EmptyComponent),
            ("a@@b", NameError::MultipleDelimiters),
            ("a@b@c", NameError::MultipleDelimiters),
            ("a@b/c", NameError::TrailingSlash),
            ("a/./b", NameError::SelfReference),
            ("a/..", NameError::ParentReference),
            ("a/b@..", NameError::ParentReference),
            ("a/b$", NameError::InvalidCharacter('$')),
        ] {
            assert_eq!(check_entity_name(name), Err(fault), "{name}");
        }
        assert_eq!(check_entity_name(&"a".repeat(256)), Err(NameError::TooLong));
        for name in ["a", "a/b", "a/b@c d", "a#b", "a/%recv", "a:1/x_y-z.w"] {
            assert_eq!(check_entity_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_pool_is_not_named_after_a_vdev() {
        assert_eq!(check_pool_name("raidz"), Err(NameError::Reserved));
        assert_eq!(check_pool_name("1a"), Err(NameError::NoLetter));
        assert_eq!(check_pool_name("tank/a"), Err(NameError::InvalidCharacter('/')));
        assert_eq!(check_pool_name("tank"), Ok(()));
    }

    #[test]
    fn a_name_has_a_dataset_and_a_part() {
        let name = EntityName::new("tank/a/b@c");
        assert_eq!(
            (name.dataset, name.part, name.pool()),
            ("tank/a/b", Part::Snapshot("c"), "tank")
        );
        assert_eq!(EntityName::new("tank#b").part, Part::Bookmark("b"));
        assert_eq!(EntityName::new("tank").part, Part::Head);
    }
}
