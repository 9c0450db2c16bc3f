//! A backup asks for its turn, and says where it stands (ADR 0025). What a turn is, is decided in [`crate::turn`].

use super::apply::Hands;
use super::chain::{self, Chain, Next, Work};
use super::plan::{Observed, Ready};
use super::select::Chosen;
use super::status;
use crate::error::{Error, Stop};
use crate::reasons;
use crate::turn::claim::{JobOf, data_action};
use crate::turn::order::{Held, Verdict};
use crate::turn::{Turns, place};
use api_types::dp::{ActionStatus, Backup, BackupStatus, BackupStatusTarget};
use controller_kit::clock;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The Jobs that will write the data of a backup that is about to begin; none of an archive, nor where only snapshots are
/// taken.
pub fn jobs(ready: &Ready, chosen: &[Chosen]) -> Vec<JobOf> {
    let targets: Vec<BackupStatusTarget> = chosen.iter().map(|c| c.target.clone()).collect();
    let nodes: Vec<&Option<String>> = chosen.iter().flat_map(|c| &c.nodes).collect();
    let chains = chain::chains(&targets, &ready.method, ready.inputs.action_set.as_deref());
    let job = |(number, chain): (usize, &Chain<'_>)| {
        let step = data_action(chain)?;
        let beside = matches!(step.work, Work::Data(data) if data.job().run_on_target_pod_node());
        Some(JobOf {
            action: step.name.clone(),
            number,
            repo: ready.storage.as_ref().map(|s| s.repo.clone()),
            node: nodes.get(number).copied().cloned().flatten().filter(|_| beside),
            at_work: false,
        })
    };
    chains.iter().enumerate().filter_map(job).collect()
}

/// The first Job of a backup that has to wait, and what holds it.
pub type Wait = (JobOf, Held);

/// Takes the turn of the first of these Jobs, and that of the others where it has come too; each with whether it has.
/// Else what is waited for.
pub fn take(turns: &Turns, backup: &Backup, jobs: Vec<JobOf>) -> Result<Vec<(JobOf, bool)>, Box<Wait>> {
    let mut all = jobs.into_iter();
    let Some(first) = all.next() else { return Ok(vec![]) };
    let unnamed = JobOf { action: String::new(), ..first.clone() };
    if let Some(Verdict::Held(held)) = turns.ask(backup, std::slice::from_ref(&unnamed)).pop() {
        return Err(Box::new((unnamed, held)));
    }
    let others: Vec<JobOf> = all.collect();
    let verdicts = turns.ask(backup, &others);
    let others = others.into_iter().zip(verdicts).map(|(job, verdict)| (job, verdict == Verdict::Turn));
    Ok([(first, true)].into_iter().chain(others).collect())
}

/// Says where in the queue the backup stands. No event: thousands may wait.
pub async fn wait(hands: &Hands, backup: &Backup, first: &JobOf, held: &Held) -> Result<(), Error> {
    let mut next = backup.status.clone().unwrap_or_default();
    status::queued(&mut next, held, first, backup.metadata.generation, clock::now());
    hands.store(backup, &next).await?;
    Ok(())
}

/// Stores a status that takes turns.
pub async fn store(hands: &Hands, backup: &Backup, next: &BackupStatus, turns: &Turns) -> Result<bool, Error> {
    turns.sending(backup, clock::now());
    let stored = hands.store(backup, next).await;
    if stored.as_ref().is_err_and(Error::is_refused) {
        turns.refused(backup);
    }
    stored
}

/// Of a backup at work, takes the turns that have come for pods of it that wait; what holds the first of the others goes
/// into the status where nothing else does. Their Jobs begin once that is stored.
pub fn go_on(turns: &Turns, seen: &Observed, next: &mut BackupStatus) {
    let backup = seen.backup.as_ref();
    let waits = |a: &ActionStatus| a.queue.as_ref().is_some_and(|q| q.waits());
    if !next.actions.iter().any(waits) {
        return;
    }
    let recorded = next.clone();
    let chains = chain::recorded(&recorded, seen.actions());
    let begins = |a: &ActionStatus| {
        let own = |c: &&Chain<'_>| data_action(c).is_some_and(|s| Some(s.name.as_str()) == a.name.as_deref());
        let chain = chains.iter().find(own);
        chain.is_some_and(|c| matches!(chain::next(c, &recorded.actions), Next::Begin(_)))
    };
    let of = recorded.actions.iter().enumerate().filter(|(_, a)| waits(a) && begins(a));
    let asked: Vec<JobOf> = of.map(|(number, action)| JobOf::recorded(&recorded, number, action)).collect();
    let now = clock::now();
    let mut first = None;
    for (job, verdict) in asked.iter().zip(turns.ask(backup, &asked)) {
        match verdict {
            Verdict::Turn => {
                let action = next.actions.get_mut(job.number);
                status::left_queue(action.and_then(|a| a.queue.as_mut()), now);
            }
            Verdict::Held(held) => first = first.or(Some(held)),
        }
    }
    if let Some(held) = first.filter(|_| next.conditions.is_empty()) {
        let stop = Stop::wait(reasons::WAITING_FOR_TURN, place::message(&held));
        status::blocked(next, &stop, backup.metadata.generation, now);
    }
}

/// The pod of a Job that is to begin stands on another node than the one that was recorded. True if it has to wait for
/// its turn there.
pub fn moved(turns: &Turns, next: &mut BackupStatus, chain: &Chain<'_>, node: Option<&str>) -> bool {
    let Some(step) = data_action(chain) else { return false };
    let Some(place) = chain::place_of(&step.name, &next.actions) else { return false };
    let Some(action) = next.actions.get_mut(place).filter(|a| a.node_name.is_some()) else { return false };
    if node.is_none() || action.node_name.as_deref() == node {
        return false;
    }
    action.node_name = node.map(str::to_owned);
    if !turns.limits_nodes() {
        return false;
    }
    let since = Some(Time(clock::now()));
    action.queue = Some(Box::new(api_types::dp::Queued { since, ..Default::default() }));
    true
}
