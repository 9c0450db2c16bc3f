//! StorageProviders of the field pass through the controllers: every object that is made of one is what Go's templates
//! give, and the repository becomes Ready (rule 44, contract-dp §9). Ours below `fixtures` cover each rule without them.

use e2e_api::backups::{backup, database, policy, until_backup, until_condition};
use e2e_api::objects::{action_set, apply_cluster, dp, prepare_data, until_phase};
use e2e_api::{OPERATOR, PATIENCE, Stage, stage};
use go_template::{Data, Flavour, World};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Secret};
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use test_kit::wait;

/// StorageProviders of the corpus when it was last seen.
const CORPUS: usize = 11;

/// A provider with both ways of access; each template uses what the other does not.
const OURS: &str = r#"
csiDriverName: DRIVER
csiDriverSecretTemplate: |
  accessKeyID: {{ index .Parameters "accessKeyId" }}
  secretAccessKey: {{ .Parameters.secretAccessKey | toJson }}
  {{- $endpoint := index .Parameters "endpoint" }}
  {{- if not $endpoint }}{{ $endpoint = printf "https://store.%s.example" .Parameters.region }}{{ end }}
  endpoint: {{ $endpoint }}
storageClassTemplate: |
  provisioner: holdfast.dev/fake
  volumeBindingMode: WaitForFirstConsumer
  parameters:
    bucket: {{ .Parameters.bucket }}
    options: {{ printf "--memory %s" .Parameters.memory }}
    secret: {{ .CSIDriverSecretRef.Namespace }}/{{ .CSIDriverSecretRef.Name }}
    class: "[{{ .GeneratedStorageClassName }}]"
datasafedConfigTemplate: |
  [storage]
  type = s3
  access_key_id = {{ index .Parameters "accessKeyId" }}
  insecure = {{ .Parameters.insecure }}
  root = {{ index .Parameters "bucket" }}
parametersSchema:
  credentialFields: [accessKeyId, secretAccessKey]
  openAPIV3Schema:
    type: object
    required: [bucket, region, accessKeyId, secretAccessKey]
    properties:
      bucket: {type: string}
      region: {type: string}
      endpoint: {type: string}
      memory: {type: integer, default: 512}
      insecure: {type: boolean, default: false}
      accessKeyId: {type: string}
      secretAccessKey: {type: string}
"#;

/// A provider of the test's own name, with its parameters.
struct Sample {
    name: String,
    spec: Value,
    parameters: BTreeMap<String, String>,
    credential: BTreeMap<String, String>,
}

