//! The operator is killed before and after each API write of a backup by Job, of one by volume snapshot, of an archive
//! and of a deletion. The state at the end equals that of the uninterrupted run, no object was made twice, and nothing
//! is left behind (design §5, users-and-reliability §2.3a).
//!
//! `make crash` takes every write; `make test` some of them, always the same. The tests share one operator and take
//! turns.

mod archive;
mod by_job;
mod deletion;
mod snapshot;

use e2e_api::backups::{exec_jobs, job_names};
use e2e_api::crash_points::{self, Choice, Workload};
use e2e_api::{PATIENCE, Stage};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use test_kit::wait;

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Kills the operator at every `step`-th write of the workload, and at the first of each kind.
async fn killed(workload: impl Workload, step: usize) {
    let _turn = TURN.lock().await;
    crash_points::workload(&workload, Choice::every(step)).await;
}

/// Waits until no Job works for the namespace any more, and no pod of one is there.
async fn until_work_is_gone(stage: &Stage) {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let of_us = ListParams::default().labels("app.kubernetes.io/managed-by=kubeblocks-dataprotection");
    wait::eventually(PATIENCE, "all work is gone", async || {
        let mut left = job_names(stage, "").await;
        left.extend(exec_jobs(stage).await.iter().map(ResourceExt::name_any));
        left.extend(pods.list(&of_us).await.map_err(|e| e.to_string())?.iter().map(ResourceExt::name_any));
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
