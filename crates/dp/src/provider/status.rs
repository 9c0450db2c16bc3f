//! What a StorageProvider's status says. Pure.

use api_types::contract::conditions::provider::CSI_DRIVER_INSTALLED;
use api_types::contract::reasons::provider as reasons;
use api_types::dp::{StorageProvider, StorageProviderPhase, StorageProviderStatus};
use controller_kit::conditions::{self as kit, Status};
use jiff::Timestamp;

/// The status, with the driver it names `installed` or not. It follows the driver also while the
/// phase stays (behaviour-backup D35).
pub fn status(provider: &StorageProvider, installed: bool, now: Timestamp) -> StorageProviderStatus {
    let mut status = provider.status.clone().unwrap_or_default();
    let driver = provider.spec.csi_driver_name.as_deref().unwrap_or_default();
    let (phase, verdict, reason, message) = if installed {
        (StorageProviderPhase::Ready, Status::True, reasons::CSI_DRIVER_OBJECT_FOUND, String::new())
    } else {
        let message = format!("spec.csiDriverName: there is no CSIDriver {driver}; install it");
        (StorageProviderPhase::NotReady, Status::Unknown, reasons::CHECK_CSI_DRIVER_FAILED, message)
    };
    status.phase = Some(phase);
    let generation = provider.metadata.generation;
    kit::set(&mut status.conditions, CSI_DRIVER_INSTALLED, verdict, reason, message, generation, now);
    status
}
