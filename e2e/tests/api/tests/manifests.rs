//! Every CRD of the charts is established, and every manifest of the contract is accepted as it stands.

use test_kit::ApiServer;
use xtask::server::{Target, run};

#[tokio::test]
async fn the_api_server_accepts_every_manifest() {
    let server = ApiServer::builder().without_controllers().start().await;
    let target = Target::Kubeconfig(server.admin_kubeconfig().to_path_buf());
    // It has a runtime of its own.
    let accepted = tokio::task::spawn_blocking(move || run(&target)).await.expect("no panic");
    assert!(accepted.expect("the API server answers"), "see the lines above");
}
