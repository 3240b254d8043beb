//! The metadata that Nova writes into the definition of each of its domains.
//!
//! The element is `instance` of the namespace `http://openstack.org/xmlns/libvirt/nova/1.1` (formerly `1.0`).

use crate::xml::Element;

/// The namespaces, newest first.
const NAMESPACES: [&str; 2] = [
    "http://openstack.org/xmlns/libvirt/nova/1.1",
    "http://openstack.org/xmlns/libvirt/nova/1.0",
];

/// Why the metadata is unusable. Samples are billed: missing values are not guessed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NovaError {
    /// An element is missing.
    #[error("the domain's Nova metadata has no `{0}`")]
    Missing(&'static str),
    /// A number is invalid.
    #[error("the domain's Nova metadata has the flavor `{name}` `{text}`; expected an integer")]
    NoNumber {
        /// The element.
        name: &'static str,
        /// The element's text.
        text: String,
    },
}

/// Nova's metadata of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NovaMetadata {
    pub(crate) name: String,
    pub(crate) project: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) flavor: NovaFlavor,
    /// The boot image; `None` for a server that boots from a volume.
    pub(crate) root_image: Option<String>,
    /// The image's properties, by their names in samples; `None` if an old Nova did not write them.
    pub(crate) image_meta: Option<Vec<(String, String)>>,
}

/// The flavor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NovaFlavor {
    /// `None` if Nova is older than 2025.2.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) vcpus: i64,
    /// MiB.
    pub(crate) ram: i64,
    /// GiB.
    pub(crate) disk: i64,
    /// GiB.
    pub(crate) ephemeral: i64,
    /// MiB.
    pub(crate) swap: i64,
    /// `None` if an old Nova did not write them.
    pub(crate) extra_specs: Option<Vec<(String, String)>>,
}

impl NovaMetadata {
    /// Reads a domain's `metadata`; `None` if it contains none of Nova's.
    pub(crate) fn of(metadata: &Element) -> Option<Result<Self, NovaError>> {
        let of_namespace = |namespace: &&str| {
            let mut instances = metadata.all("instance");
            instances.find(|instance| instance.namespace == *namespace)
        };
        let instance = NAMESPACES.iter().find_map(of_namespace)?;
        Some(Self::read(instance))
    }

    fn read(instance: &Element) -> Result<Self, NovaError> {
        let child = |name| instance.child(name).ok_or(NovaError::Missing(name));
        let owner = child("owner")?;
        let id = |name| owned(owner.child(name).and_then(|one| one.attribute("uuid")));
        let is_image = |root: &&Element| root.attribute("type") == Some("image");
        let root = instance.all("root").find(is_image);
        Ok(Self {
            name: child("name")?.text.clone(),
            project: id("project"),
            user: id("user"),
            flavor: NovaFlavor::read(child("flavor")?)?,
            root_image: root.and_then(|root| owned(root.attribute("uuid"))),
            image_meta: instance.child("image").map(image_meta),
        })
    }
}

impl NovaFlavor {
    fn read(flavor: &Element) -> Result<Self, NovaError> {
        let name = flavor
            .attribute("name")
            .ok_or(NovaError::Missing("flavor name"))?;
        let id = flavor.attribute("id").filter(|id| !id.is_empty());
        let specs = flavor.child("extraSpecs");
        Ok(Self {
            id: owned(id),
            name: name.to_owned(),
            vcpus: number(flavor, "vcpus")?,
            ram: number(flavor, "memory")?,
            disk: number(flavor, "disk")?,
            ephemeral: number(flavor, "ephemeral")?,
            swap: number(flavor, "swap")?,
            extra_specs: specs.map(|specs| pairs(specs.all("extraSpec"))),
        })
    }
}

/// Returns a number of the flavor; 0 if it is missing.
fn number(flavor: &Element, name: &'static str) -> Result<i64, NovaError> {
    let Some(element) = flavor.child(name) else {
        return Ok(0);
    };
    element.text.trim().parse().map_err(|_| NovaError::NoNumber {
        name,
        text: element.text.clone(),
    })
}

fn image_meta(image: &Element) -> Vec<(String, String)> {
    const ELEMENTS: [(&str, &str); 4] = [
        ("containerFormat", "container_format"),
        ("diskFormat", "disk_format"),
        ("minDisk", "min_disk"),
        ("minRam", "min_ram"),
    ];
    let mut meta = Vec::new();
    if let Some(id) = image.attribute("uuid") {
        meta.push(("base_image_ref".to_owned(), id.to_owned()));
    }
    for (element, name) in ELEMENTS {
        if let Some(element) = image.child(element) {
            meta.push((name.to_owned(), element.text.clone()));
        }
    }
    let properties = image.child("properties");
    for (name, value) in pairs(properties.into_iter().flat_map(|all| all.all("property"))) {
        put(&mut meta, name, value);
    }
    meta
}

/// Returns the names and texts of elements.
fn pairs<'a>(elements: impl Iterator<Item = &'a Element>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for element in elements {
        let name = element.attribute("name").unwrap_or_default();
        put(&mut pairs, name.to_owned(), element.text.clone());
    }
    pairs
}

/// Sets a value; replaces an earlier value of the same name.
fn put(pairs: &mut Vec<(String, String)>, name: String, value: String) {
    match pairs.iter_mut().find(|(known, _)| *known == name) {
        Some((_, place)) => *place = value,
        None => pairs.push((name, value)),
    }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
