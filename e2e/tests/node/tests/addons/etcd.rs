//! etcd: a snapshot over the network.

use super::{Repository, database};
use e2e_node::backups::{Request, text};
use e2e_node::repositories::files_below;

#[tokio::test(flavor = "multi_thread")]
async fn etcd_snapshot_restores_its_keys() {
    let node = database("etcd", Repository::Claim).await;
    let fill = "for i in $(seq 1 20); do etcdctl put /key/$i value-$i >/dev/null; done";
    node.exec("etcd-0", &["sh", "-c", fill]);
    let keys = || node.exec("etcd-0", &["sh", "-c", "etcdctl get /key --prefix | md5sum"]);
    let before = keys();
    let backup = node.backup(&Request::new("snapshot", "etcd", "full")).await;
    node.exec("etcd-0", &["etcdctl", "put", "/key/later", "no"]);
    assert_ne!(keys(), before);

    node.lose("etcd").await;
    node.restore("data-etcd-0", "256Mi", "snapshot").await;
    node.revive("etcd").await;
    assert_eq!(keys(), before);

    // Deleted, it takes its files with it, its manifest too.
    let root = node.directory_of_repository(text(&backup["status"]["backupRepoName"])).await;
    node.delete_backups().await;
    assert_eq!(files_below(&root), []);
    node.leave().await;
}
