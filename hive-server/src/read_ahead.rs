//! A connection that reads ahead for small reads, without a buffer of its own while it is idle.
//!
//! A WebSocket keeps its read buffer for as long as it is open, and a server holds thousands that are idle. Their buffers are
//! therefore small, and a large message would take many reads of the socket. Here a small read takes up to [`SCRATCH`] bytes
//! from the socket at once, into a buffer that all connections of a thread share. What the caller has no room for is kept until
//! the next read; an idle connection has nothing to keep.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The most bytes that are taken from a socket at once: a full data frame.
const SCRATCH: usize = 64 * 1024;
/// A caller with so much room reads the socket itself, without a copy.
const DIRECT: usize = 4096;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    stream: TcpStream,
    /// What was taken from the socket and not read yet.
    rest: Bytes,
}

impl ReadAhead {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, rest: Bytes::new() }
    }

    /// Takes from the socket what is there, and gives the caller as much of it as there is room for.
    fn poll_take(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        BUFFER.with_borrow_mut(|scratch| {
            let mut taken = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut taken))?;
            let (now, later) = taken.filled().split_at(buffer.remaining().min(taken.filled().len()));
            buffer.put_slice(now);
            if !later.is_empty() {
                self.rest = Bytes::copy_from_slice(later);
            }
            Poll::Ready(Ok(()))
        })
    }

    fn read_rest(&mut self, buffer: &mut ReadBuf<'_>) {
        let len = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(len));
        if self.rest.is_empty() {
            // An empty slice of the memory would keep all of it.
            self.rest = Bytes::new();
        }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.rest.is_empty() {
            self.read_rest(buffer);
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() >= DIRECT {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        self.poll_take(context, buffer)
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Returns both ends of a connection.
    async fn connection() -> (ReadAhead, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (ReadAhead::new(listener.accept().await.unwrap().0), peer)
    }

    #[tokio::test]
    async fn reads_of_any_size_give_all_bytes_in_order() {
        let (mut reader, mut peer) = connection().await;
        let sent: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let sending = async move {
            peer.write_all(&sent).await.unwrap();
            // Dropped here: the reader gets the end of the stream after the last byte.
        };
        let reading = async move {
            let mut received = Vec::new();
            for size in [1, 14, 512, 4095, DIRECT, SCRATCH].into_iter().cycle() {
                let mut piece = vec![0; size];
                match reader.read(&mut piece).await.unwrap() {
                    0 => return received,
                    len => received.extend_from_slice(&piece[..len]),
                }
            }
            received
        };
        let ((), received) = tokio::join!(sending, reading);
        assert!(received == expected, "{} bytes", received.len());
    }

    #[tokio::test]
    async fn nothing_is_kept_once_all_is_read() {
        let (mut reader, mut peer) = connection().await;
        peer.write_all(&[7; 1000]).await.unwrap();
        let mut piece = [0; 600];
        reader.read_exact(&mut piece).await.unwrap();
        // The rest may have come later than the first read.
        reader.read_exact(&mut piece[..400]).await.unwrap();
        assert_eq!(reader.rest.len(), 0);
        assert!(futures_util::poll!(Box::pin(reader.read_u8())).is_pending());
    }
}
