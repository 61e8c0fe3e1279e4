//! The dataset and snapshot layer: directories, datasets, snapshots, clones, bookmarks, properties, holds.
