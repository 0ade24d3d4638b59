//! The files of the data directory: atomic writes, checksums, full disks, and the thread that keeps slow disks
//! away from the async tasks.

pub(crate) mod checksum;
pub(crate) mod disk;
pub(crate) mod disk_thread;
pub(crate) mod files;
