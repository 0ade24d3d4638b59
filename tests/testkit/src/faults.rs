//! A TCP proxy that stands in a link and breaks it: cuts, silence, delay, a narrow line, flipped bits, no WebSockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bandwidth::Bandwidth;

/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;
/// Bytes that are read at once where they wait for a narrow line: so few that none waits long for its neighbours.
const NARROW_PIECE: usize = 1024;
/// What the kernel may keep of a narrow line, each way: little, so that what does not pass waits with who sent it.
const NARROW_BUFFER: u32 = 8 * 1024;

/// The byte of a piece that is damaged: behind the longest header of a WebSocket frame.
const DAMAGED: usize = 20;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// From whoever dialled to the server.
    Server,
    /// From the server to whoever dialled.
    Client,
}

/// What becomes of a request to go on as a WebSocket. All other requests pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrades {
    /// It passes too.
    #[default]
    Pass,
    /// It is answered with 403, as by a proxy that knows no WebSockets.
    Refuse,
    /// It is never answered.
    Hang,
}

/// What is done to the bytes now.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    /// Connections up to this one are cut.
    cut: u64,
    /// Connections up to this one pass nothing any more and stay open.
    frozen: u64,
    /// Bytes are kept, both ways; nobody is told.
    is_holding: bool,
    /// New connections are closed at once.
    is_refusing: bool,
    upgrades: Upgrades,
    delay: Duration,
    /// What passes in a second, each way; everything where it is not said.
    bytes_per_second: Option<u64>,
}

#[derive(Debug)]
struct ProxyState {
    target: SocketAddr,
    is_narrow: bool,
    faults: watch::Sender<Faults>,
    connections: AtomicU64,
    passed: AtomicU64,
    /// Cut all when this many bytes have passed; `u64::MAX` for never.
    cut_at: AtomicU64,
    /// Damage the next piece on its way to the server.
    damages_to_server: AtomicBool,
    /// Damage the next piece on its way from the server.
    damages_to_client: AtomicBool,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A proxy in front of a server. It ends with its value.
#[derive(Debug)]
pub struct FaultProxy {
    url: String,
    shared: Arc<ProxyState>,
}

impl FaultProxy {
    /// Listens on a free port and passes everything on to the server.
    pub fn start(server_url: &str) -> Self {
        Self::start_with(server_url, None)
    }

    /// Listens on a free port and passes on so many bytes a second, each way. What does not pass waits with who sent it.
    pub fn start_narrow(server_url: &str, bytes_per_second: u64) -> Self {
        Self::start_with(server_url, Some(bytes_per_second))
    }

