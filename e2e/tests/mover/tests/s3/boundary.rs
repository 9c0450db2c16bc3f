//! Design D23: namespaces share a bucket, each with keys of its own that a bucket policy confines to its prefix. The
//! configurations are those dp renders for them; the mover is used as their backups, restores and deletions use it.

use std::collections::BTreeMap;

use api_types::dp::{BackupRepo, StorageProvider};
use dp::repo::reach::Purpose;
use dp::repo::rendered::{SecretSeen, Secrets, Source, named_secrets};
use e2e_mover::{BUCKET, Mover, Server, secret_of, versitygw_with};
use serde_json::{Value, json};

const TEMPLATE: &str = "[storage]\ntype = s3\nprovider = Minio\nenv_auth = false\n\
    access_key_id = {{ index .Parameters \"accessKeyId\" }}\nsecret_access_key = {{ index .Parameters \"secretAccessKey\" }}\n\
    endpoint = {{ .Parameters.endpoint }}\nroot = {{ .Parameters.bucket }}\n";
const TENANTS: [&str; 2] = ["one", "two"];

fn provider() -> StorageProvider {
    let parameter = json!({"type": "string"});
    serde_json::from_value(json!({
        "apiVersion": "dataprotection.kubeblocks.io/v1alpha1", "kind": "StorageProvider", "metadata": {"name": "store"},
        "spec": {"datasafedConfigTemplate": TEMPLATE, "parametersSchema": {
            "credentialFields": ["accessKeyId", "secretAccessKey"],
            "openAPIV3Schema": {"type": "object", "required": ["bucket", "endpoint", "accessKeyId", "secretAccessKey"],
                "properties": {"bucket": parameter, "endpoint": parameter, "accessKeyId": parameter, "secretAccessKey": parameter}}}},
    }))
    .unwrap()
}

fn repo(endpoint: &str) -> BackupRepo {
    let key = |id: String| json!({"name": id, "namespace": "keys"});
    let tenants = TENANTS.map(|name| {
        json!({"name": name, "credential": key(format!("{name}-write")),
            "readCredential": key(format!("{name}-read")), "deleteCredential": key(format!("{name}-delete"))})
    });
    serde_json::from_value(json!({
        "apiVersion": "dataprotection.kubeblocks.io/v1alpha1", "kind": "BackupRepo", "metadata": {"name": "shared"},
        "spec": {"storageProviderRef": "store", "accessMethod": "Tool", "pvReclaimPolicy": "Retain", "pathPrefix": "backups",
            "config": {"bucket": BUCKET, "endpoint": endpoint}, "namespaces": tenants},
    }))
    .unwrap()
}

/// What a platform team grants: each key what its purpose needs, below its namespace's prefix.
fn policy() -> Value {
    let mut all = Vec::new();
    for tenant in TENANTS {
        for (purpose, actions) in [
            (
                "write",
                json!(["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]),
            ),
            ("read", json!(["s3:GetObject"])),
            ("delete", json!(["s3:GetObject", "s3:DeleteObject"])),
        ] {
            let key = json!({"AWS": [format!("{tenant}-{purpose}")]});
            all.push(json!({"Effect": "Allow", "Principal": key, "Action": actions,
                "Resource": format!("arn:aws:s3:::{BUCKET}/backups/{tenant}/*")}));
            all.push(json!({"Effect": "Allow", "Principal": key, "Action": "s3:ListBucket",
                "Resource": format!("arn:aws:s3:::{BUCKET}"),
                "Condition": {"StringLike": {"s3:prefix": [format!("backups/{tenant}/*")]}}}));
        }
    }
    json!({"Version": "2012-10-17", "Statement": all})
}

fn movers(server: &Server) -> BTreeMap<(&'static str, &'static str), Mover> {
    let (provider, repo) = (provider(), repo(&server.endpoint()));
    let found = |id: &str| {
        let pairs = [("accessKeyId", id.to_owned()), ("secretAccessKey", secret_of(id))];
        SecretSeen::Found(pairs.map(|(k, v)| (k.to_owned(), v)).into())
    };
    let secrets: Secrets =
        named_secrets(&repo, "own").into_iter().map(|place| (place.clone(), found(&place.1))).collect();
    let source = Source { repo: &repo, provider: &provider, secrets: &secrets, own_namespace: "own" };
    let mut all = BTreeMap::new();
    for tenant in TENANTS {
        for (name, purpose) in [("write", Purpose::Write), ("read", Purpose::Read), ("delete", Purpose::Delete)] {
            let text = source.configuration(tenant, purpose).unwrap();
            assert!(text.contains(&format!("access_key_id = {tenant}-{name}\n")), "{text}");
            all.insert((tenant, name), Mover::with_section(text.trim_start_matches("[storage]\n")));
        }
    }
    all
}

#[test]
fn d23_a_key_reaches_its_own_namespace_and_does_what_it_is_for() {
    let server = versitygw_with(&["--iam-dir", "DIR/versions"], &[]);
    for tenant in TENANTS {
        for purpose in ["write", "read", "delete"] {
            server.add_user(&format!("{tenant}-{purpose}"));
        }
    }
    if !server.set_policy(&policy().to_string()) {
        return;
    }
    let movers = movers(&server);
    let path = |tenant: &str| format!("backups/{tenant}/db/b/base.tar");
    let refused = |seen: e2e_mover::Seen, what: &str| {
        assert!(seen.exit == 1 && seen.stderr.contains("AccessDenied"), "{what}: {seen:?}");
    };
    for tenant in TENANTS {
        movers[&(tenant, "write")].put(&path(tenant), tenant.as_bytes());
    }
    for (tenant, other) in [("one", "two"), ("two", "one")] {
        let own = path(tenant);
        let (write, read) = (&movers[&(tenant, "write")], &movers[&(tenant, "read")]);
        // A restore reads, and nothing else.
        read.run(["pull", &own, "-"]).ok(tenant);
        assert_eq!(read.run(["list", "-r", &format!("backups/{tenant}/")]).exit, 0);
        refused(read.run_with(["push", "-", &own], b"x"), "a restore writes");
        // Neither removes what is there: a backup that went wrong, or is not the tenant's own, stays.
        for key in [write, read] {
            refused(key.run(["rm", &own]), "removed without the right to");
        }
        // No key of the one does anything to the other's.
        for purpose in ["write", "read", "delete"] {
            let key = &movers[&(tenant, purpose)];
            refused(key.run(["pull", &path(other), "-"]), "read");
            refused(key.run(["list", &format!("backups/{other}/")]), "listed");
            refused(key.run_with(["push", "-", &path(other)], b"x"), "written");
            refused(key.run(["rm", &path(other)]), "removed");
        }
    }
    for tenant in TENANTS {
        assert_eq!(std::fs::read(server.object(&path(tenant))).unwrap(), tenant.as_bytes(), "as it was written");
        let gone = movers[&(tenant, "delete")].run(["delete", &format!("/backups/{tenant}/db/b")]);
        assert_eq!(gone.exit, 0, "{gone:?}");
        assert!(!server.object(&path(tenant)).exists());
    }
}
