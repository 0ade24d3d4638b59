//! Serves one open link over its WebSocket: reads and decodes, encodes and writes, and detects a silent server.

use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use hive_wire::agent::close;
use hive_wire::frame::Frame;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;

use super::{LinkSocket, close_reason, connection_lost, encode};
use crate::protocol::DisconnectReason;
use crate::protocol::link::{LinkProtocol, ProblemCheck};

/// Heartbeat intervals without any message after which the link counts as lost.
const MISSED_HEARTBEATS: u32 = 3;
/// How long a link that ends may take to send its last messages.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest reason of a close frame: a control frame holds 125 bytes, two of which are the code.
const MAX_REASON: usize = 123;

/// Serves an open link until it ends.
pub(crate) async fn serve(
    mut protocol: LinkProtocol<'_>,
    checks: mpsc::Receiver<ProblemCheck>,
    socket: LinkSocket,
    heartbeat_interval: Duration,
    stop: &CancellationToken,
) -> DisconnectReason {
    let (mut sink, stream) = socket.split();
    let end = exchange(&mut protocol, checks, &mut sink, stream, heartbeat_interval, stop).await;
    if let DisconnectReason::ProtocolViolation(reason) = &end {
        close_with_error(&mut sink, reason).await;
    }
    end
}

async fn exchange(
    protocol: &mut LinkProtocol<'_>,
    mut checks: mpsc::Receiver<ProblemCheck>,
    sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    mut stream: impl Stream<Item = Result<Message, SocketError>> + Unpin,
    heartbeat_interval: Duration,
    stop: &CancellationToken,
) -> DisconnectReason {
    let (dirty_commands, dirty_sessions) = (protocol.dirty_commands(), protocol.dirty_sessions());
    let max_silence = heartbeat_interval * MISSED_HEARTBEATS;
    let mut silence_timer = pin!(tokio::time::sleep(max_silence));
    let mut is_flushed = true;
    loop {
        protocol.fill();
        tokio::select! {
            // Cancelled only after commands and sessions have ended, so that their ends are still sent.
            () = stop.cancelled() => return send_shutdown(protocol, sink).await,
            sent = std::future::poll_fn(|context| send_next(sink, protocol, &mut is_flushed, context)) => {
                if let Err(error) = sent {
                    return connection_lost(&error);
                }
            }
            // While there is no room for answers nothing is read, so TCP slows the server down.
            message = stream.next(), if protocol.has_room() => {
                // Any message counts as a sign of life, including pongs.
                silence_timer.as_mut().reset(Instant::now() + max_silence);
                if let Err(end) = on_message(protocol, message) {
                    return end;
                }
            }
            Some(check) = checks.recv(), if protocol.has_room() => protocol.on_check(check),
            ids = dirty_sessions.take() => protocol.on_session_progress(ids),
            ids = dirty_commands.take() => protocol.on_command_progress(ids),
            () = &mut silence_timer => {
                return DisconnectReason::lost(format!("no message from the server for {} s", max_silence.as_secs()));
            }
        }
    }
}

fn on_message(
    protocol: &mut LinkProtocol<'_>,
    message: Option<Result<Message, SocketError>>,
) -> Result<(), DisconnectReason> {
    match message {
        Some(Ok(Message::Text(json))) => match serde_json::from_str(&json) {
            Ok(message) => protocol.on_control(message),
            // The unreadable message may have been a command. A new link makes the server deliver it again.
            Err(error) => Err(DisconnectReason::ProtocolViolation(message_fault(&error))),
        },
        Some(Ok(Message::Binary(bytes))) => on_binary(protocol, bytes),
        Some(Ok(Message::Pong(_))) => {
            protocol.on_pong();
            Ok(())
        }
        Some(Ok(Message::Close(frame))) => Err(close_reason(frame)),
        // The socket answers pings by itself.
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(read_error(error)),
        None => Err(DisconnectReason::lost("the server closed the connection")),
    }
}

/// What is wrong with a control message.
fn message_fault(error: &serde_json::Error) -> String {
    if error.is_data() {
        // The name of the field is the only hint at a version that does not fit.
        return format!("the server sent a message that is not one of the protocol: {error}");
    }
    let (line, column) = (error.line(), error.column());
    format!("the server sent a message that is not JSON (line {line}, column {column})")
}

fn on_binary(protocol: &mut LinkProtocol<'_>, bytes: Bytes) -> Result<(), DisconnectReason> {
    let frame = Frame::decode(bytes).map_err(|error| DisconnectReason::ProtocolViolation(error.to_string()))?;
    protocol.on_data(&frame)
}

/// Sends everything that is ready, and then the disconnect message.
async fn send_shutdown(
    protocol: &mut LinkProtocol<'_>,
    sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
) -> DisconnectReason {
    let last_messages = async {
        protocol.advance_all();
        loop {
            protocol.fill();
            let Some(message) = protocol.pop() else { break };
            sink.feed(encode(message)?).await?;
        }
        sink.feed(encode(LinkProtocol::disconnect())?).await?;
        sink.close().await
    };
    // A server that does not get the message detects the closed connection.
    drop(tokio::time::timeout(CLOSE_TIMEOUT, last_messages).await);
    DisconnectReason::Stopped
}

/// Whether the server violated the protocol or the connection broke.
fn read_error(error: SocketError) -> DisconnectReason {
    match error {
        // Tungstenite reports a closed TCP connection as a protocol error.
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => connection_lost(&error),
        SocketError::Protocol(_) | SocketError::Utf8(_) | SocketError::Capacity(_) => {
            DisconnectReason::ProtocolViolation(error.to_string())
        }
        error => connection_lost(&error),
    }
}

/// Closes the link with the reason, if the server still reads.
async fn close_with_error(sink: &mut (impl Sink<Message, Error = SocketError> + Unpin), reason: &str) {
    // Half a character at the end would make the close frame invalid.
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let close = CloseFrame { code: close::PROTOCOL_ERROR.into(), reason: reason.into() };
    drop(tokio::time::timeout(CLOSE_TIMEOUT, sink.send(Message::Close(Some(close)))).await);
}

/// Passes one message to the socket, or flushes it if there is none. Every step completes within one poll, so that
/// nothing is lost when another branch of the `select!` is taken.
fn send_next(
    sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    protocol: &mut LinkProtocol<'_>,
    is_flushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Result<(), SocketError>> {
    // No message leaves the scheduler before the socket has room: what waits there can still be overtaken.
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
