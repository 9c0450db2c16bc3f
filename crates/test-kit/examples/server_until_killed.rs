//! Starts an API server, prints its directory and process ids in one line, and waits to be killed: for the test that
//! nothing outlives a killed test process.
#![allow(clippy::expect_used, reason = "a test program")]

use test_kit::{ApiServer, Component};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = ApiServer::builder().without_controllers().start().await;
    let ids = [Component::Etcd, Component::ApiServer].map(|c| server.process_id(c).expect("it runs").to_string());
    println!("STARTED {} {}", server.dir().display(), ids.join(" "));
    std::future::pending::<()>().await;
}
