//! Reads one output of a process into its spool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::spool::SpoolWriter;

/// The largest chunk read from a pipe at once.
const PIECE: usize = 32 * 1024;

/// One of a process's outputs until its end.
pub(super) struct OutputPipe {
    pub(super) reader: Option<pipe::Receiver>,
    /// The pipe is not read, because the spool has no room or its disk has not answered.
    pub(super) is_blocked: Arc<AtomicBool>,
}

impl OutputPipe {
    pub(super) fn new(reader: Option<pipe::Receiver>) -> Self {
        Self { reader, is_blocked: Arc::default() }
    }
}

/// Reads a pipe to its end, whatever happens to the bytes. The process is blocked only while the disk does not answer,
/// and while its output is kept in memory, on a full disk, and the server has not read it.
pub(super) async fn store_output(pipe: &mut OutputPipe, writer: &mut SpoolWriter, on_growth: impl Fn(u64)) {
    let Some(reader) = &mut pipe.reader else { return };
    // Allocated as needed: a thousand commands that wait for output must not cost megabytes.
    let mut piece = BytesMut::new();
    loop {
        pipe.is_blocked.store(true, Ordering::Relaxed);
        writer.room().await;
        pipe.is_blocked.store(false, Ordering::Relaxed);
        // The first read is small: most commands write less than 1 KiB, or nothing.
        piece.reserve(if piece.capacity() == 0 { 1024 } else { PIECE });
        match reader.read_buf(&mut piece).await {
            // An error of a pipe has no remedy, and the exit code still tells how the process ended.
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let before = writer.len();
                pipe.is_blocked.store(true, Ordering::Relaxed);
                let len = writer.append(piece.split().freeze()).await;
                pipe.is_blocked.store(false, Ordering::Relaxed);
                // Output beyond the limit does not grow the spool, and the link need not be woken.
                if len > before {
                    on_growth(len);
                }
            }
        }
    }
    pipe.reader = None;
}
