//! One open link over its WebSocket: reads and decodes, encodes and writes, and watches for the server's silence.

use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use hive_wire::agent::close;
use hive_wire::frame::Frame;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;

use super::{Socket, closed, encode};
use crate::protocol::LinkEnd;
use crate::protocol::link::LinkProtocol;

/// How many heartbeat intervals the server may be silent.
const MISSED_HEARTBEATS: u32 = 3;
/// How long a link that ends may take to send its last messages.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest reason of a close frame: a control frame holds 125 bytes, two of them the code.
const MAX_REASON: usize = 123;

/// Serves an open link until it ends.
pub(crate) async fn serve(
    mut protocol: LinkProtocol<'_>,
    socket: Socket,
    heartbeat_interval: Duration,
    stop: &CancellationToken,
) -> LinkEnd {
    let (mut sink, stream) = socket.split();
    let end = exchange(&mut protocol, &mut sink, stream, heartbeat_interval, stop).await;
    if let LinkEnd::Broken(reason) = &end {
        close_with_error(&mut sink, reason).await;
    }
    end
}

async fn exchange(
    protocol: &mut LinkProtocol<'_>,
    sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    mut stream: impl Stream<Item = Result<Message, SocketError>> + Unpin,
    heartbeat_interval: Duration,
    stop: &CancellationToken,
) -> LinkEnd {
    let (dirty_commands, dirty_terminals) = (protocol.dirty_commands(), protocol.dirty_terminals());
    let max_silence = heartbeat_interval * MISSED_HEARTBEATS;
    let mut silence = pin!(tokio::time::sleep(max_silence));
    let mut is_flushed = true;
    loop {
        protocol.fill();
        tokio::select! {
            () = stop.cancelled() => return say_goodbye(protocol, sink).await,
            sent = std::future::poll_fn(|context| send_next(sink, protocol, &mut is_flushed, context)) => {
                if let Err(error) = sent {
                    return LinkEnd::lost(error.to_string());
                }
            }
            // Nothing is read while there is no room for the answers: the server then waits for TCP.
            message = stream.next(), if protocol.has_room() => {
                silence.as_mut().reset(Instant::now() + max_silence);
                if let Err(end) = on_message(protocol, message) {
                    return end;
                }
            }
            ids = dirty_terminals.take() => protocol.on_terminal_progress(ids),
            ids = dirty_commands.take() => protocol.on_command_progress(ids),
            () = &mut silence => {
                return LinkEnd::lost(format!("no word from the server for {} s", max_silence.as_secs()));
            }
        }
    }
}

fn on_message(protocol: &mut LinkProtocol<'_>, message: Option<Result<Message, SocketError>>) -> Result<(), LinkEnd> {
    match message {
        Some(Ok(Message::Text(json))) => match serde_json::from_str(&json) {
            Ok(message) => protocol.on_control(message),
            // It may have been a command: only a new link delivers that again.
            Err(error) => Err(LinkEnd::Broken(format!("the server sent what cannot be read: {error}"))),
        },
        Some(Ok(Message::Binary(bytes))) => on_binary(protocol, bytes),
        Some(Ok(Message::Pong(_))) => {
            protocol.on_pong();
            Ok(())
        }
        Some(Ok(Message::Close(frame))) => Err(closed(frame)),
        // The socket answers pings by itself.
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(broken_or_lost(error)),
        None => Err(LinkEnd::lost("the server hung up")),
    }
}

fn on_binary(protocol: &mut LinkProtocol<'_>, bytes: Bytes) -> Result<(), LinkEnd> {
    let frame = Frame::decode(bytes).map_err(|error| LinkEnd::Broken(error.to_string()))?;
    protocol.on_data(&frame)
}

/// Sends what is ready, and that the satellite goes.
async fn say_goodbye(
    protocol: &mut LinkProtocol<'_>,
    sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
) -> LinkEnd {
    let last_words = async {
        protocol.advance_all();
        loop {
            protocol.fill();
            let Some(message) = protocol.pop() else { break };
            sink.feed(encode(message)?).await?;
        }
        sink.feed(encode(LinkProtocol::disconnect())?).await?;
        sink.close().await
    };
    // The server copes with a satellite that goes without a word.
    drop(tokio::time::timeout(CLOSE_TIMEOUT, last_words).await);
    LinkEnd::Stopped
}

/// Whether the server broke the protocol, or the network the connection.
fn broken_or_lost(error: SocketError) -> LinkEnd {
    match error {
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => LinkEnd::lost(error.to_string()),
        SocketError::Protocol(_) | SocketError::Utf8(_) | SocketError::Capacity(_) => {
            LinkEnd::Broken(error.to_string())
        }
        error => LinkEnd::lost(error.to_string()),
    }
}

/// Tells the server why the link ends, if it still reads.
async fn close_with_error(sink: &mut (impl Sink<Message, Error = SocketError> + Unpin), reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let close = CloseFrame { code: close::PROTOCOL_ERROR.into(), reason: reason.into() };
    drop(tokio::time::timeout(CLOSE_TIMEOUT, sink.send(Message::Close(Some(close)))).await);
}

/// Hands one message to the socket, or flushes it if there is none. Every step is complete within one poll, so that
/// nothing is lost when another branch of the `select!` is taken.
fn send_next(
    sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    protocol: &mut LinkProtocol<'_>,
    is_flushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Result<(), SocketError>> {
    ready!(sink.poll_ready_unpin(context))?;
    if let Some(message) = protocol.pop() {
        *is_flushed = false;
        return Poll::Ready(encode(message).and_then(|message| sink.start_send_unpin(message)));
    }
    if *is_flushed {
        return Poll::Pending;
    }
    ready!(sink.poll_flush_unpin(context))?;
    *is_flushed = true;
    Poll::Ready(Ok(()))
}
