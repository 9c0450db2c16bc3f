//! HTTP for the second-tier stores: the client and the trust of the S3 store.

use std::time::Duration;

use ureq::Agent;

use crate::store::s3::tls;

const CONNECT: Duration = Duration::from_secs(20);
/// A connection on which nothing moves for so long is dead.
const IDLE: Duration = Duration::from_secs(120);
/// Committing a large upload takes servers minutes.
const ANSWER: Duration = Duration::from_secs(300);

/// A client.
pub fn agent(https: bool, verify: bool) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .user_agent(concat!("datasafed/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT))
        .timeout_per_write(Some(IDLE))
        .timeout_recv_response(Some(ANSWER))
        .timeout_per_read(Some(IDLE))
        .max_idle_connections(16)
        .max_idle_connections_per_host(16)
        .input_buffer_size(64 * 1024)
        .output_buffer_size(64 * 1024)
        .tls_config(tls::config(https, verify))
        .build()
        .new_agent()
}

/// Whether TLS could not be agreed on.
pub fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => {
            error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        }
        _ => false,
    }
}

/// What to say about it.
pub fn said(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => crate::error::plain(error),
        other => other.to_string(),
    }
}
