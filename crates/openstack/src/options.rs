//! The options under `plugins: {openstack: ...}`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nephoscope_plugin::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::tls::TlsVersion;

/// Access to an OpenStack cloud. Options with the same name as in ceilometer's `[service_credentials]` have the same
/// meaning.
///
/// All credentials are read from the first of these sources: these options, if `auth_url` is set; the cloud that
/// `cloud` or the variable `OS_CLOUD` names, in clouds.yaml and secure.yaml; the variables `OS_*`, if `OS_AUTH_URL` is
/// set. `region_name`, `interface` and the TLS options here override those of every source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The authentication method: `password`, `v3password`, `v3applicationcredential`, `token`, `v3token`. Default: the
    /// method of the credentials that are set: an application credential, a token, or a password.
    pub auth_type: Option<String>,
    /// Keystone's URL, for example `https://keystone.example:5000/v3`.
    pub auth_url: Option<String>,
    /// `all`: requests a token of system scope.
    pub system_scope: Option<String>,
    /// The id of the domain that the token is scoped to.
    pub domain_id: Option<String>,
    /// The name of the domain that the token is scoped to.
    pub domain_name: Option<String>,
    /// The id of the project that the token is scoped to.
    #[serde(alias = "tenant_id")]
    pub project_id: Option<String>,
    /// The name of the project that the token is scoped to.
    #[serde(alias = "tenant_name")]
    pub project_name: Option<String>,
    /// The id of the project's domain.
    pub project_domain_id: Option<String>,
    /// The name of the project's domain.
    pub project_domain_name: Option<String>,
    /// The id of the trust that the token is scoped to.
    pub trust_id: Option<String>,
    /// The id of the domain of user and project, where no other option sets it.
    pub default_domain_id: Option<String>,
    /// The name of the domain of user and project, where no other option sets it.
    pub default_domain_name: Option<String>,
    /// The user's id.
    pub user_id: Option<String>,
    /// The user's name.
    #[serde(alias = "user_name")]
    pub username: Option<String>,
    /// The id of the user's domain.
    pub user_domain_id: Option<String>,
    /// The name of the user's domain.
    pub user_domain_name: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The id of the application credential.
    pub application_credential_id: Option<String>,
    /// The name of the application credential; its user must be set too.
    pub application_credential_name: Option<String>,
    /// The secret of the application credential.
    pub application_credential_secret: Option<Secret>,
    /// A token, exchanged for one of the configured scope.
    pub token: Option<Secret>,
    /// The name of the cloud in clouds.yaml.
    pub cloud: Option<String>,
    /// The path of clouds.yaml. Default: `OS_CLIENT_CONFIG_FILE`, or the first of ./clouds.yaml,
    /// ~/.config/openstack/clouds.yaml, /etc/openstack/clouds.yaml. A secure.yaml in the same directory is merged.
    pub clouds_file: Option<PathBuf>,

    /// The region whose endpoints are used. Default: the first one in the catalog.
    pub region_name: Option<String>,
    /// The interface of the endpoints: `public` (default), `internal` or `admin`.
    pub interface: Option<String>,
    /// The CA certificates that verify services (PEM). Default: the system's.
    pub cafile: Option<PathBuf>,
    /// The agent's client certificate (PEM).
    pub certfile: Option<PathBuf>,
    /// The key of the client certificate (PEM). Default: the key in `certfile`.
    pub keyfile: Option<PathBuf>,
    /// Whether to accept every server certificate without verification.
    pub insecure: Option<bool>,
    /// The minimum TLS version. Default: 1.2.
    pub tls_min_version: Option<TlsVersion>,
    /// The maximum TLS version. Default: 1.3.
    pub tls_max_version: Option<TlsVersion>,
    /// The time limit until an answer starts, and between its parts.
    pub timeout: HumanDuration,

    /// The maximum number of concurrent requests to one service.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u32,
    /// The maximum number of requests per second to one service, of all agents that share the work; 0: no limit. The
    /// agent that runs a discovery has the whole rate. Where each agent sends requests for its resources, each has an
    /// equal share, at least 1.
    #[schemars(range(max = 1_000_000))]
    pub rate: u32,
    /// How often a request is retried if the service is busy (429, 502, 503, 504) or unreachable.
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// The circuit of a service opens after this number of consecutive failures (unreachable, timeout, 502, 503, 504).
    #[schemars(range(min = 1, max = 1000))]
    pub breaker_failures: u32,
    /// How long the circuit stays open; then one request probes whether the service has recovered.
    pub breaker_interval: HumanDuration,
    /// The page size that is requested from services with pages.
    #[schemars(range(min = 1, max = 10_000))]
    pub page_size: u32,
    /// Whether the discovery `tenant` omits disabled projects and those of disabled domains.
    pub ignore_disabled_projects: bool,
    /// Whether samples contain the names of their projects and users, in addition to the ids. Each name is requested from
    /// Keystone once in ten minutes.
    pub identity_name_discovery: bool,
    /// Options per service, by name: `cinder`, `glance`, `keystone`, `neutron`, `nova` ...
    pub services: BTreeMap<String, ServiceOptions>,
}

/// The options of one service.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceOptions {
    /// The service's type in the catalog, if it is neither the official one nor one of its aliases.
    pub service_type: Option<String>,
    /// The service's name in the catalog, if several services have the same type.
    pub catalog_name: Option<String>,
    /// The service's region.
    pub region_name: Option<String>,
    /// The service's interface.
    pub interface: Option<String>,
    /// The service's endpoint; overrides the catalog.
    pub endpoint: Option<String>,
    /// The CA certificates that verify the service (PEM); overrides `cafile` of all services.
    pub cafile: Option<PathBuf>,
    /// Whether to accept every certificate of the service without verification.
    pub insecure: Option<bool>,
    /// The minimum TLS version of the service; overrides that of all services.
    pub tls_min_version: Option<TlsVersion>,
    /// The maximum TLS version of the service; overrides that of all services.
    pub tls_max_version: Option<TlsVersion>,
    /// Overrides `concurrency` of all services.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: Option<u32>,
    /// Overrides `rate` of all services.
    #[schemars(range(max = 1_000_000))]
    pub rate: Option<u32>,
    /// Overrides `page_size` of all services.
    #[schemars(range(min = 1, max = 10_000))]
    pub page_size: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth_type: None,
            auth_url: None,
            system_scope: None,
            domain_id: None,
            domain_name: None,
            project_id: None,
            project_name: None,
            project_domain_id: None,
            project_domain_name: None,
            trust_id: None,
            default_domain_id: None,
            default_domain_name: None,
            user_id: None,
            username: None,
            user_domain_id: None,
            user_domain_name: None,
            password: None,
            application_credential_id: None,
            application_credential_name: None,
            application_credential_secret: None,
            token: None,
            cloud: None,
            clouds_file: None,
            region_name: None,
            interface: None,
            cafile: None,
            certfile: None,
            keyfile: None,
            insecure: None,
            tls_min_version: None,
            tls_max_version: None,
            timeout: HumanDuration::from_secs(60),
            concurrency: 8,
            rate: 100,
            retries: 2,
            breaker_failures: 3,
            breaker_interval: HumanDuration::from_secs(30),
            page_size: 1000,
            ignore_disabled_projects: false,
            identity_name_discovery: false,
            services: BTreeMap::new(),
        }
    }
}
