//! The hive's own secrets.
