//! The TLS configuration of the client: the certificates that the machine trusts, and a fixed cryptography provider.
//!
//! The process-wide default provider of rustls belongs to the embedding program and is not changed.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::{Error, Result};

/// Returns the configuration for a URL. Without TLS it trusts no certificate and reads none, so that plain HTTP works on a
/// machine without certificates.
pub(super) fn config(is_https: bool) -> Result<ClientConfig> {
    let unusable = |error| Error::Unavailable(Box::new(error));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = if is_https {
        builder.with_platform_verifier().map_err(unusable)?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
