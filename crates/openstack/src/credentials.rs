//! Who the agent is to Keystone, for which scope, and where that was said.

use nephoscope_plugin::{OptionsError, Secret};
use reqwest::Url;
use serde_json::{Value, json};

use crate::clouds::{self, Cloud};
use crate::environment::Environment;
use crate::options::Options;
use crate::tls::TlsVersions;

/// The path below the options that an error concerns.
fn wrong(path: &str, message: impl Into<String>) -> OptionsError {
    OptionsError::new(path.to_owned(), message.into())
}

/// What it takes to get a token.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// Keystone's tokens: `.../v3/auth/tokens`.
    pub(crate) tokens_url: Url,
    method: Method,
    scope: Scope,
}

#[derive(Debug, Clone)]
enum Method {
    Password { user: User, password: Secret },
    ApplicationCredential { credential: Credential, secret: Secret },
    Token(Secret),
}

#[derive(Debug, Clone)]
enum Credential {
    Id(String),
    Name(String, User),
}

#[derive(Debug, Clone)]
enum User {
    Id(String),
    Name(String, Domain),
}

#[derive(Debug, Clone)]
enum Domain {
    Id(String),
    Name(String),
}

#[derive(Debug, Clone)]
enum Scope {
    /// What the user or the application credential has by itself.
    Own,
    ProjectId(String),
    ProjectName(String, Domain),
    Domain(Domain),
    System,
    Trust(String),
}

/// How services are reached, beside credentials.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub(crate) region: Option<String>,
    pub(crate) interface: Option<String>,
    pub(crate) ca: Option<std::path::PathBuf>,
    pub(crate) certificate: Option<std::path::PathBuf>,
    pub(crate) key: Option<std::path::PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) versions: TlsVersions,
}

/// Looks for credentials: in the options, in clouds.yaml, in the environment. `None`: nobody names a cloud.
///
/// # Errors
///
/// The option that is wrong or missing.
pub(crate) fn find(
    options: &Options,
    environment: &Environment,
) -> Result<(Option<Credentials>, Access), OptionsError> {
    let cloud = options.cloud.as_deref().or(environment.get("OS_CLOUD"));
    let (found, access) = if options.auth_url.is_some() {
        (Some(options.clone()), Access::default())
    } else if let Some(cloud) = cloud {
        let files = match &options.clouds_file {
            Some(file) => vec![file.clone()],
            None => environment.cloud_files(),
        };
        let path = if options.clouds_file.is_some() {
            "clouds_file"
        } else {
            "cloud"
        };
        let cloud = clouds::read(&files, cloud).map_err(|error| wrong(path, error.to_string()))?;
        let access = Access {
            region: cloud.region_name.clone(),
            interface: cloud.interface.clone(),
            ca: cloud.cacert.clone(),
            certificate: cloud.cert.clone(),
            key: cloud.key.clone(),
            insecure: cloud.verify == Some(false),
            versions: TlsVersions::default(),
        };
        (Some(of_cloud(cloud)), access)
    } else if environment.get("OS_AUTH_URL").is_some() {
        let path = |name: &str| environment.get(name).map(std::path::PathBuf::from);
        let access = Access {
            region: None,
            interface: None,
            ca: path("OS_CACERT"),
            certificate: path("OS_CERT"),
            key: path("OS_KEY"),
            insecure: false,
            versions: TlsVersions::default(),
        };
        (Some(of_environment(environment)), access)
    } else {
        (None, Access::default())
    };
    let text = |name: &str| environment.get(name).map(str::to_owned);
    let access = Access {
        region: options
            .region_name
            .clone()
            .or(access.region)
            .or_else(|| text("OS_REGION_NAME")),
        interface: options
            .interface
            .clone()
            .or(access.interface)
            .or_else(|| text("OS_INTERFACE"))
            .or_else(|| text("OS_ENDPOINT_TYPE")),
        ca: options.cafile.clone().or(access.ca),
        certificate: options.certfile.clone().or(access.certificate),
        key: options.keyfile.clone().or(access.key),
        insecure: options.insecure.unwrap_or(access.insecure),
        versions: TlsVersions {
            min: options.tls_min_version,
            max: options.tls_max_version,
        },
    };
    let credentials = found.map(|found| Credentials::of(&found)).transpose()?;
    Ok((credentials, access))
}

