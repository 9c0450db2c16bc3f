//! The smallest operator that the kit's own tests can crash: makes the ConfigMaps `step-1` to `step-3` by server-side
//! apply, one after the other and again on failure, and answers `/readyz`. Ends with 0 on SIGTERM.
//!
//! `small_operator HEALTH_PORT [NAMESPACE]`; with a namespace it takes its API server from `KUBECONFIG`.
#![allow(clippy::expect_used, reason = "a test program")]

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().and_then(|port| port.parse().ok()).expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("listen");
    println!("small_operator listens on {port}");
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM");
    tokio::spawn(health(listener));
    if let Some(namespace) = args.next() {
        tokio::spawn(work(namespace));
    }
    terminate.recv().await;
    println!("small_operator ends");
}

async fn work(namespace: String) {
    test_kit::api_server::install_crypto();
    let client = Client::try_default().await.expect("KUBECONFIG");
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    for step in 1..=3 {
        let name = format!("step-{step}");
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
        while let Err(e) = maps.patch(&name, &PatchParams::apply("small-operator"), &Patch::Apply(&map)).await {
            println!("{name}: {e}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{name}: done");
    }
}

async fn health(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    }
}
