//! Pools that OpenZFS's kernel made, to be sent from.

use super::run::{Words, run};
use std::path::{Path, PathBuf};
use zferry_fixtures::{example, target, unpack_image, workspace};

/// A file that the tests of the command have.
pub(crate) fn fixture(name: &str) -> PathBuf {
    workspace().join("crates/zferry/tests/fixtures").join(name)
}

/// The image of a pool with a dataset for each suite and each form of key; `fixtures/vault/make.sh` says what else lies in it.
pub(crate) fn vault() -> PathBuf {
    unpacked("vault/vault")
}

/// The image of a pool with redaction bookmarks and clones, with what was received redacted, and with receives that were
/// interrupted.
pub(crate) fn redacted() -> PathBuf {
    unpacked("redacted")
}

fn unpacked(name: &str) -> PathBuf {
    let image = target().join(name).with_extension("img");
    unpack_image(&fixture(&format!("{name}.img.zst")), &image).unwrap();
    image
}

/// What the pools in a file or folder send.
pub(crate) fn sends(place: &Path, arguments: &(impl Words + ?Sized)) -> Vec<u8> {
    run(place, &[vec!["send".to_owned()], arguments.words()].concat()).bytes()
}

/// What the example pool sends.
pub(crate) fn example_sends(arguments: &(impl Words + ?Sized)) -> Vec<u8> {
    sends(example().unwrap().image(), arguments)
}