impl Sample {
    /// Applies the provider, its driver, and a Secret with what belongs there.
    async fn install(stage: &Stage, name: &str, mut spec: Value) -> Self {
        let driver = spec["csiDriverName"].as_str().unwrap_or_default().to_owned();
        if !driver.is_empty() {
            let driver = if driver == "DRIVER" { format!("{}.example.com", stage.namespace) } else { driver };
            spec["csiDriverName"] = json!(driver);
            let csi = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": driver}, "spec": {}});
            let drivers: Api<CSIDriver> = Api::all(stage.client.clone());
            drivers.patch(&driver, &PatchParams::apply("test").force(), &Patch::Apply(&csi)).await.unwrap();
        }
        let name = format!("{name}-{}", stage.namespace);
        apply_cluster(&stage.client, "StorageProvider", &name, &spec).await;
        until_phase(&stage.client, "StorageProvider", "", &name, "Ready").await;
        let schema = spec["parametersSchema"].clone();
        let fields: Vec<&str> =
            schema["credentialFields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["openAPIV3Schema"]["properties"].as_object().cloned().unwrap_or_default();
        let required = schema["openAPIV3Schema"]["required"].as_array().cloned().unwrap_or_default();
        let (mut parameters, mut credential) = (BTreeMap::new(), BTreeMap::new());
        for key in required.iter().filter_map(Value::as_str) {
            // Characters that YAML and shells care about, where a template quotes nothing.
            let place = if fields.contains(&key) { &mut credential } else { &mut parameters };
            place.insert(key.to_owned(), format!("a{}/+=z", key.to_lowercase()));
        }
        for (key, property) in properties {
            if let (Some(default), false) = (property.get("default"), parameters.contains_key(&key)) {
                parameters.insert(key, default.as_str().map_or_else(|| default.to_string(), str::to_owned));
            }
        }
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": credential});
        let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), OPERATOR.0);
        secrets.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&secret)).await.unwrap();
        Sample { name, spec, parameters, credential }
    }

    fn offers(&self, access: &str) -> bool {
        let has = |field: &str| self.spec[field].as_str().is_some_and(|t| !t.trim().is_empty());
        match access {
            "Tool" => has("datasafedConfigTemplate"),
            _ => has("storageClassTemplate") || has("persistentVolumeClaimTemplate"),
        }
    }

    /// A repository of it; only what has no default is given.
    async fn repo(&self, stage: &Stage, access: &str) -> Repo {
        let name = format!("{}-{}", access.to_lowercase(), self.name);
        let required =
            self.spec["parametersSchema"]["openAPIV3Schema"]["required"].as_array().cloned().unwrap_or_default();
        let given: BTreeMap<_, _> =
            self.parameters.iter().filter(|(key, _)| required.iter().any(|r| r == key.as_str())).collect();
        let mut spec = json!({"storageProviderRef": self.name, "accessMethod": access, "pvReclaimPolicy": "Retain",
            "volumeCapacity": "3Gi", "config": given});
        if !self.credential.is_empty() {
            spec["credential"] = json!({"name": self.name, "namespace": OPERATOR.0});
        }
        apply_cluster(&stage.client, "BackupRepo", &name, &spec).await;
        let class = self.spec["storageClassTemplate"].as_str().unwrap_or_default();
        if access == "Mount" && !class.contains(test_kit::provisioner::DRIVER) {
            provision(stage, &name).await;
        }
        let status = until_phase(&stage.client, "BackupRepo", "", &name, "Ready").await.data["status"].clone();
        Repo { name, status }
    }

    /// A template with what the controllers must give it.
    fn render(&self, field: &str, repo: &Repo, class: &str) -> String {
        let secret = &repo.status["generatedCSIDriverSecret"];
        let text = |value: &Value| Data::Text(value.as_str().unwrap_or_default().to_owned());
        let reference = Data::Struct(vec![
            ("Name".into(), text(&secret["name"])),
            ("Namespace".into(), text(&secret["namespace"])),
        ]);
        let mut all = self.parameters.clone();
        all.extend(self.credential.clone());
        let dot = Data::Struct(vec![
            ("Parameters".into(), Data::Texts(all)),
            ("CSIDriverSecretRef".into(), reference),
            ("GeneratedStorageClassName".into(), Data::Text(class.to_owned())),
        ]);
        let template = self.spec[field].as_str().unwrap_or_default();
        let world = World::at(jiff::Timestamp::UNIX_EPOCH);
        go_template::render(field, template, &dot, Flavour::Sprig, &world).unwrap().into_text().unwrap()
    }
}

struct Repo {
    name: String,
    status: Value,
}

async fn data_of(stage: &Stage, namespace: &str, name: &str) -> BTreeMap<String, String> {
    let api: Api<Secret> = Api::namespaced(stage.client.clone(), namespace);
    let found = wait::eventually(PATIENCE, &format!("Secret {namespace}/{name}"), async || {
        api.get(name).await.map_err(|e| e.to_string())
    })
    .await;
    let text = |bytes: k8s_openapi::ByteString| String::from_utf8(bytes.0).expect("text");
    found.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, text(bytes))).collect()
}

/// A Backup into the repository, so that its namespace is served.
async fn use_it(stage: &Stage, repo: &Repo, backup_name: &str) -> Value {
    let actions = action_set(stage, prepare_data()).await;
    database(stage, "db-0").await;
    policy(stage, &actions, |spec| spec["backupRepoName"] = json!(repo.name)).await;
    backup(stage, backup_name, |_| {}).await;
    until_backup(stage, backup_name, "Completed").await.data["status"].clone()
}

