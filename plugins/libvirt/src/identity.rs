//! How the domain of an instance is found.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// How the domain of an instance is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The id of an instance is the UUID of its domain.
    Uuid(Uuid),
    /// Where an id is no UUID, by the name that Nova gave the domain.
    Name(String),
}

impl Identity {
    /// Of the server with this id, whose domain Nova gave this name.
    pub(crate) fn of(id: &str, domain: Option<&str>) -> Self {
        match uuid(id) {
            Some(uuid) => Self::Uuid(uuid),
            None => Self::Name(domain.unwrap_or_default().to_owned()),
        }
    }
}

/// A UUID from its 36 characters; the shorter and longer forms are not used for domains.
pub(crate) fn uuid(text: &str) -> Option<Uuid> {
    text.parse::<Hyphenated>().ok().map(Hyphenated::into_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        let text = "5a1c0000-0000-4000-8000-0000000000f1";
        assert_eq!(uuid(text).unwrap().to_string(), text);
        let upper = "5A1C0000-0000-4000-8000-0000000000F1";
        assert_eq!(uuid(upper), uuid(text));
        for odd in [
            "",
            "5a1c",
            "5a1c0000-0000-4000-8000-0000000000fg",
            "5a1c0000x0000-4000-8000-0000000000f1",
        ] {
            assert_eq!(uuid(odd), None, "{odd}");
        }
    }
}
