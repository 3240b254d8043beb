//! The part of a publisher's URL after the scheme.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nephoscope_plugin::OptionsError;
use percent_encoding::percent_decode_str;

/// Checks the URL of a publisher that consists of its scheme only: `stdout:`, also as `stdout://`.
pub(crate) fn scheme_only(url: &str) -> Result<(), OptionsError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    if rest.is_empty() || rest == "//" {
        return Ok(());
    }
    Err(invalid(format!("nothing may follow `{scheme}:`")))
}

/// Returns the path of `file:///path`, percent-decoded.
pub(crate) fn file_path(url: &str) -> Result<PathBuf, OptionsError> {
    let rest = url.strip_prefix("file:").unwrap_or(url);
    let path = match rest.strip_prefix("//") {
        // The only possible host is this one.
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err(invalid(
            "the path must be absolute, with three slashes: `file:///var/log/samples.json`".to_owned(),
        ));
    }
    if let Some(mark) = path.chars().find(|char| "?#".contains(*char)) {
        return Err(invalid(format!(
            "`{mark}` is not allowed in the path (options are keys next to `url`; in a name it is written `%{:02X}`)",
            u32::from(mark)
        )));
    }
    let path = decode(path)?;
    if path.ends_with(b"/") {
        return Err(invalid("the path is a folder: add the name of a file".to_owned()));
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

fn decode(path: &str) -> Result<Vec<u8>, OptionsError> {
    let is_byte = |rest: &str| match rest.as_bytes() {
        [b'0', b'0', ..] => false,
        [high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    };
    if !path.split('%').skip(1).all(is_byte) {
        return Err(invalid(
            "`%` must be followed by the two hexadecimal digits of a byte that is not zero".to_owned(),
        ));
    }
    Ok(percent_decode_str(path).collect())
}

fn invalid(message: String) -> OptionsError {
    OptionsError::new("url", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_decoded() {
        for (url, path) in [
            ("file:///var/log/samples.json", "/var/log/samples.json"),
            ("file://localhost/a", "/a"),
            ("file:/a", "/a"),
            ("file:///a%20b%3fc", "/a b?c"),
        ] {
            assert_eq!(file_path(url).unwrap(), PathBuf::from(path), "{url}");
        }
    }

    #[test]
    fn errors_describe_an_invalid_url() {
        let mut text = String::new();
        for url in [
            "file://samples.json",
            "file:",
            "file:///",
            "file:///a/",
            "file:///a?json",
            "file:///a%0",
            "file:///%00",
        ] {
            text.push_str(&format!("{url}\n  {}\n", file_path(url).unwrap_err()));
        }
        for url in ["stdout://json", "discard:x"] {
            text.push_str(&format!("{url}\n  {}\n", scheme_only(url).unwrap_err()));
        }
        insta::assert_snapshot!(text, @r"
        file://samples.json
          option `url`: the path must be absolute, with three slashes: `file:///var/log/samples.json`
        file:
          option `url`: the path must be absolute, with three slashes: `file:///var/log/samples.json`
        file:///
          option `url`: the path is a folder: add the name of a file
        file:///a/
          option `url`: the path is a folder: add the name of a file
        file:///a?json
          option `url`: `?` is not allowed in the path (options are keys next to `url`; in a name it is written `%3F`)
        file:///a%0
          option `url`: `%` must be followed by the two hexadecimal digits of a byte that is not zero
        file:///%00
          option `url`: `%` must be followed by the two hexadecimal digits of a byte that is not zero
        stdout://json
          option `url`: nothing may follow `stdout:`
        discard:x
          option `url`: nothing may follow `discard:`
        ");
    }

    #[test]
    fn a_scheme_alone_is_valid() {
        for url in ["stdout:", "stdout://", "discard:"] {
            scheme_only(url).unwrap();
        }
    }
}