    fn start_with(server_url: &str, bytes_per_second: Option<u64>) -> Self {
        let target = server_url.strip_prefix("http://").unwrap().parse().unwrap();
        let is_narrow = bytes_per_second.is_some();
        let listener = listen(is_narrow);
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(ProxyState {
            target,
            is_narrow,
            faults: watch::Sender::new(Faults { bytes_per_second, ..Faults::default() }),
            connections: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            cut_at: AtomicU64::new(u64::MAX),
            damages_to_server: AtomicBool::new(false),
            damages_to_client: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        shared.tasks.spawn(shared.stop.clone().run_until_cancelled_owned(accept(listener, shared.clone())));
        Self { url, shared }
    }

    /// Where to connect instead of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Breaks all connections there are now.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Breaks all connections once this many more bytes have passed, both ways together.
    pub fn cut_after(&self, bytes: u64) {
        let at = self.shared.passed.load(Ordering::SeqCst) + bytes;
        self.shared.cut_at.store(at, Ordering::SeqCst);
    }

    /// Keeps all bytes from now on and tells nobody, as a dead peer does; or lets them go again.
    pub fn hold(&self, is_holding: bool) {
        self.shared.faults.send_modify(|faults| faults.is_holding = is_holding);
    }

    /// Keeps all bytes of the connections there are now, for good, and tells nobody; new ones work.
    pub fn freeze(&self) {
        let newest = self.connections();
        self.shared.faults.send_modify(|faults| faults.frozen = newest);
    }

    /// Breaks the connections that were frozen.
    pub fn cut_frozen(&self) {
        self.shared.faults.send_modify(|faults| faults.cut = faults.frozen);
    }

    /// Closes new connections at once; or accepts them again.
    pub fn refuse(&self, is_refusing: bool) {
        self.shared.faults.send_modify(|faults| faults.is_refusing = is_refusing);
    }

    /// Flips one bit in the payload of the next message that goes this way. A text is none any more after that.
    pub fn corrupt(&self, toward: Toward) {
        self.shared.damages(toward).store(true, Ordering::SeqCst);
    }

    /// Whether the bit that was to be flipped still waits for a message.
    pub fn is_corrupting(&self, toward: Toward) -> bool {
        self.shared.damages(toward).load(Ordering::SeqCst)
    }

    /// Treats new WebSockets like this from now on; what is open stays.
    pub fn upgrades(&self, upgrades: Upgrades) {
        self.shared.faults.send_modify(|faults| faults.upgrades = upgrades);
    }

    /// Lets every piece wait on its way.
    pub fn delay(&self, delay: Duration) {
        self.shared.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Lets so many bytes a second pass, each way; or all of them.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        self.shared.faults.send_modify(|faults| faults.bytes_per_second = bytes_per_second);
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes have passed, both ways together.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl ProxyState {
    fn damages(&self, toward: Toward) -> &AtomicBool {
        match toward {
            Toward::Server => &self.damages_to_server,
            Toward::Client => &self.damages_to_client,
        }
    }

    /// Damages a piece that is long enough to carry more than headers, where that was asked for.
    fn damage(&self, toward: Toward, piece: &mut [u8]) {
        if piece.len() > DAMAGED && self.damages(toward).swap(false, Ordering::SeqCst) {
            // The top bit: ASCII text with it is not UTF-8 any more.
            piece[DAMAGED] ^= 0x80;
        }
    }

    fn cut(&self) {
        let newest = self.connections.load(Ordering::SeqCst);
        self.faults.send_modify(|faults| faults.cut = newest);
    }

    fn count(&self, bytes: usize) {
        let passed = self.passed.fetch_add(bytes as u64, Ordering::SeqCst) + bytes as u64;
        let is_due = passed >= self.cut_at.load(Ordering::SeqCst);
        // Both directions may get here at once: one of them cuts.
        if is_due && self.cut_at.swap(u64::MAX, Ordering::SeqCst) != u64::MAX {
            self.cut();
        }
    }
}

fn socket(is_narrow: bool) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    if is_narrow {
        socket.set_recv_buffer_size(NARROW_BUFFER).unwrap();
        socket.set_send_buffer_size(NARROW_BUFFER).unwrap();
    }
    socket
}

/// Listens on a free port. Accepted connections have the buffers of their listener.
fn listen(is_narrow: bool) -> TcpListener {
    let socket = socket(is_narrow);
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket.listen(1024).unwrap()
}

async fn accept(listener: TcpListener, shared: Arc<ProxyState>) {
    loop {
        let (incoming, _) = listener.accept().await.unwrap();
        if shared.faults.borrow().is_refusing {
            continue;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let connection = pass(number, incoming, shared.clone());
        shared.tasks.spawn(shared.stop.clone().run_until_cancelled_owned(connection));
    }
}

/// Passes bytes both ways until either side ends or the connection is cut. Connections count from one.
async fn pass(number: u64, incoming: TcpStream, shared: Arc<ProxyState>) {
    let mut faults = shared.faults.subscribe();
    let upgrades = faults.borrow().upgrades;
    if upgrades != Upgrades::Pass && wants_upgrade(&incoming).await {
        tokio::select! {
            () = block(incoming, upgrades) => {}
            _ = faults.wait_for(|faults| faults.cut >= number) => {}
        }
        return;
    }
    let Ok(outgoing) = socket(shared.is_narrow).connect(shared.target).await else {
        return;
    };
    // Nagle's algorithm would add a delay that no test asked for.
    incoming.set_nodelay(true).ok();
    outgoing.set_nodelay(true).ok();
    let (from_client, to_client) = incoming.into_split();
    let (from_server, to_server) = outgoing.into_split();
    tokio::select! {
        () = copy(number, Toward::Server, from_client, to_server, &shared) => {}
        () = copy(number, Toward::Client, from_server, to_client, &shared) => {}
        _ = faults.wait_for(|faults| faults.cut >= number) => {}
    }
}

/// Whether a connection begins with a request to become a WebSocket. Nothing of it is taken away.
async fn wants_upgrade(incoming: &TcpStream) -> bool {
    let mut head = vec![0; PIECE];
    loop {
        let Ok(len @ 1..) = incoming.peek(&mut head).await else { return false };
        let text = String::from_utf8_lossy(&head[..len]).to_ascii_lowercase();
        if text.contains("\r\n\r\n") || len == head.len() {
            return text.contains("upgrade: websocket");
        }
        // `peek` returns at once with the part that is there, and would spin until the rest arrives.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Does to the connection what is done to WebSockets.
async fn block(mut incoming: TcpStream, upgrades: Upgrades) {
    let mut request = vec![0; PIECE];
    drop(incoming.read(&mut request).await);
    if upgrades == Upgrades::Refuse {
        let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        drop(incoming.write_all(refusal).await);
        drop(incoming.shutdown().await);
    }
    // Open until whoever dialled gives up.
    while let Ok(1..) = incoming.read(&mut request).await {}
}

/// Passes bytes one way, and the end behind them: where nothing flows, nobody hears of that either.
async fn copy(
    number: u64,
    toward: Toward,
    from: impl AsyncReadExt + Unpin,
    to: impl AsyncWriteExt + Unpin,
    shared: &ProxyState,
) {
    copy_bytes(number, toward, from, to, shared).await;
    // Also the end of the connection is held back, as by a network that delivers nothing.
    let flows = |faults: &Faults| !faults.is_holding && faults.frozen < number;
    shared.faults.subscribe().wait_for(flows).await.ok();
}

async fn copy_bytes(
    number: u64,
    toward: Toward,
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    shared: &ProxyState,
) {
    let mut faults = shared.faults.subscribe();
    let mut line = Bandwidth::default();
    let begin = Instant::now();
    let mut buffer = vec![0; if shared.is_narrow { NARROW_PIECE } else { PIECE }];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let Ok(now) =
            faults.wait_for(|faults| !faults.is_holding && faults.frozen < number).await.map(|faults| *faults)
        else {
            return;
        };
        let wait = now.bytes_per_second.map_or(Duration::ZERO, |rate| line.pass(begin.elapsed(), len, rate));
        if !(wait + now.delay).is_zero() {
            tokio::time::sleep(wait + now.delay).await;
        }
        shared.damage(toward, &mut buffer[..len]);
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
        shared.count(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says so many bytes to everybody, and how long the first caller took to read them.
    async fn reading(bytes: usize, bytes_per_second: u64) -> Duration {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let proxy = FaultProxy::start_narrow(&url, bytes_per_second);
        let mut client = TcpStream::connect(proxy.url().strip_prefix("http://").unwrap()).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        let begin = Instant::now();
        let mut read = vec![0; bytes];
        let all = vec![7; bytes];
        let (written, read) = tokio::join!(accepted.write_all(&all), client.read_exact(&mut read));
        written.unwrap();
        read.unwrap();
        begin.elapsed()
    }

    #[tokio::test]
    async fn a_narrow_line_passes_what_it_can_and_no_more() {
        let took = reading(100_000, 200_000).await;
        assert!((Duration::from_millis(450)..Duration::from_secs(2)).contains(&took), "{took:?}");
    }

    #[tokio::test]
    async fn what_does_not_pass_waits_with_who_sent_it() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let proxy = FaultProxy::start_narrow(&url, 1_000);
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(NARROW_BUFFER).unwrap();
        let mut client = socket.connect(proxy.url().strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
        let flood = vec![0; 500_000];
        let flooding = client.write_all(&flood);
        assert!(tokio::time::timeout(Duration::from_millis(500), flooding).await.is_err(), "the flood went somewhere");
        assert!(proxy.passed() < 2_000);
    }
}
