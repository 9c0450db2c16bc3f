//! The API groups of the wire contract, and the chart each is installed by.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// One API group.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// `apiVersion` of its objects.
    pub api_version: &'static str,
    /// Chart that installs its CRDs.
    pub chart: &'static str,
    crds: fn() -> Vec<CustomResourceDefinition>,
    /// Kinds of the contract that we do not serve, each with the reason.
    pub not_served: &'static [(&'static str, &'static str)],
}

const DP_CHART: &str = "holdfast-crds-dp";
const APPS_CHART: &str = "holdfast-crds-apps";

/// Every group.
pub const GROUPS: &[Group] = &[
    Group { api_version: api_types::dp::API_VERSION, chart: DP_CHART, crds: api_types::dp::crds, not_served: &[] },
    Group {
        api_version: api_types::apps::API_VERSION,
        chart: APPS_CHART,
        crds: api_types::apps::crds,
        not_served: &[],
    },
    Group {
        api_version: api_types::workloads::API_VERSION,
        chart: APPS_CHART,
        crds: api_types::workloads::crds,
        not_served: &[("Instance", "optional in the reference, off by default; its restores never end there")],
    },
    Group {
        api_version: api_types::operations::API_VERSION,
        chart: APPS_CHART,
        crds: api_types::operations::crds,
        not_served: &[],
    },
];

/// One kind that we serve.
#[derive(Clone, Debug)]
pub struct Kind {
    /// `apiVersion` of its objects.
    pub api_version: &'static str,
    /// Chart that installs it.
    pub chart: &'static str,
    /// Its CRD as it is installed.
    pub crd: CustomResourceDefinition,
}

impl Kind {
    /// `kind` of its objects.
    pub fn name(&self) -> &str {
        &self.crd.spec.names.kind
    }
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kinds = |group: &Group| {
        let Group { api_version, chart, crds, .. } = *group;
        crds().into_iter().map(move |crd| Kind { api_version, chart, crd }).collect::<Vec<_>>()
    };
    GROUPS.iter().flat_map(kinds).collect()
});

/// Every kind that we serve, in the order of the groups.
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

/// The kind of this `apiVersion` and `kind`.
pub fn kind(api_version: &str, name: &str) -> Option<&'static Kind> {
    kinds().iter().find(|kind| kind.api_version == api_version && kind.name() == name)
}

/// Charts with CRDs, in order.
pub fn charts() -> Vec<&'static str> {
    let mut charts: Vec<_> = GROUPS.iter().map(|group| group.chart).collect();
    charts.dedup();
    charts
}
