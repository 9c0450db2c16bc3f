use super::*;
use proptest::prelude::*;

const WANTED: &str = r#"{"name": "conf", "key": "k",
    "enable": {"log": [{"key": "archive", "value": "on"}], "aof": [{"key": "aof", "value": "yes"}]},
    "disable": {"log": [{"key": "archive", "value": "off"}], "aof": [{"key": "aof", "value": "no"}]}}"#;

fn schedule(more: &Value) -> BackupSchedule {
    let mut schedule: BackupSchedule = serde_json::from_value(json!({"metadata": {
        "name": "c-db-backup-schedule", "namespace": "demo", "uid": "u",
        "labels": {labels::INSTANCE: "c", labels::COMPONENT_NAME: "db"},
        "annotations": {annotations::RECONFIGURE_REF: WANTED}}}))
    .unwrap();
    note(&mut schedule, more);
    schedule
}

/// As the server merges annotations.
fn note(schedule: &mut BackupSchedule, changes: &Value) {
    for (key, value) in changes.as_object().unwrap() {
        match value.as_str() {
            Some(text) => schedule.annotations_mut().insert(key.clone(), text.to_owned()),
            None => schedule.annotations_mut().remove(key),
        };
    }
}

fn cluster(phase: &str) -> Arc<Cluster> {
    Arc::new(serde_json::from_value(json!({"metadata": {"name": "c"}, "status": {"phase": phase}})).unwrap())
}

fn in_phase(mut request: OpsRequest, phase: OpsPhase) -> Request {
    request.status.get_or_insert_default().phase = Some(phase);
    Request::There(Box::new(request))
}

fn on(method: &str) -> Switch {
    (method.to_owned(), true)
}

#[test]
fn rule_36_what_is_to_be_set_is_told_by_method_until_it_is_recorded() {
    let told = |enabled: bool, applied: Option<&str>| {
        let schedule = schedule(&json!({annotations::LAST_APPLIED_CONFIGURATIONS: applied}));
        let outcome = plan(&schedule, &[("log".to_owned(), enabled)], None, &Request::NotServed);
        assert!(outcome.step.is_none(), "nobody serves it");
        (outcome.told.get("log").cloned(), outcome.problems)
    };
    assert!(told(true, None).0.unwrap().contains("set archive=on in conf by hand"));
    let applied = r#"{"log": [{"key": "archive", "value": "on"}]}"#;
    assert_eq!(told(true, Some(applied)).0, None);
    assert!(told(false, Some(applied)).0.is_some());
    assert_eq!(told(false, None).0, None, "first seen switched off: nothing was ever set");
    assert!(told(true, Some("{")).1[0].contains("last-applied-configurations"));
    let bare = plan(&BackupSchedule::default(), &[on("log")], None, &Request::NotServed);
    assert!(bare.told.is_empty() && bare.problems.is_empty());
}

/// The reference generated a name, and a repetition made a second request.
#[test]
fn rule_35_the_name_of_its_request_is_recorded_before_that_is_made() {
    let mut schedule = schedule(&json!({}));
    let switches = [on("log")];
    assert_eq!(request_name(&schedule, &switches).unwrap(), "c-db-backup-schedule-enable-1");
    let Some(Step::Note(notes)) = plan(&schedule, &switches, Some(&cluster("Running")), &Request::Absent).step else {
        panic!("it is noted first");
    };
    note(&mut schedule, &notes);
    for _ in 0..2 {
        // However often it is repeated.
        assert_eq!(request_name(&schedule, &switches).unwrap(), "c-db-backup-schedule-enable-1");
        let outcome = plan(&schedule, &switches, Some(&cluster("Running")), &Request::Absent);
        let Some(Step::Send(request)) = outcome.step else { panic!("{outcome:?}") };
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({"apiVersion": "operations.kubeblocks.io/v1alpha1", "kind": "OpsRequest",
                "metadata": {"name": "c-db-backup-schedule-enable-1", "namespace": "demo",
                    "annotations": {"holdfast.dev/schedule-uid": "u"}, "labels": {
                    "app.kubernetes.io/instance": "c", "app.kubernetes.io/managed-by": "kubeblocks-dataprotection",
                    "dataprotection.kubeblocks.io/backup-schedule": "c-db-backup-schedule"}},
                "spec": {"clusterName": "c", "type": "Reconfiguring",
                    "reconfigures": [{"componentName": "db", "parameters": [{"key": "archive", "value": "on"}]}]}})
        );
    }
    let outcome = plan(&schedule, &switches, Some(&cluster("Creating")), &Request::Absent);
    assert!(outcome.step.is_none() && outcome.told["log"].contains("Cluster c"), "{outcome:?}");
}

