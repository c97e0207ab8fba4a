//! TLS for outbound connections: ring, and the certificate store of the operating system.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// The configuration both HTTP clients share, built once.
///
/// A machine without a certificate store still reaches loopback servers over http; there every https
/// connection fails with an unknown issuer, and the log says why.
pub fn tls_config() -> Arc<ClientConfig> {
    static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| Arc::new(build()));
    Arc::clone(&CONFIG)
}

fn build() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    // `with_safe_default_protocol_versions` fails only for a provider without usable suites.
    #[expect(
        clippy::expect_used,
        reason = "the ring provider always has TLS 1.2 and 1.3 suites"
    )]
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3");
    match Verifier::new(provider) {
        Ok(verifier) => {
            let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth()
        }
        Err(error) => {
            tracing::error!(
                %error,
                "no trusted certificates: https servers cannot be verified and will be refused; \
                 install the system's CA certificates (Debian: ca-certificates) and restart"
            );
            builder
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth()
        }
    }
}