impl Credentials {
    fn of(said: &Options) -> Result<Self, OptionsError> {
        let tokens_url = tokens_url(said.auth_url.as_deref())?;
        let method = Method::of(said)?;
        let scope = match method {
            // Keystone refuses a scope beside an application credential, which has its own.
            Method::ApplicationCredential { .. } => Scope::Own,
            Method::Password { .. } | Method::Token(_) => Scope::of(said)?,
        };
        Ok(Self {
            tokens_url,
            method,
            scope,
        })
    }

    /// The body of the request for a token. It holds the secret.
    pub(crate) fn request(&self) -> Value {
        let identity = match &self.method {
            Method::Password { user, password } => {
                let mut user = user.json();
                user["password"] = json!(password.expose());
                json!({ "methods": ["password"], "password": { "user": user } })
            }
            Method::ApplicationCredential { credential, secret } => {
                let mut entry = match credential {
                    Credential::Id(id) => json!({ "id": id }),
                    Credential::Name(name, user) => json!({ "name": name, "user": user.json() }),
                };
                entry["secret"] = json!(secret.expose());
                json!({ "methods": ["application_credential"], "application_credential": entry })
            }
            Method::Token(token) => {
                json!({ "methods": ["token"], "token": { "id": token.expose() } })
            }
        };
        let mut auth = json!({ "identity": identity });
        let scope = match &self.scope {
            Scope::Own => None,
            Scope::ProjectId(id) => Some(json!({ "project": { "id": id } })),
            Scope::ProjectName(name, domain) => {
                Some(json!({ "project": { "name": name, "domain": domain.json() } }))
            }
            Scope::Domain(domain) => Some(json!({ "domain": domain.json() })),
            Scope::System => Some(json!({ "system": { "all": true } })),
            Scope::Trust(id) => Some(json!({ "OS-TRUST:trust": { "id": id } })),
        };
        if let Some(scope) = scope {
            auth["scope"] = scope;
        }
        json!({ "auth": auth })
    }
}

impl Method {
    fn of(said: &Options) -> Result<Self, OptionsError> {
        let credential =
            said.application_credential_id.is_some() || said.application_credential_name.is_some();
        match said.auth_type.as_deref() {
            Some("password" | "v3password") => Self::password(said),
            Some("v3applicationcredential") => Self::credential(said),
            Some("token" | "v3token") => Self::token(said),
            None if credential => Self::credential(said),
            None if said.token.is_some() => Self::token(said),
            None => Self::password(said),
            Some(other) => Err(wrong(
                "auth_type",
                format!("`{other}` is not supported: password, v3applicationcredential or token"),
            )),
        }
    }

    fn password(said: &Options) -> Result<Self, OptionsError> {
        Ok(Self::Password {
            user: User::of(said)?,
            password: needed("password", said.password.clone())?,
        })
    }

    fn credential(said: &Options) -> Result<Self, OptionsError> {
        let credential = match &said.application_credential_id {
            Some(id) => Credential::Id(id.clone()),
            None => Credential::Name(
                needed(
                    "application_credential_id",
                    said.application_credential_name.clone(),
                )?,
                User::of(said)?,
            ),
        };
        Ok(Self::ApplicationCredential {
            credential,
            secret: needed(
                "application_credential_secret",
                said.application_credential_secret.clone(),
            )?,
        })
    }

    fn token(said: &Options) -> Result<Self, OptionsError> {
        Ok(Self::Token(needed("token", said.token.clone())?))
    }
}

fn needed<T>(path: &str, value: Option<T>) -> Result<T, OptionsError> {
    value.ok_or_else(|| wrong(path, "needed for this way to authenticate, and not given"))
}

impl User {
    fn of(said: &Options) -> Result<Self, OptionsError> {
        if let Some(id) = &said.user_id {
            return Ok(Self::Id(id.clone()));
        }
        let name = needed("username", said.username.clone())?;
        let domain = Domain::of(&said.user_domain_id, &said.user_domain_name, said);
        Ok(Self::Name(name, needed("user_domain_name", domain)?))
    }

    fn json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name, domain) => json!({ "name": name, "domain": domain.json() }),
        }
    }
}

impl Domain {
    fn of(id: &Option<String>, name: &Option<String>, said: &Options) -> Option<Self> {
        let by_id = |id: &Option<String>| id.clone().map(Self::Id);
        let by_name = |name: &Option<String>| name.clone().map(Self::Name);
        by_id(id)
            .or_else(|| by_name(name))
            .or_else(|| by_id(&said.default_domain_id))
            .or_else(|| by_name(&said.default_domain_name))
    }