#[test]
fn what_fails_is_a_problem_with_a_way_out_and_what_is_anothers_is_passed_over() {
    let mut schedule = schedule(&json!({}));
    let switches = [on("log")];
    let running = cluster("Running");
    let Some(Step::Note(notes)) = plan(&schedule, &switches, Some(&running), &Request::Absent).step else { panic!() };
    note(&mut schedule, &notes);
    let Some(Step::Send(request)) = plan(&schedule, &switches, Some(&running), &Request::Absent).step else { panic!() };
    let failed = plan(&schedule, &switches, Some(&running), &in_phase(*request.clone(), OpsPhase::Failed));
    assert!(failed.problems[0].contains("is Failed: delete it"), "{failed:?}");
    assert!(matches!(failed.step, Some(Step::Follow(_))));
    // Switched off meanwhile: nobody wants it any more.
    let off = [("log".to_owned(), false)];
    let dropped = plan(&schedule, &off, Some(&running), &in_phase(*request.clone(), OpsPhase::Failed));
    assert!(dropped.problems.is_empty() && matches!(dropped.step, Some(Step::Note(_))), "{dropped:?}");
    // Of a schedule of the same name that was deleted: what it did is not known, so another number is taken.
    let mut other = *request;
    other.metadata.annotations = Some([("holdfast.dev/schedule-uid".to_owned(), "old".to_owned())].into());
    let taken = plan(&schedule, &switches, Some(&running), &in_phase(other, OpsPhase::Succeed));
    let Some(Step::Note(notes)) = taken.step else { panic!("{taken:?}") };
    note(&mut schedule, &notes);
    assert_eq!(request_name(&schedule, &switches).unwrap(), "c-db-backup-schedule-enable-2");
}

#[derive(Clone, Debug)]
enum Event {
    Switch {
        log: bool,
        on: bool,
    },
    Look,
    /// A look whose write was done and whose answer was lost, with all this process knew.
    Crash,
    End(OpsPhase),
    Delete,
    Phase(&'static str),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (any::<bool>(), any::<bool>()).prop_map(|(log, on)| Event::Switch { log, on }),
        6 => Just(Event::Look),
        1 => Just(Event::Crash),
        3 => prop_oneof![Just(OpsPhase::Succeed), Just(OpsPhase::Failed), Just(OpsPhase::Running)].prop_map(Event::End),
        1 => Just(Event::Delete),
        1 => prop_oneof![Just("Running"), Just("Creating")].prop_map(Event::Phase),
    ]
}

struct World {
    schedule: BackupSchedule,
    switches: Vec<Switch>,
    phase: &'static str,
    requests: BTreeMap<String, OpsRequest>,
    /// What the database is set to, by key.
    database: BTreeMap<String, String>,
}

impl World {
    fn look(&mut self) -> bool {
        let Some(name) = request_name(&self.schedule, &self.switches) else { return false };
        let request = self.requests.get(&name).map_or(Request::Absent, |r| Request::There(Box::new(r.clone())));
        let outcome = plan(&self.schedule, &self.switches, Some(&cluster(self.phase)), &request);
        match outcome.step {
            Some(Step::Note(notes)) => note(&mut self.schedule, &notes),
            Some(Step::Send(request)) => {
                let under_way = |r: &OpsRequest| !matches!(phase_of(r), Some(OpsPhase::Succeed | OpsPhase::Failed));
                assert!(!self.requests.values().any(under_way), "one at a time");
                assert!(self.requests.insert(request.name_any(), *request).is_none(), "made once");
            }
            Some(Step::Follow(_)) | None => return false,
        }
        true
    }

    fn end(&mut self, phase: &OpsPhase) {
        let open = |r: &&mut OpsRequest| !matches!(phase_of(r), Some(OpsPhase::Succeed | OpsPhase::Failed));
        let Some(request) = self.requests.values_mut().find(open) else { return };
        request.status.get_or_insert_default().phase = Some(phase.clone());
        if *phase == OpsPhase::Succeed {
            for pair in &request.spec.reconfigures[0].parameters {
                self.database.insert(pair.key.clone(), pair.value.clone().unwrap());
            }
        }
    }
}

fn phase_of(request: &OpsRequest) -> Option<OpsPhase> {
    request.status.as_ref().and_then(|s| s.phase.clone())
}

proptest! {
    /// Whatever is switched, fails, is deleted or crashes: in the end the database is as the entries want it.
    #[test]
    fn rule_35_the_database_follows_its_entries_in_any_order(events in prop::collection::vec(event(), 0..40)) {
        let mut world = World {
            schedule: schedule(&json!({})),
            switches: vec![("log".to_owned(), false), ("aof".to_owned(), false)],
            phase: "Running",
            requests: BTreeMap::new(),
            database: BTreeMap::new(),
        };
        for event in events {
            match event {
                Event::Switch { log, on } => world.switches[usize::from(!log)].1 = on,
                Event::Look => drop(world.look()),
                // Nothing is remembered but what the server has: a second look is a new process.
                Event::Crash => { world.look(); world.look(); }
                Event::End(phase) => world.end(&phase),
                Event::Delete => { world.requests.pop_first(); }
                Event::Phase(phase) => world.phase = phase,
            }
        }
        world.phase = "Running";
        for _ in 0..100 {
            if !world.look() {
                world.requests.retain(|_, request| phase_of(request) != Some(OpsPhase::Failed));
                world.end(&OpsPhase::Succeed);
            }
        }
        for (key, (method, enabled)) in [("archive", &world.switches[0]), ("aof", &world.switches[1])] {
            let (yes, no) = if key == "archive" { ("on", "off") } else { ("yes", "no") };
            let is = world.database.get(key).map(String::as_str);
            prop_assert!(if *enabled { is == Some(yes) } else { is.is_none() || is == Some(no) }, "{method} {enabled}: {is:?}");
        }
        prop_assert!(world.schedule.annotations().get(annotations::RECONFIGURING).is_none());
    }
}
