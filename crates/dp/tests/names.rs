//! The mover and the operator share no types but what `mover-protocol` has; names that the wire gives both stand in
//! `mover-protocol` and in `api_types::contract`, and must be the same.

use api_types::contract::{env, pods};
use mover_protocol as protocol;

#[test]
fn mover_and_contract_name_the_same_things_alike() {
    let pairs = [
        (protocol::BIN_DIR, pods::PATH_DATASAFED_BIN),
        (protocol::MOUNT_PATH, pods::PATH_BACKUP_DATA),
        (protocol::MANAGER_DIR, pods::PATH_MANAGER_SHARED),
        (protocol::INFO_FILE, pods::FILE_BACKUP_INFO),
        (protocol::SAVED_OBJECT.trim_start_matches('/'), pods::FILE_BACKUP_OBJECT),
        (protocol::env::LOCAL_BACKEND_PATH, env::DATASAFED_LOCAL_BACKEND_PATH),
        (protocol::env::BACKEND_BASE_PATH, env::DATASAFED_BACKEND_BASE_PATH),
        (protocol::env::BIN_PATH, env::DATASAFED_BIN_PATH),
        (protocol::env::BACKUP_BASE_PATH, env::BACKUP_BASE_PATH),
        (protocol::env::BACKUP_INFO_FILE, env::BACKUP_INFO_FILE),
        (protocol::env::BACKUP_NAME, env::BACKUP_NAME),
        (protocol::env::NAMESPACE, env::KB_NAMESPACE),
        (protocol::env::CHECK_INTERVAL, env::CHECK_INTERVAL),
    ];
    for (ours, wire) in pairs {
        assert_eq!(ours, wire);
    }
}
