//! The agent's credentials and scope, and the sources that they are read from.

use nephoscope_plugin::{OptionsError, Secret};
use reqwest::Url;
use serde_json::{Value, json};

use crate::clouds::{self, Cloud};
use crate::environment::Environment;
use crate::options::Options;
use crate::tls::TlsVersions;

/// An error of the option at this path.
fn invalid(path: &str, message: impl Into<String>) -> OptionsError {
    OptionsError::new(path.to_owned(), message.into())
}

/// Credentials for a token.
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
    /// The scope that the user or the application credential has by default.
    Own,
    ProjectId(String),
    ProjectName(String, Domain),
    Domain(Domain),
    System,
    Trust(String),
}

/// How services are reached, without the credentials.
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

/// Reads credentials from the options, clouds.yaml or the environment. `None`: no source names a cloud.
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
        let cloud = clouds::read(&files, cloud).map_err(|error| invalid(path, error.to_string()))?;
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
    fn of(options: &Options) -> Result<Self, OptionsError> {
        let tokens_url = tokens_url(options.auth_url.as_deref())?;
        let method = Method::of(options)?;
        let scope = match method {
            // Keystone rejects a scope with an application credential, which has its own.
            Method::ApplicationCredential { .. } => Scope::Own,
            Method::Password { .. } | Method::Token(_) => Scope::of(options)?,
        };
        Ok(Self {
            tokens_url,
            method,
            scope,
        })
    }

    /// The body of the token request. It contains the secret.
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
    fn of(options: &Options) -> Result<Self, OptionsError> {
        let credential =
            options.application_credential_id.is_some() || options.application_credential_name.is_some();
        match options.auth_type.as_deref() {
            Some("password" | "v3password") => Self::password(options),
            Some("v3applicationcredential") => Self::credential(options),
            Some("token" | "v3token") => Self::token(options),
            None if credential => Self::credential(options),
            None if options.token.is_some() => Self::token(options),
            None => Self::password(options),
            Some(other) => Err(invalid(
                "auth_type",
                format!("`{other}` is not supported; expected password, v3applicationcredential or token"),
            )),
        }
    }

    fn password(options: &Options) -> Result<Self, OptionsError> {
        Ok(Self::Password {
            user: User::of(options)?,
            password: required("password", options.password.clone())?,
        })
    }

    fn credential(options: &Options) -> Result<Self, OptionsError> {
        let credential = match &options.application_credential_id {
            Some(id) => Credential::Id(id.clone()),
            None => Credential::Name(
                required(
                    "application_credential_id",
                    options.application_credential_name.clone(),
                )?,
                User::of(options)?,
            ),
        };
        Ok(Self::ApplicationCredential {
            credential,
            secret: required(
                "application_credential_secret",
                options.application_credential_secret.clone(),
            )?,
        })
    }

    fn token(options: &Options) -> Result<Self, OptionsError> {
        Ok(Self::Token(required("token", options.token.clone())?))
    }
}

fn required<T>(path: &str, value: Option<T>) -> Result<T, OptionsError> {
    value.ok_or_else(|| invalid(path, "required for this authentication method, and missing"))
}

impl User {
    fn of(options: &Options) -> Result<Self, OptionsError> {
        if let Some(id) = &options.user_id {
            return Ok(Self::Id(id.clone()));
        }
        let name = required("username", options.username.clone())?;
        let domain = Domain::of(&options.user_domain_id, &options.user_domain_name, options);
        Ok(Self::Name(name, required("user_domain_name", domain)?))
    }

    fn json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name, domain) => json!({ "name": name, "domain": domain.json() }),
        }
    }
}

impl Domain {
    fn of(id: &Option<String>, name: &Option<String>, options: &Options) -> Option<Self> {
        let by_id = |id: &Option<String>| id.clone().map(Self::Id);
        let by_name = |name: &Option<String>| name.clone().map(Self::Name);
        by_id(id)
            .or_else(|| by_name(name))
            .or_else(|| by_id(&options.default_domain_id))
            .or_else(|| by_name(&options.default_domain_name))
    }

    fn json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

impl Scope {
    fn of(options: &Options) -> Result<Self, OptionsError> {
        match options.system_scope.as_deref() {
            Some("all") => return Ok(Self::System),
            Some(_) => return Err(invalid("system_scope", "expected `all`, the only system scope")),
            None => {}
        }
        if let Some(trust) = &options.trust_id {
            return Ok(Self::Trust(trust.clone()));
        }
        if let Some(id) = &options.project_id {
            return Ok(Self::ProjectId(id.clone()));
        }
        if let Some(name) = &options.project_name {
            let domain = Domain::of(&options.project_domain_id, &options.project_domain_name, options);
            return Ok(Self::ProjectName(
                name.clone(),
                required("project_domain_name", domain)?,
            ));
        }
        let domain = options.domain_id.clone().map(Domain::Id);
        let domain = domain.or_else(|| options.domain_name.clone().map(Domain::Name));
        Ok(domain.map_or(Self::Own, Self::Domain))
    }
}

/// `.../v3/auth/tokens` for an `auth_url` with or without the version.
fn tokens_url(auth_url: Option<&str>) -> Result<Url, OptionsError> {
    let text = required("auth_url", auth_url)?;
    // The URL parser's error contains nothing of the text.
    let mut url = Url::parse(text).map_err(|error| invalid("auth_url", error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("auth_url", "expected `http://` or `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "auth_url",
            "a URL with user and password; set the options `username` and `password`",
        ));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v2.0").unwrap_or(path);
    let root = path.strip_suffix("/v3").unwrap_or(path).to_owned();
    url.set_path(&format!("{root}/v3/auth/tokens"));
    Ok(url)
}

/// Converts a cloud of clouds.yaml to options.
fn of_cloud(cloud: Cloud) -> Options {
    let auth = cloud.auth;
    Options {
        // `Method` knows the `v3` names of the tools.
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

/// Converts environment variables to options.
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
    fn each_authentication_method_has_the_form_that_keystone_accepts() {
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
    fn missing_and_wrong_options_are_named() {
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
        option `auth_url`: a URL with user and password; set the options `username` and `password`
        option `auth_type`: `v3kerberos` is not supported; expected password, v3applicationcredential or token
        option `username`: required for this authentication method, and missing
        option `user_domain_name`: required for this authentication method, and missing
        option `password`: required for this authentication method, and missing
        option `project_domain_name`: required for this authentication method, and missing
        option `system_scope`: expected `all`, the only system scope
        option `clouds_file`: no clouds.yaml is at /nowhere/clouds.yaml
        ");
    }

    #[test]
    fn variables_are_used_where_no_other_source_names_a_cloud() {
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
        let options = options(json!({ "auth_url": "http://other", "user_id": "x", "password": "y" }));
        let (found, access) = find(&options, &environment).unwrap();
        assert_eq!(found.unwrap().tokens_url.host_str(), Some("other"));
        assert_eq!(access.ca, None, "sources are not mixed");
        assert!(
            find(&Options::default(), &Environment::default())
                .unwrap()
                .0
                .is_none()
        );
    }
}
