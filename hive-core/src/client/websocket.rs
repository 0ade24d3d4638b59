//! WebSocket connections to a hive: TCP, TLS, and the upgrade with the caller's credential.

use std::time::Duration;

use hive_wire::frame::{HEADER_LEN, MAX_PAYLOAD};
use reqwest::Url;
use reqwest::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::transport::{CONNECT_TIMEOUT, Transport};
use crate::{Error, Result};

/// How long TLS and the upgrade may take.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of one message: more than a full frame and than any control message.
const MAX_MESSAGE: usize = 2 * (HEADER_LEN + MAX_PAYLOAD);

pub(super) type ClientSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Transport {
    /// Opens a socket at a path below the base URL.
    pub(super) async fn open_socket(&self, path: &[&str], protocol: &'static str) -> Result<ClientSocket> {
        let url = self.url(path);
        let connected = timeout(CONNECT_TIMEOUT, connect(&url)).await.map_err(|_| self.cut_off("it did not answer"))?;
        let connection = connected.map_err(|error| self.cut_off(&error))?;
        let request = self.upgrade_request(url, protocol)?;
        // Messages are written as they come, without collecting them in a buffer first.
        let limits = WebSocketConfig::default()
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let trust = Some(Connector::Rustls(self.tls()));
        // Boxed, because the future of a TLS handshake is large and would become part of every caller's future.
        let upgrade = Box::pin(client_async_tls_with_config(request, connection, Some(limits), trust));
        let upgraded =
            timeout(UPGRADE_TIMEOUT, upgrade).await.map_err(|_| self.cut_off("it did not answer in time"))?;
        upgraded.map(|(socket, _)| socket).map_err(|error| self.refused(error))
    }

    fn upgrade_request(&self, mut url: Url, protocol: &'static str) -> Result<Request> {
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).map_err(|()| Error::invalid("url", "cannot carry a WebSocket"))?;
        let mut request = url.as_str().into_client_request().map_err(Error::internal)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        if let Some((name, value)) = self.authorization() {
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    fn refused(&self, error: SocketError) -> Error {
        match error {
            SocketError::Http(response) => {
                let body = response.body().as_deref().unwrap_or_default();
                match self.failure(response.status(), body) {
                    // The body of a refused upgrade may be missing. The status alone is enough here.
                    Error::Other(_) if response.status() == 401 => Error::AuthInvalid,
                    error => error,
                }
            }
            error => self.cut_off(&error),
        }
    }

    fn cut_off(&self, cause: &(impl ToString + ?Sized)) -> Error {
        Error::Unavailable(format!("cannot reach {}: {}", self.base(), cause.to_string()).into())
    }
}

async fn connect(url: &Url) -> std::io::Result<TcpStream> {
    let host = url.host_str().unwrap_or_default();
    // A URL has an IPv6 address in brackets. The resolver takes it without them.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();
    let connection = TcpStream::connect((host, port)).await?;
    // Nagle's algorithm would delay a keystroke until the one before is acknowledged.
    connection.set_nodelay(true)?;
    Ok(connection)
}
