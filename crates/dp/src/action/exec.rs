//! Where and how actions inside a database pod run (contract-dp §10.8).

/// Settings of exec Jobs.
#[derive(Clone, Debug)]
pub struct ExecSettings {
    /// The operator's namespace.
    pub namespace: String,
    /// `KUBEBLOCKS_TOOLS_IMAGE`, or the operator's own.
    pub image: String,
    /// The client in that image.
    pub kubectl: Vec<String>,
    /// `EXEC_WORKER_SERVICE_ACCOUNT_NAME`.
    pub account: String,
}

impl ExecSettings {
    /// The operator's own image brings a client ([`crate::kubectl`]); any other has `kubectl`.
    pub fn new(namespace: &str, tools_image: Option<&str>, own_image: &str, account: &str) -> Self {
        let tools = tools_image.filter(|image| !image.is_empty() && *image != own_image);
        let kubectl = if tools.is_some() { vec!["kubectl"] } else { vec!["/holdfast-dp", "kubectl"] };
        ExecSettings {
            namespace: namespace.into(),
            image: tools.unwrap_or(own_image).into(),
            kubectl: kubectl.into_iter().map(String::from).collect(),
            account: account.into(),
        }
    }
}
