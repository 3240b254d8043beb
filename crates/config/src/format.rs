//! The text formats of the `format` keyword in option schemas.

use crate::duration::HumanDuration;
use crate::size::ByteSize;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `30s`, `1h30m`.
    Duration,
    /// `64KiB`.
    Size,
    /// A text with a scheme: `discard:`, `file:///path`.
    Url,
    /// `host:port`, `[::1]:port`.
    Address,
    /// The path of a file or folder.
    Path,
    /// Letters, digits, `.`, `_` and `-`.
    Identifier,
    /// The address of the admin API: `unix:PATH`, `tcp:HOST:PORT`, `off`.
    Admin,
}

impl Format {
    /// Returns the format with this name; `None` for number formats (`uint32`) and unknown names.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "duration" => Self::Duration,
            "size" => Self::Size,
            "url" | "uri" => Self::Url,
            "address" => Self::Address,
            "path" => Self::Path,
            "identifier" => Self::Identifier,
            "admin" => Self::Admin,
            _ => return None,
        })
    }

    /// Returns what is expected, as part of a sentence.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Duration => "a number of seconds or a duration such as `30s` or `1h30m`",
            Self::Size => "a number of bytes or a size such as `64KiB` or `1GiB`",
            Self::Url => "a URL such as `stdout:` or `file:///var/lib/samples`",
            Self::Address => "an address such as `127.0.0.1:9101` or `[::1]:9101`",
            Self::Path => "a path",
            Self::Identifier => "letters, digits, `.`, `_` and `-`",
            Self::Admin => "`unix:`, `unix:PATH`, `tcp:HOST:PORT` or `off`",
        }
    }

    /// Returns the number to which bounds of the schema apply: bytes or seconds.
    pub(crate) fn amount(self, text: &str) -> Option<f64> {
        match self {
            Self::Duration => {
                let duration = text.parse::<HumanDuration>().ok()?;
                Some(std::time::Duration::from(duration).as_secs_f64())
            }
            Self::Size => text.parse::<ByteSize>().ok().map(|size| size.0 as f64),
            _ => None,
        }
    }

    /// Formats such a number.
    pub(crate) fn shown(self, amount: u64) -> Option<String> {
        match self {
            Self::Duration => Some(format!("`{}`", HumanDuration::from_secs(amount))),
            Self::Size => Some(format!("`{}`", ByteSize(amount))),
            _ => None,
        }
    }

    pub(crate) fn matches(self, text: &str) -> bool {
        match self {
            Self::Duration => text.parse::<HumanDuration>().is_ok(),
            Self::Size => text.parse::<ByteSize>().is_ok(),
            Self::Url => scheme(text).is_some(),
            Self::Address => is_address(text),
            Self::Path => !text.is_empty() && !text.contains('\0'),
            Self::Identifier => {
                !text.is_empty()
                    && text
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
            }
            Self::Admin => match text.split_once(':') {
                Some(("unix", path)) => !path.contains('\0'),
                Some(("tcp", address)) => is_address(address),
                _ => text == "off",
            },
        }
    }
}

/// Returns the scheme if the text is a URL.
pub(crate) fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut letters = scheme.chars();
    let first = letters.next()?.is_ascii_alphabetic();
    let rest = letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (first && rest && !text.contains(|c: char| c.is_whitespace() || c.is_control())).then_some(scheme)
}

pub(crate) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host_fits = match host.strip_prefix('[') {
        Some(bracketed) => bracketed
            .strip_suffix(']')
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*'))
        }
    };
    host_fits && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_matched() {
        let cases: &[(Format, &[&str], &[&str])] = &[
            (
                Format::Url,
                &["stdout:", "file:///a", "amqp://u:p@h/"],
                &["stdout", "/a", ":x", "a b:c", ""],
            ),
            (
                Format::Address,
                &["127.0.0.1:9101", "[::1]:0", "host-1.example:80"],
                &["9101", ":80", "h:", "h:70000", "::1:80", "h:+1"],
            ),
            (Format::Path, &["a", "/a/b"], &["", "a\0"]),
            (Format::Identifier, &["a-b_c.1"], &["", "a b", "ä", "a/b"]),
            (
                Format::Admin,
                &["off", "unix:", "unix:/run/x.sock", "tcp:127.0.0.1:80"],
                &["", "on", "tcp:", "unix", "/run/x.sock"],
            ),
            (Format::Duration, &["5m"], &["5x"]),
            (Format::Size, &["5MiB"], &["5x"]),
        ];
        for (format, good, bad) in cases {
            for text in *good {
                assert!(format.matches(text), "{format:?} {text}");
            }
            for text in *bad {
                assert!(!format.matches(text), "{format:?} {text}");
            }
        }
    }
}
