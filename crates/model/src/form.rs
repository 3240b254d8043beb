//! The forms in which batches are encoded.

/// What the bytes of an encoded batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// One JSON object a line, in ceilometer's message form.
    JsonLines,
    /// The body of one notification of oslo.messaging.
    Notification,
}

impl Form {
    /// Its name, and what stands for it in files of programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonLines => "json-lines",
            Self::Notification => "notification",
        }
    }

    /// The number that stands for it on disk; it never changes.
    pub fn code(self) -> u8 {
        match self {
            Self::JsonLines => 1,
            Self::Notification => 2,
        }
    }

    /// The form for which this number stands.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::JsonLines, Self::Notification]
            .into_iter()
            .find(|form| form.code() == code)
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}