async fn tool(stage: &Stage, sample: &Sample) {
    let repo = sample.repo(stage, "Tool").await;
    use_it(stage, &repo, "b").await;
    let secret = repo.status["toolConfigSecretName"].as_str().unwrap();
    let seen = data_of(stage, &stage.namespace, secret).await;
    let wanted = sample.render("datasafedConfigTemplate", &repo, "");
    assert_eq!(seen, BTreeMap::from([("datasafed.conf".to_owned(), wanted)]), "{}", sample.name);
    let reasons: Vec<&str> =
        repo.status["conditions"].as_array().unwrap().iter().map(|c| c["reason"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        ["StorageProviderReady", "ParametersChecked", "StorageClassCreated", "Skipped", "PreCheckPassed"]
    );
}

/// The class by its template with what the wire overrides; the claims of it bind where the fake provisioner serves it.
async fn class_of(stage: &Stage, sample: &Sample, repo: &Repo) -> StorageClass {
    let name = repo["generatedStorageClassName"].as_str().expect("recorded").to_owned();
    let seen = Api::<StorageClass>::all(stage.client.clone()).get(&name).await.unwrap();
    let wanted: StorageClass =
        serde_saphyr::from_str(&sample.render("storageClassTemplate", repo, "")).expect("a class");
    assert_eq!(seen.provisioner, wanted.provisioner);
    assert_eq!(seen.parameters, wanted.parameters, "{}", sample.name);
    assert_eq!(seen.mount_options, wanted.mount_options, "{}", sample.name);
    assert_eq!(seen.volume_binding_mode.as_deref(), Some("Immediate"));
    assert_eq!(seen.reclaim_policy.as_deref(), Some("Retain"));
    seen
}

impl std::ops::Index<&str> for Repo {
    type Output = Value;
    fn index(&self, field: &str) -> &Value {
        &self.status[field]
    }
}

async fn mount(stage: &Stage, sample: &Sample) {
    let repo = sample.repo(stage, "Mount").await;
    let secret = &repo["generatedCSIDriverSecret"];
    if sample.spec["csiDriverSecretTemplate"].is_string() {
        assert_eq!(secret["namespace"], OPERATOR.0);
        let seen = data_of(stage, OPERATOR.0, secret["name"].as_str().unwrap()).await;
        let wanted: BTreeMap<String, String> =
            serde_saphyr::from_str(&sample.render("csiDriverSecretTemplate", &repo, "")).unwrap();
        assert_eq!(seen, wanted, "{}", sample.name);
    } else {
        assert!(secret.is_null());
    }
    let class = if sample.spec["storageClassTemplate"].is_string() {
        class_of(stage, sample, &repo).await.name_any()
    } else {
        String::new()
    };
    use_it(stage, &repo, "b").await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let spec = claims.get(repo["backupPVCName"].as_str().unwrap()).await.unwrap().spec.unwrap();
    assert_eq!(spec.resources.unwrap().requests.unwrap()["storage"].0, "3Gi");
    assert_eq!(spec.volume_mode.as_deref(), Some("Filesystem"));
    if !class.is_empty() {
        assert_eq!(spec.storage_class_name.as_deref(), Some(class.as_str()));
        assert_eq!(spec.access_modes.unwrap(), ["ReadWriteMany"]);
    }
}

#[tokio::test]
async fn objects_of_a_provider_of_ours_are_what_its_templates_say() {
    let (one, _) = stage("ours-tool").await;
    let spec: Value = serde_saphyr::from_str(OURS).unwrap();
    let sample = Sample::install(&one, "ours", spec).await;
    tool(&one, &sample).await;
    let (two, _) = stage("ours-mount").await;
    mount(&two, &sample).await;
    let name = format!("mount-{}", sample.name);
    let secret =
        dp(&one.client, "BackupRepo", "").get(&name).await.unwrap().data["status"]["generatedCSIDriverSecret"].clone();
    let seen = data_of(&one, OPERATOR.0, secret["name"].as_str().unwrap()).await;
    assert_eq!(seen["endpoint"], "https://store.aregion/+=z.example", "by hand, not by the engine under test");
    assert_eq!(seen["secretAccessKey"], "asecretaccesskey/+=z");
}

/// BD15: a class cannot change; that is said, and the driver's Secret follows all the same. The checks follow each other
/// quickly: each waits until the claim of the last is gone.
#[tokio::test]
async fn bd15_what_can_not_follow_changed_parameters_is_said() {
    let (stage, _) = stage("outdated").await;
    let sample = Sample::install(&stage, "ours", serde_saphyr::from_str(OURS).unwrap()).await;
    let repo = sample.repo(&stage, "Mount").await;
    use_it(&stage, &repo, "b").await;
    let api = dp(&stage.client, "BackupRepo", "");
    let change = |config: Value| Patch::Merge(json!({"spec": {"config": config}}));
    api.patch(&repo.name, &PatchParams::default(), &change(json!({"memory": "1024"}))).await.unwrap();
    let said = until_condition(&stage, "BackupRepo", &repo.name, "ParametersApplied", "StorageClassOutdated").await;
    assert!(
        said.contains(repo["generatedStorageClassName"].as_str().unwrap()) && said.contains("another BackupRepo"),
        "{said}"
    );
    until_phase(&stage.client, "BackupRepo", "", &repo.name, "Ready").await;
    api.patch(&repo.name, &PatchParams::default(), &change(json!({"memory": null}))).await.unwrap();
    wait::eventually(PATIENCE, "all is applied again", async || {
        let seen = api.get(&repo.name).await.map_err(|e| e.to_string())?.data["status"]["conditions"].clone();
        let left = seen.as_array().unwrap().iter().any(|c| c["type"] == "ParametersApplied");
        if left { Err(seen.to_string()) } else { Ok(()) }
    })
    .await;
    let size = Patch::Merge(json!({"spec": {"volumeCapacity": "9Gi"}}));
    api.patch(&repo.name, &PatchParams::default(), &size).await.unwrap();
    let said = until_condition(&stage, "BackupRepo", &repo.name, "ParametersApplied", "ClaimsOutdated").await;
    assert!(said.contains(&stage.namespace), "{said}");
    // The driver's Secret follows its key.
    let key = json!({"stringData": {"accessKeyId": "another"}});
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), OPERATOR.0);
    secrets.patch(&sample.name, &PatchParams::default(), &Patch::Merge(&key)).await.unwrap();
    let name = repo["generatedCSIDriverSecret"]["name"].as_str().unwrap();
    wait::eventually(PATIENCE, "the driver's Secret follows", async || {
        let seen = data_of(&stage, OPERATOR.0, name).await;
        if seen["accessKeyID"] == "another" { Ok(()) } else { Err(seen["accessKeyID"].clone()) }
    })
    .await;
    // And it goes with everything that was made of it.
    e2e_api::backups::delete(&stage, "Backup", "b").await;
    e2e_api::backups::until_gone(&stage, "Backup", "b").await;
    api.delete(&repo.name, &DeleteParams::default()).await.unwrap();
    wait::eventually(PATIENCE, "the repository is gone", async || match api.get_opt(&repo.name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{:?}", other.map(|o| o.map(|r| r.data["status"].clone())))),
    })
    .await;
    let class = repo["generatedStorageClassName"].as_str().unwrap();
    assert!(Api::<StorageClass>::all(stage.client.clone()).get_opt(class).await.unwrap().is_none());
    assert!(secrets.get_opt(name).await.unwrap().is_none());
    assert!(secrets.get_opt(&sample.name).await.unwrap().is_some(), "the user's own Secret stays");
}

