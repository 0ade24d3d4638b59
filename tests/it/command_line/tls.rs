//! A hive behind a proxy that speaks TLS, with a certificate of an authority that nobody knows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// The proxy. It ends with its value.
pub(super) struct TlsFront {
    pub(super) url: String,
    /// The file to trust.
    pub(super) certificate: PathBuf,
    _serving: JoinSet<()>,
}

impl TlsFront {
    /// Passes everything on to `behind`, an `http://` URL; the certificate is written into `dir`.
    pub(super) async fn start(behind: &str, dir: &Path) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = dir.join("authority.pem");
        std::fs::write(&certificate, cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), behind.replace("http://", "")));
        Self { url, certificate, _serving: serving }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    let mut passing = JoinSet::new();
    while let Ok((caller, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        passing.spawn(async move {
            let mut caller = acceptor.accept(caller).await?;
            let mut hive = TcpStream::connect(behind).await?;
            tokio::io::copy_bidirectional(&mut caller, &mut hive).await
        });
    }
}