    fn json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

impl Scope {
    fn of(said: &Options) -> Result<Self, OptionsError> {
        match said.system_scope.as_deref() {
            Some("all") => return Ok(Self::System),
            Some(_) => return Err(wrong("system_scope", "only `all` is a scope of the system")),
            None => {}
        }
        if let Some(trust) = &said.trust_id {
            return Ok(Self::Trust(trust.clone()));
        }
        if let Some(id) = &said.project_id {
            return Ok(Self::ProjectId(id.clone()));
        }
        if let Some(name) = &said.project_name {
            let domain = Domain::of(&said.project_domain_id, &said.project_domain_name, said);
            return Ok(Self::ProjectName(
                name.clone(),
                needed("project_domain_name", domain)?,
            ));
        }
        let domain = said.domain_id.clone().map(Domain::Id);
        let domain = domain.or_else(|| said.domain_name.clone().map(Domain::Name));
        Ok(domain.map_or(Self::Own, Self::Domain))
    }
}

/// `.../v3/auth/tokens` for an `auth_url` with or without the version.
fn tokens_url(auth_url: Option<&str>) -> Result<Url, OptionsError> {
    let text = needed("auth_url", auth_url)?;
    // What the parser says of a wrong URL has nothing of its text.
    let mut url = Url::parse(text).map_err(|error| wrong("auth_url", error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("auth_url", "expected `http://` or `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("auth_url", "user and password have options of their own"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v2.0").unwrap_or(path);
    let root = path.strip_suffix("/v3").unwrap_or(path).to_owned();
    url.set_path(&format!("{root}/v3/auth/tokens"));
    Ok(url)
}

/// The options that clouds.yaml stands for.
fn of_cloud(cloud: Cloud) -> Options {
    let auth = cloud.auth;
    Options {
        // `v3` names of the tools that have the same meaning are known to `Method`.
        auth_type: cloud.auth_type,
        auth_url: auth.auth_url,
        system_scope: auth.system_scope,
        domain_id: auth.domain_id,
        domain_name: auth.domain_name,
        project_id: auth.project_id,
        project_name: auth.project_name,
        project_domain_id: auth.project_domain_id,
        project_domain_name: auth.project_domain_name,
        trust_id: auth.trust_id,
        default_domain_id: auth.default_domain_id,
        default_domain_name: auth.default_domain_name,
        user_id: auth.user_id,
        username: auth.username,
        user_domain_id: auth.user_domain_id,
        user_domain_name: auth.user_domain_name,
        password: auth.password,
        application_credential_id: auth.application_credential_id,
        application_credential_name: auth.application_credential_name,
        application_credential_secret: auth.application_credential_secret,
        token: auth.token,
        ..Options::default()
    }
}

/// The options that the variables stand for.
fn of_environment(environment: &Environment) -> Options {
    let text = |name: &str| environment.get(name).map(str::to_owned);
    let secret = |name: &str| environment.get(name).map(Secret::new);
    Options {
        auth_type: text("OS_AUTH_TYPE"),
        auth_url: text("OS_AUTH_URL"),
        system_scope: text("OS_SYSTEM_SCOPE"),
        domain_id: text("OS_DOMAIN_ID"),
        domain_name: text("OS_DOMAIN_NAME"),
        project_id: text("OS_PROJECT_ID").or_else(|| text("OS_TENANT_ID")),
        project_name: text("OS_PROJECT_NAME").or_else(|| text("OS_TENANT_NAME")),
        project_domain_id: text("OS_PROJECT_DOMAIN_ID"),
        project_domain_name: text("OS_PROJECT_DOMAIN_NAME"),
        trust_id: text("OS_TRUST_ID"),
        default_domain_id: text("OS_DEFAULT_DOMAIN_ID").or_else(|| text("OS_DEFAULT_DOMAIN")),
        default_domain_name: text("OS_DEFAULT_DOMAIN_NAME"),
        user_id: text("OS_USER_ID"),
        username: text("OS_USERNAME"),
        user_domain_id: text("OS_USER_DOMAIN_ID"),
        user_domain_name: text("OS_USER_DOMAIN_NAME"),
        password: secret("OS_PASSWORD"),
        application_credential_id: text("OS_APPLICATION_CREDENTIAL_ID"),
        application_credential_name: text("OS_APPLICATION_CREDENTIAL_NAME"),
        application_credential_secret: secret("OS_APPLICATION_CREDENTIAL_SECRET"),
        token: secret("OS_TOKEN"),
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(value: Value) -> Options {
        serde_json::from_value(value).unwrap()
    }

    fn request(said: Value) -> String {
        let (found, _) = find(&options(said), &Environment::default()).unwrap();
        let found = found.unwrap();
        format!("{} {}", found.tokens_url, found.request())
    }

    #[test]
    fn each_way_to_authenticate_has_the_form_that_keystone_takes() {
        let password = json!({
            "auth_url": "http://k:5000", "username": "u", "user_domain_name": "Default", "password": "p",
            "tenant_name": "service", "project_domain_id": "default",
        });
        let system = json!({
            "auth_url": "http://k/identity/", "user_id": "u1", "password": "p", "system_scope": "all",
        });
        let domain = json!({
            "auth_url": "http://k/v3/", "auth_type": "v3token", "token": "t", "domain_name": "d",
        });
        let credential = json!({
            "auth_url": "http://k/v2.0", "auth_type": "v3applicationcredential", "project_id": "ignored",
            "application_credential_id": "a", "application_credential_secret": "s",
        });
        let named = json!({
            "auth_url": "http://k/v3", "application_credential_name": "a", "application_credential_secret": "s",
            "username": "u", "default_domain_name": "d",
        });
        insta::assert_snapshot!([password, system, domain, credential, named].map(request).join("\n"), @r#"
        http://k:5000/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"u","domain":{"name":"Default"},"password":"p"}}},"scope":{"project":{"name":"service","domain":{"id":"default"}}}}}
        http://k/identity/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u1","password":"p"}}},"scope":{"system":{"all":true}}}}
        http://k/v3/auth/tokens {"auth":{"identity":{"methods":["token"],"token":{"id":"t"}},"scope":{"domain":{"name":"d"}}}}
        http://k/v3/auth/tokens {"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"a","secret":"s"}}}}
        http://k/v3/auth/tokens {"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"a","user":{"name":"u","domain":{"name":"d"}},"secret":"s"}}}}
        "#);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let mut text = String::new();
        for said in [
            json!({ "auth_url": "keystone" }),
            json!({ "auth_url": "http://user:canary@k" }),
            json!({ "auth_url": "http://k", "auth_type": "v3kerberos" }),
            json!({ "auth_url": "http://k" }),
            json!({ "auth_url": "http://k", "username": "u" }),
            json!({ "auth_url": "http://k", "user_id": "u" }),
            json!({ "auth_url": "http://k", "user_id": "u", "password": "p", "project_name": "x" }),
            json!({ "auth_url": "http://k", "user_id": "u", "password": "p", "system_scope": "some" }),
            json!({ "cloud": "prod", "clouds_file": "/nowhere/clouds.yaml" }),
        ] {
            let error = find(&options(said), &Environment::default()).unwrap_err();
            text += &format!("{error}\n");
        }
        insta::assert_snapshot!(text, @r"
        option `auth_url`: relative URL without a base
        option `auth_url`: user and password have options of their own
        option `auth_type`: `v3kerberos` is not supported: password, v3applicationcredential or token
        option `username`: needed for this way to authenticate, and not given
        option `user_domain_name`: needed for this way to authenticate, and not given
        option `password`: needed for this way to authenticate, and not given
        option `project_domain_name`: needed for this way to authenticate, and not given
        option `system_scope`: only `all` is a scope of the system
        option `clouds_file`: no clouds.yaml is at /nowhere/clouds.yaml
        ");
    }

    #[test]
    fn variables_are_used_where_nothing_else_names_a_cloud() {
        let environment = Environment::of([
            ("OS_AUTH_URL", "http://k/v3"),
            ("OS_USER_ID", "u"),
            ("OS_PASSWORD", "p"),
            ("OS_TENANT_ID", "t"),
            ("OS_INTERFACE", "internal"),
            ("OS_CACERT", "/ca.pem"),
        ]);
        let (found, access) = find(&Options::default(), &environment).unwrap();
        assert_eq!(
            found.unwrap().request()["auth"]["scope"],
            json!({ "project": { "id": "t" } })
        );
        assert_eq!(access.interface.as_deref(), Some("internal"));
        assert_eq!(access.ca, Some("/ca.pem".into()));
        let said = options(json!({ "auth_url": "http://other", "user_id": "x", "password": "y" }));
        let (found, access) = find(&said, &environment).unwrap();
        assert_eq!(found.unwrap().tokens_url.host_str(), Some("other"));
        assert_eq!(access.ca, None, "the source is taken whole");
        assert!(
            find(&Options::default(), &Environment::default())
                .unwrap()
                .0
                .is_none()
        );
    }
}