#[tokio::test]
async fn a_template_that_does_not_render_is_named_without_its_secrets() {
    let (stage, _) = stage("badtemplate").await;
    let mut spec: Value = serde_saphyr::from_str(OURS).unwrap();
    spec["csiDriverSecretTemplate"] = json!("key: \"{{ .Parameters.secretAccessKey }}");
    let sample = Sample::install(&stage, "bad", spec).await;
    let name = format!("repo-{}", sample.name);
    let spec = json!({"storageProviderRef": sample.name, "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "config": {"bucket": "b", "region": "r"}, "credential": {"name": sample.name, "namespace": OPERATOR.0}});
    apply_cluster(&stage.client, "BackupRepo", &name, &spec).await;
    let said = until_condition(&stage, "BackupRepo", &name, "StorageClassCreated", "PrepareCSISecretFailed").await;
    assert!(said.contains("csiDriverSecretTemplate") && !said.contains("asecretaccesskey"), "{said}");
}

#[tokio::test]
async fn every_provider_of_the_corpus_gives_a_ready_repository() {
    let Some(shared) = test_kit::skip_without_shared(CORPUS) else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(shared.join("corpus/kubeblocks")).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("storageprovider-")));
    files.sort();
    assert!(files.len() >= CORPUS, "{} providers", files.len());
    let (mut tools, mut mounts) = (0, 0);
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let provider: Value = serde_saphyr::from_str(&text).unwrap();
        let name = provider["metadata"]["name"].as_str().unwrap().to_owned();
        if provider["spec"]["datasafedConfigTemplate"].is_string() {
            let (stage, _) = stage(&format!("tool-{name}")).await;
            let sample = Sample::install(&stage, &name, provider["spec"].clone()).await;
            assert!(sample.offers("Tool"));
            tool(&stage, &sample).await;
            tools += 1;
        }
        if name != "pvc" && provider["spec"]["storageClassTemplate"].is_string() {
            let (stage, _) = stage(&format!("mount-{name}")).await;
            let sample = Sample::install(&stage, &name, provider["spec"].clone()).await;
            mount(&stage, &sample).await;
            mounts += 1;
        }
    }
    println!("providers: files={} tool={tools} mount={mounts}", files.len());
}

