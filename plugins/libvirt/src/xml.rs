//! An XML document as a small tree, for domain definitions.

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

/// The longest document; libvirt sends no longer text.
pub(crate) const MAX_LENGTH: usize = 4 << 20;

/// The maximum nesting depth.
const MAX_DEPTH: usize = 64;

/// Why a text is not a valid document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XmlError {
    #[error("the document is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("the document is nested deeper than {MAX_DEPTH} elements")]
    TooDeep,
    #[error("invalid XML: {0}")]
    Malformed(String),
}

impl XmlError {
    fn malformed(error: impl std::fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    /// The name without its prefix.
    pub(crate) name: String,
    /// The namespace; empty without one.
    pub(crate) namespace: String,
    /// Attributes without a prefix.
    attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    /// The text before the first child.
    pub(crate) text: String,
}

impl Element {
    /// Parses a document and returns its root element.
    pub(crate) fn parse(text: &str) -> Result<Self, XmlError> {
        if text.len() > MAX_LENGTH {
            return Err(XmlError::TooLong);
        }
        let mut reader = NsReader::from_str(text);
        // The first entry is the parent of the root element.
        let mut open = vec![Self::default()];
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(XmlError::malformed)?;
            let namespace = match namespace {
                ResolveResult::Bound(namespace) => namespace.0.to_owned(),
                ResolveResult::Unbound | ResolveResult::Unknown(_) => String::new(),
            };
            match event {
                Event::Start(start) => {
                    if open.len() > MAX_DEPTH {
                        return Err(XmlError::TooDeep);
                    }
                    open.push(Self::of(&start, namespace)?);
                }
                Event::Empty(start) => {
                    let element = Self::of(&start, namespace)?;
                    parent(&mut open)?.children.push(element);
                }
                Event::End(_) => {
                    let element = open.pop().ok_or_else(unbalanced)?;
                    parent(&mut open)?.children.push(element);
                }
                Event::Text(text) => parent(&mut open)?.add(&text.xml10_content()),
                Event::CData(text) => parent(&mut open)?.add(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let text = resolve(&reference)?;
                    parent(&mut open)?.add(&text);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let outside = open.pop().filter(|_| open.is_empty()).ok_or_else(unbalanced)?;
        outside.children.into_iter().next().ok_or_else(unbalanced)
    }

    fn of(start: &BytesStart<'_>, namespace: String) -> Result<Self, XmlError> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(XmlError::malformed)?;
            if attribute.key.prefix().is_some() {
                continue;
            }
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(XmlError::malformed)?;
            attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
        }
        Ok(Self {
            name: start.local_name().as_ref().to_owned(),
            namespace,
            attributes,
            ..Self::default()
        })
    }

    fn add(&mut self, text: &str) {
        if self.children.is_empty() {
            self.text.push_str(text);
        }
    }

    /// Returns the value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.all(name).next()
    }

    /// Returns the children of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Returns the first element at a path of names.
    pub(crate) fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }
}

fn parent(open: &mut [Element]) -> Result<&mut Element, XmlError> {
    open.last_mut().ok_or_else(unbalanced)
}

fn unbalanced() -> XmlError {
    XmlError::Malformed("the tags do not match".to_owned())
}

/// Resolves `&amp;` and `&#38;`; libvirt's documents declare no entities.
fn resolve(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(XmlError::malformed)? {
        return Ok(character.to_string());
    }
    let name: &str = reference;
    match resolve_predefined_entity(name) {
        Some(text) => Ok(text.to_owned()),
        None => Err(XmlError::Malformed(format!("unknown entity `&{name};`"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_is_read_with_namespaces_references_and_cdata() {
        let root = Element::parse(
            "<?xml version='1.0'?><!-- c --><a x='1 &amp; &#x2F;'><n:b xmlns:n='urn:n' n:y='z'>t&lt;\
             <![CDATA[<u>]]></n:b><c/>tail</a>",
        )
        .unwrap();
        assert_eq!(root.attribute("x"), Some("1 & /"));
        let child = root.child("b").unwrap();
        assert_eq!(
            (child.namespace.as_str(), child.text.as_str()),
            ("urn:n", "t<<u>")
        );
        assert_eq!(child.attribute("y"), None);
        assert!(root.find(&["c"]).is_some() && root.find(&["c", "d"]).is_none());
        assert_eq!(root.text, "");
    }

    #[test]
    fn invalid_documents_are_rejected() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a b=c/>",
            "<a>&x;</a>",
            "<a>&#0;</a>",
        ] {
            assert!(
                matches!(Element::parse(text), Err(XmlError::Malformed(_))),
                "{text}: {:?}",
                Element::parse(text)
            );
        }
        assert_eq!(Element::parse(&"<a>".repeat(1000)), Err(XmlError::TooDeep));
        assert_eq!(
            Element::parse(&" ".repeat(MAX_LENGTH + 1)),
            Err(XmlError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "[<>a-c/&;='\" \\[\\]!#?-]{0,60}") {
            let _ = Element::parse(&text);
        }
    }
}
