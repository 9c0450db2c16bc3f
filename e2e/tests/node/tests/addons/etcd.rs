//! etcd: a snapshot over the network.

use super::{BUCKET, DIRECTORY, backup, database, environment, prepare, told};

#[tokio::test(flavor = "multi_thread")]
async fn etcd_snapshot_restores_its_keys() {
    let node = database("etcd").await;
    let set = node.action_set("etcd/actionset.yaml").await;
    let fill = "for i in $(seq 1 20); do etcdctl put /key/$i value-$i >/dev/null; done";
    node.exec("etcd-0", &["sh", "-c", fill]);
    let keys = |pod: &str| node.exec(pod, &["sh", "-c", "etcdctl get /key --prefix | md5sum"]);
    for (repository, claim) in [(DIRECTORY, "copy"), (BUCKET, "other")] {
        let before = keys("etcd-0");
        let env = environment(&node, "etcd", "", 2379, claim);
        told(&node.action(&backup(&set, "backup", env.clone(), None), &repository).await);
        node.exec("etcd-0", &["etcdctl", "put", "/key/later", claim]);

        node.new_claim(claim, "hostpath", "256Mi", None).await;
        // Twice: an operator that was killed runs it again on what the first left.
        for _ in 0..2 {
            node.action(&prepare(&set, env.clone(), (claim, "/var/lib/etcd")), &repository).await;
        }
        node.start_on("etcd", claim, claim).await;
        assert_eq!(keys(claim), before);
        assert_ne!(keys("etcd-0"), before);
    }
    node.leave().await;
}
