//! Opens the TCP connection of a link, with the options that a terminal needs.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::connect_failure::ConnectFailure;

/// Bytes that the kernel accepts before the network has taken them. The echo of a keystroke waits behind them; with the
/// kernel's default this is seconds on a slow line.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT: u32 = 16 * 1024;

/// Connects to the first address that answers.
pub(super) async fn connect(host_and_port: &str) -> Result<TcpStream, ConnectFailure> {
    let mut last_error = None;
    let addresses = lookup_host(host_and_port).await.map_err(|error| ConnectFailure::of_lookup(&error))?;
    // In turn and in the order of the resolver: a host may announce IPv6 that leads nowhere.
    for address in addresses {
        match connect_to(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.map_or_else(
        || ConnectFailure::UnknownHost("it has no address".into()),
        |error: io::Error| ConnectFailure::of(&error),
    ))
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A keystroke is one small packet and must not wait for others.
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT)?;
    Ok(stream)
}
