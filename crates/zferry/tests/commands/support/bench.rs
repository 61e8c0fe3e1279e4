//! A pool of a test's own.

use super::run::{Ran, Words, run, run_with};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a pool on one file in it, and whatever else a test puts there.
pub(crate) struct Bench {
    folder: TempDir,
    pool: &'static str,
}

impl Bench {
    /// An empty pool `tank`.
    pub(crate) fn new() -> Self {
        Self::named("tank")
    }

    /// An empty pool of this name.
    pub(crate) fn named(pool: &'static str) -> Self {
        let bench = Self::without_pool(pool);
        let image = bench.image().display().to_string();
        bench.does(&["pool", "create", "--size", "256M", pool, &image]);
        bench
    }

    /// No pool yet: [`creates`](Self::creates) is to make it.
    pub(crate) fn without_pool(pool: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, pool }
    }

    /// The folder, in which the command looks for pools.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The file that holds the pool.
    pub(crate) fn image(&self) -> PathBuf {
        self.path("pool.img")
    }

    pub(crate) fn run(&self, arguments: &(impl Words + ?Sized)) -> Ran {
        run(self.folder(), arguments)
    }

    /// What a command prints that must succeed.
    pub(crate) fn does(&self, arguments: &(impl Words + ?Sized)) -> String {
        self.run(arguments).succeeds()
    }

    /// What a command says that must fail.
    pub(crate) fn fails(&self, arguments: &(impl Words + ?Sized)) -> String {
        self.run(arguments).fails()
    }

    /// What the pool sends.
    pub(crate) fn sends(&self, arguments: &(impl Words + ?Sized)) -> Vec<u8> {
        super::sends(self.folder(), arguments)
    }

    /// Receives into the pool.
    pub(crate) fn receive(&self, arguments: &(impl Words + ?Sized), stream: &[u8]) -> Ran {
        let words = [vec!["receive".to_owned()], arguments.words()].concat();
        run_with(self.folder(), &words, stream)
    }

    /// Receives into the pool, and makes it first where there is none.
    pub(crate) fn creates(&self, arguments: &(impl Words + ?Sized), stream: &[u8]) -> Ran {
        let image = self.image().display().to_string();
        let create = ["--size", "256M", "--create", &image].words();
        self.receive(&[create, arguments.words()].concat(), stream)
    }

    /// The value of a property.
    pub(crate) fn get(&self, property: &str, dataset: &str) -> String {
        let said = self.does(&format!("get -Hpo value {property} {dataset}"));
        said.trim_end().to_owned()
    }

    /// The names of everything in the pool, in the order of `list`.
    pub(crate) fn names(&self) -> Vec<String> {
        let said = self.does(&["list", "-Hr", "-t", "all", "-o", "name", self.pool]);
        said.lines().map(str::to_owned).collect()
    }

    /// Whether every block, counter and reference of the pool is right, as it must.
    pub(crate) fn is_sound(&self) {
        self.does(&["pool", "check", "-c", self.pool]);
    }
}
