//! Where and how actions inside a database pod run (contract-dp §10.8).

/// Settings of exec Jobs.
#[derive(Clone, Debug)]
pub struct ExecSettings {
    /// The operator's namespace.
    pub namespace: String,
    /// `KUBEBLOCKS_TOOLS_IMAGE`, or the mover's.
    pub image: String,
    /// The client in that image.
    pub kubectl: Vec<String>,
    /// `EXEC_WORKER_SERVICE_ACCOUNT_NAME`.
    pub account: String,
}

impl ExecSettings {
    /// The image of the mover brings a client of its own; any other has `kubectl`.
    pub fn new(namespace: &str, tools_image: Option<&str>, mover_image: &str, account: &str) -> Self {
        let tools = tools_image.filter(|image| !image.is_empty() && *image != mover_image);
        let kubectl = if tools.is_some() { vec!["kubectl"] } else { vec!["/datasafed", "kubectl"] };
        ExecSettings {
            namespace: namespace.into(),
            image: tools.unwrap_or(mover_image).into(),
            kubectl: kubectl.into_iter().map(String::from).collect(),
            account: account.into(),
        }
    }
}
