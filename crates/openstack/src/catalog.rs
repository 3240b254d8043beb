//! The service catalog: the endpoints of a token's cloud.

use serde::Deserialize;

/// A service of the catalog.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CatalogService {
    #[serde(rename = "type", default)]
    service_type: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    endpoints: Vec<CatalogEndpoint>,
}

/// An endpoint of a service.
#[derive(Debug, Clone, Deserialize)]
struct CatalogEndpoint {
    #[serde(default)]
    interface: String,
    #[serde(default)]
    url: String,
    region: Option<String>,
    region_id: Option<String>,
}

/// Which of a service's endpoints is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum Interface {
    #[default]
    Public,
    Internal,
    Admin,
}

impl Interface {
    /// Parses `public`, `publicURL` and the like.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix("URL").unwrap_or(text) {
            "public" => Some(Self::Public),
            "internal" => Some(Self::Internal),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// Names of a service type in catalogs: the official one of the OpenStack service types authority, then its
/// aliases, best first. Types of API versions that no plugin supports (`volumev2`) are left out.
const ALIASES: [(&str, &[&str]); 5] = [
    ("alarm", &["alarming"]),
    ("block-storage", &["volumev3", "block-store", "volume"]),
    ("compute", &["computev21"]),
    ("shared-file-system", &["sharev2", "share"]),
    ("key-manager", &["keymanager"]),
];

/// Returns all names that a catalog may use for the type, best first.
pub(crate) fn names(service_type: &str) -> impl Iterator<Item = &str> {
    let group = ALIASES
        .iter()
        .find(|(official, aliases)| *official == service_type || aliases.contains(&service_type));
    let (official, aliases) =
        group.map_or((None, &[][..]), |(official, aliases)| (Some(*official), *aliases));
    // A type that the configuration names comes before its official name.
    std::iter::once(service_type).chain(
        official
            .into_iter()
            .chain(aliases.iter().copied())
            .filter(move |name| *name != service_type),
    )
}

/// The services of a cloud.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog(Vec<CatalogService>);

impl Catalog {
    pub(crate) fn new(services: Vec<CatalogService>) -> Self {
        Self(services)
    }

    /// Returns the number of services.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the first endpoint of a type (or one of its aliases) with this interface, in this region (default: any),
    /// of a service of this name (default: any).
    pub(crate) fn find(
        &self,
        service_type: &str,
        interface: Interface,
        region: Option<&str>,
        name: Option<&str>,
    ) -> Option<&str> {
        for known in names(service_type) {
            if let Some(url) = self.urls(Some(known), interface, region, name).next() {
                return Some(url);
            }
        }
        None
    }

    /// Returns all URLs of a type (default: all types) with this interface, in this region (default: any).
    pub(crate) fn urls<'c, 'q>(
        &'c self,
        service_type: Option<&'q str>,
        interface: Interface,
        region: Option<&'q str>,
        name: Option<&'q str>,
    ) -> impl Iterator<Item = &'c str> + use<'c, 'q> {
        self.0
            .iter()
            .filter(move |service| service_type.is_none_or(|wanted| service.service_type == wanted))
            .filter(move |service| name.is_none_or(|wanted| service.name == wanted))
            .flat_map(|service| &service.endpoints)
            .filter(move |endpoint| Interface::parse(&endpoint.interface) == Some(interface))
            .filter(move |endpoint| {
                region.is_none_or(|wanted| {
                    endpoint.region_id.as_deref() == Some(wanted)
                        || endpoint.region.as_deref() == Some(wanted)
                })
            })
            .map(|endpoint| endpoint.url.as_str())
            .filter(|url| !url.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let endpoint = |interface: &str, region: &str, url: &str| serde_json::json!({ "interface": interface, "region": region, "region_id": region, "url": url });
        let services = serde_json::json!([
            { "type": "volumev2", "name": "cinderv2", "endpoints": [endpoint("public", "r1", "http://c/v2")] },
            { "type": "volumev3", "name": "cinderv3", "endpoints": [
                endpoint("admin", "r1", "http://admin/v3"),
                endpoint("public", "r2", "http://r2/v3"),
                endpoint("public", "r1", "http://r1/v3"),
            ] },
            { "type": "image", "name": "glance", "endpoints": [endpoint("publicURL", "r1", "http://g")] },
            { "type": "odd" },
        ]);
        Catalog::new(serde_json::from_value(services).unwrap())
    }

    #[test]
    fn an_endpoint_is_found_by_alias_interface_and_region() {
        let catalog = catalog();
        let find = |service, interface, region| catalog.find(service, interface, region, None);
        assert_eq!(
            find("block-storage", Interface::Public, Some("r1")),
            Some("http://r1/v3")
        );
        assert_eq!(
            find("block-storage", Interface::Public, None),
            Some("http://r2/v3")
        );
        assert_eq!(find("volumev3", Interface::Admin, None), Some("http://admin/v3"));
        assert_eq!(find("image", Interface::Public, None), Some("http://g"));
        assert_eq!(find("image", Interface::Internal, None), None);
        assert_eq!(find("image", Interface::Public, Some("r2")), None);
        assert_eq!(
            catalog.find("volumev3", Interface::Public, None, Some("other")),
            None
        );
        assert_eq!(catalog.urls(None, Interface::Public, Some("r1"), None).count(), 3);
    }

    #[test]
    fn a_configured_type_comes_before_its_official_name() {
        assert_eq!(
            names("sharev2").collect::<Vec<_>>(),
            ["sharev2", "shared-file-system", "share"]
        );
        assert_eq!(names("image").collect::<Vec<_>>(), ["image"]);
    }
}
