//! What Nova writes into the definition of each of its domains, so that nobody needs to ask Nova.
//!
//! The element is `instance` of the namespace `http://openstack.org/xmlns/libvirt/nova/1.1` (before: `1.0`).

use crate::xml::Element;

/// The namespaces, the newest first.
const NAMESPACES: [&str; 2] = [
    "http://openstack.org/xmlns/libvirt/nova/1.1",
    "http://openstack.org/xmlns/libvirt/nova/1.0",
];

/// Why an instance cannot be known by its metadata. Nothing is guessed: samples are billed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NovaError {
    /// An element is missing.
    #[error("its Nova metadata has no `{0}`")]
    Missing(&'static str),
    /// A number is none.
    #[error("its Nova metadata has `{text}` as the flavor's `{name}`, which is no whole number")]
    NoNumber {
        /// The element.
        name: &'static str,
        /// What it has.
        text: String,
    },
}

/// What Nova wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NovaMetadata {
    pub(crate) name: String,
    pub(crate) project: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) flavor: NovaFlavor,
    /// The image that it was started from; nothing when it was started from a volume.
    pub(crate) root_image: Option<String>,
    /// What is known of the image, by the names of samples; nothing if an old Nova wrote nothing.
    pub(crate) image_meta: Option<Vec<(String, String)>>,
}

/// The flavor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NovaFlavor {
    /// Nova before 2025.2 does not write it.
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
    /// Nothing if an old Nova wrote nothing.
    pub(crate) extra_specs: Option<Vec<(String, String)>>,
}

impl NovaMetadata {
    /// Of a domain's `metadata`; nothing if there is none of Nova's.
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

/// A number of the flavor; 0 where there is none.
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

/// The names and texts of elements.
fn pairs<'a>(elements: impl Iterator<Item = &'a Element>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for element in elements {
        let name = element.attribute("name").unwrap_or_default();
        put(&mut pairs, name.to_owned(), element.text.clone());
    }
    pairs
}

/// A later value takes the place of an earlier one of the same name, as in a dictionary.
fn put(pairs: &mut Vec<(String, String)>, name: String, value: String) {
    match pairs.iter_mut().find(|(known, _)| *known == name) {
        Some((_, place)) => *place = value,
        None => pairs.push((name, value)),
    }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
