//! The files of the data directory: atomic writes, checksums, full disks.

pub(crate) mod checksum;
pub(crate) mod disk;
pub(crate) mod files;
