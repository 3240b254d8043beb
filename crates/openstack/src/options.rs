//! The options under `plugins: {openstack: ...}`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nephoscope_plugin::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::tls::TlsVersion;

/// How the agent reaches an OpenStack cloud. The options that have a namesake in ceilometer's
/// `[service_credentials]` mean the same.
///
/// Credentials come, whole, from the first of: these options if `auth_url` is among them; the cloud that
/// `cloud` or the variable `OS_CLOUD` names, in clouds.yaml and secure.yaml; the variables `OS_*`, if
/// `OS_AUTH_URL` is set. `region_name`, `interface` and the TLS options here go before those of any source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How to authenticate: `password`, `v3password`, `v3applicationcredential`, `token`, `v3token`. Unless
    /// said, by what is given: an application credential, a token, or a password.
    pub auth_type: Option<String>,
    /// Where Keystone is, for example `https://keystone.example:5000/v3`.
    pub auth_url: Option<String>,
    /// `all` for a token of the whole system.
    pub system_scope: Option<String>,
    /// A token of this domain.
    pub domain_id: Option<String>,
    /// A token of the domain of this name.
    pub domain_name: Option<String>,
    /// A token of this project.
    #[serde(alias = "tenant_id")]
    pub project_id: Option<String>,
    /// A token of the project of this name.
    #[serde(alias = "tenant_name")]
    pub project_name: Option<String>,
    /// The domain of the project.
    pub project_domain_id: Option<String>,
    /// The name of the domain of the project.
    pub project_domain_name: Option<String>,
    /// A token by this trust.
    pub trust_id: Option<String>,
    /// The domain of user and project, where nothing else says it.
    pub default_domain_id: Option<String>,
    /// The name of the domain of user and project, where nothing else says it.
    pub default_domain_name: Option<String>,
    /// The user.
    pub user_id: Option<String>,
    /// The user's name.
    #[serde(alias = "user_name")]
    pub username: Option<String>,
    /// The domain of the user.
    pub user_domain_id: Option<String>,
    /// The name of the domain of the user.
    pub user_domain_name: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The application credential.
    pub application_credential_id: Option<String>,
    /// The name of the application credential, with the user that it belongs to.
    pub application_credential_name: Option<String>,
    /// The secret of the application credential.
    pub application_credential_secret: Option<Secret>,
    /// A token, exchanged for one of the wanted scope.
    pub token: Option<Secret>,
    /// The cloud in clouds.yaml.
    pub cloud: Option<String>,
    /// The clouds.yaml; unless said, `OS_CLIENT_CONFIG_FILE`, or the first of ./clouds.yaml,
    /// ~/.config/openstack/clouds.yaml, /etc/openstack/clouds.yaml. A secure.yaml beside it is added.
    pub clouds_file: Option<PathBuf>,

    /// The region whose endpoints are used; unless said, the first that the catalog has.
    pub region_name: Option<String>,
    /// Which endpoints are used: `public` (default), `internal` or `admin`.
    pub interface: Option<String>,
    /// The authorities that certificates of services are checked by (PEM); unless said, the system's.
    pub cafile: Option<PathBuf>,
    /// The certificate that the agent shows (PEM).
    pub certfile: Option<PathBuf>,
    /// The key of the certificate that the agent shows (PEM); unless said, in `certfile` too.
    pub keyfile: Option<PathBuf>,
    /// Whether to believe any certificate.
    pub insecure: Option<bool>,
    /// The least version of TLS that services may speak; unless said, 1.2.
    pub tls_min_version: Option<TlsVersion>,
    /// The highest version of TLS that services may speak; unless said, 1.3.
    pub tls_max_version: Option<TlsVersion>,
    /// How long a service may take to begin its answer, and to send the next part of it.
    pub timeout: HumanDuration,

    /// How many requests to one service may be under way at once.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u32,
    /// How many requests a second may be sent to one service, by all agents that share the work; 0 is as many
    /// as one likes. The owner of a listing has all of it; where each agent asks for its resources, each has
    /// an equal part, at least 1.
    #[schemars(range(max = 1_000_000))]
    pub rate: u32,
    /// How often a request is sent again that found the service busy (429, 502, 503, 504) or away.
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// After so many failures in a row (unreachable, timed out, 502, 503, 504) a service is left alone.
    #[schemars(range(min = 1, max = 1000))]
    pub breaker_failures: u32,
    /// How long a failing service is left alone; then one request sees whether it is back.
    pub breaker_interval: HumanDuration,
    /// How many resources to ask for at once, where the service can say so.
    #[schemars(range(min = 1, max = 10_000))]
    pub page_size: u32,
    /// Whether disabled projects, and those of disabled domains, are left out of the discovery `tenant`.
    pub ignore_disabled_projects: bool,
    /// Whether samples have the names of their projects and users, beside the ids. Keystone is asked for each once in
    /// ten minutes.
    pub identity_name_discovery: bool,
    /// What is special about a service, by name: `cinder`, `glance`, `keystone`, `neutron`, `nova` ...
    pub services: BTreeMap<String, ServiceOptions>,
}

/// What is special about one service.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceOptions {
    /// Its type in the catalog, where it is not the usual one or one of its aliases.
    pub service_type: Option<String>,
    /// Its name in the catalog, where several services of one type have different ones.
    pub catalog_name: Option<String>,
    /// Its region.
    pub region_name: Option<String>,
    /// Its interface.
    pub interface: Option<String>,
    /// Its endpoint, whatever the catalog says.
    pub endpoint: Option<String>,
    /// The authorities that its certificate is checked by (PEM), in the place of those of the others.
    pub cafile: Option<PathBuf>,
    /// Whether to believe any certificate of it.
    pub insecure: Option<bool>,
    /// The least version of TLS that it may speak, in the place of that of the others.
    pub tls_min_version: Option<TlsVersion>,
    /// The highest version of TLS that it may speak, in the place of that of the others.
    pub tls_max_version: Option<TlsVersion>,
    /// As the option beside `services`.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: Option<u32>,
    /// As the option beside `services`.
    #[schemars(range(max = 1_000_000))]
    pub rate: Option<u32>,
    /// As the option beside `services`.
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
