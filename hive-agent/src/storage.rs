//! The files of the data directory: written whole or not at all, with checksums, on a disk that may be full.

pub(crate) mod checksum;
pub(crate) mod disk;
pub(crate) mod files;
