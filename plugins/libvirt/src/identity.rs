//! How the domain of an instance is found.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// How the domain of an instance is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// By the domain's UUID, which is the id of the instance.
    Uuid(Uuid),
    /// By the domain's name, if the id is not a UUID.
    Name(String),
}

impl Identity {
    /// Creates the identity of a server with this id, whose domain has this name.
    pub(crate) fn of(id: &str, domain: Option<&str>) -> Self {
        match uuid(id) {
            Some(uuid) => Self::Uuid(uuid),
            None => Self::Name(domain.unwrap_or_default().to_owned()),
        }
    }
}

/// Parses a UUID of 36 characters; other forms are not used for domains.
pub(crate) fn uuid(text: &str) -> Option<Uuid> {
    text.parse::<Hyphenated>().ok().map(Hyphenated::into_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_displayed_uuid_is_parsed_as_the_same() {
        let text = "5a1c0000-0000-4000-8000-0000000000f1";
        assert_eq!(uuid(text).unwrap().to_string(), text);
        let upper = "5A1C0000-0000-4000-8000-0000000000F1";
        assert_eq!(uuid(upper), uuid(text));
        for invalid in [
            "",
            "5a1c",
            "5a1c0000-0000-4000-8000-0000000000fg",
            "5a1c0000x0000-4000-8000-0000000000f1",
        ] {
            assert_eq!(uuid(invalid), None, "{invalid}");
        }
    }
}