/// A volume for a claim of a class that nobody provisions for here.
async fn volume_for(stage: &Stage, class: &str, namespace: &str, claim: &str) {
    let name = format!("static-{namespace}-{claim}");
    let body = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": "3Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": namespace, "name": claim},
        "csi": {"driver": "nobody.example.com", "volumeHandle": name}}});
    let volumes: Api<PersistentVolume> = Api::all(stage.client.clone());
    volumes.patch(&name, &PatchParams::apply("test"), &Patch::Apply(&body)).await.unwrap();
}

/// As the driver would do: volumes for the pre-check's claim, and for the namespace's.
async fn provision(stage: &Stage, repo: &str) {
    let said = until_condition(stage, "BackupRepo", repo, "PreCheckPassed", "PreCheckRunning").await;
    let status = dp(&stage.client, "BackupRepo", "").get(repo).await.unwrap().data["status"].clone();
    let class = status["generatedStorageClassName"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), OPERATOR.0);
    let of_repo = ListParams::default().labels(&format!("dataprotection.kubeblocks.io/backup-repo-name={repo}"));
    let claim = wait::eventually(PATIENCE, "the pre-check's claim", async || {
        let found = claims.list(&of_repo).await.map_err(|e| e.to_string())?;
        found.items.first().map(ResourceExt::name_any).ok_or_else(|| "none".to_owned())
    })
    .await;
    volume_for(stage, &class, OPERATOR.0, &claim).await;
    volume_for(stage, &class, &stage.namespace, status["backupPVCName"].as_str().unwrap()).await;
}

/// What the reference recorded of a repository: the same conditions in the same order, and the same claim.
#[tokio::test]
async fn a_repository_and_its_claim_are_those_of_the_reference() {
    let Some(shared) = test_kit::skip_without_shared(2) else { return };
    let last = |file: &str| -> Value {
        let text = std::fs::read_to_string(shared.join("observed").join(file)).unwrap();
        let body = text.split("--- # ").filter(|part| part.starts_with("MODIFIED")).last().unwrap().to_owned();
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options(body.split_once('\n').unwrap().1, options).unwrap()
    };
    let recorded = last("backuprepos-repo2.yaml");
    let (stage, _) = stage("observed").await;
    let name = format!("repo2-{}", stage.namespace);
    let mut spec = recorded["spec"].clone();
    spec["config"]["storageClassName"] = json!(e2e_api::IMMEDIATE);
    apply_cluster(&stage.client, "BackupRepo", &name, &spec).await;
    let status = until_phase(&stage.client, "BackupRepo", "", &name, "Ready").await.data["status"].clone();
    let told = |status: &Value| -> Vec<(Value, Value, Value, Value)> {
        let of = |c: &Value| (c["type"].clone(), c["status"].clone(), c["reason"].clone(), c["message"].clone());
        status["conditions"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(told(&status), told(&recorded["status"]));
    let repo = Repo { name, status };
    use_it(&stage, &repo, "b").await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let seen = serde_json::to_value(claims.get(repo["backupPVCName"].as_str().unwrap()).await.unwrap()).unwrap();
    let recorded = last("persistentvolumeclaims-pvc-repo2-c4jtml.yaml");
    for field in ["accessModes", "resources", "volumeMode"] {
        assert_eq!(seen["spec"][field], recorded["spec"][field], "{field}");
    }
    let owner = |claim: &Value| claim["metadata"]["ownerReferences"][0]["kind"].clone();
    assert_eq!(owner(&seen), owner(&recorded));
}
