//! Claims that name a Backup: how they are filled, what they wait for, what fails them.

use e2e_api::objects::{self, completed_backup, prepare_data, until_restore};
use e2e_api::{IMMEDIATE, stage};
use kube::ResourceExt;
use test_kit::builders::Claim;

#[tokio::test]
async fn restore_21_a_claim_gets_the_volume_that_was_filled() {
    let (stage, company) = stage("happy").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    Claim::new("data", IMMEDIATE)
        .from_backup("b")
        .create(&stage.client, &stage.namespace)
        .await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    let volume = objects::volume_of(&stage, &claim).await;
    let holder = volume
        .spec
        .as_ref()
        .and_then(|s| s.claim_ref.clone())
        .unwrap();
    assert_eq!(holder.uid, claim.uid());
    assert_eq!(
        volume.annotations()["dataprotection.kubeblocks.io/populate-from"],
        "b"
    );
    let written = company
        .executor
        .written_to(&stage.namespace, &objects::prime_name(&claim));
    assert_eq!(
        written.len(),
        1,
        "one pod wrote into the prime claim: {written:?}"
    );
    assert_eq!(written[0].pv, volume.name_any());
}
