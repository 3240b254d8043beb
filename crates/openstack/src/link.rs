//! Links in answers: their targets, and whether a target may get the token.

use reqwest::Url;

use crate::error::ApiError;

/// Resolves a link in the answer to the request `requested`.
///
/// A link may be a path only, as Glance's are, without the path prefix under which a proxy publishes the service. The
/// endpoint's prefix is then added.
///
/// # Errors
///
/// [`ApiError::ForeignLink`] if the target is not at the endpoint's origin: other servers must not get the token.
pub(crate) fn follow(
    service: &'static str,
    endpoint: &Url,
    requested: &Url,
    link: &str,
) -> Result<Url, ApiError> {
    let foreign = |link: String| ApiError::ForeignLink {
        service,
        link,
        endpoint: origin(endpoint),
    };
    let mut url = requested
        .join(link)
        .map_err(|_| foreign("an invalid URL".to_owned()))?;
    if url.origin() != endpoint.origin() || !url.username().is_empty() || url.password().is_some() {
        return Err(foreign(origin(&url)));
    }
    let prefix = prefix(endpoint);
    if link.starts_with('/') && !prefix.is_empty() && !is_below(url.path(), &prefix) {
        let path = format!("{prefix}{}", url.path());
        url.set_path(&path);
    }
    url.set_fragment(None);
    Ok(url)
}

/// Returns scheme, host and port.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether a path segment is an API version: `v2`, `v2.1`.
pub(crate) fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|number| {
        let mut parts = number.split('.');
        parts
            .by_ref()
            .take(2)
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            && parts.next().is_none()
    })
}

/// Returns the path of an endpoint up to its version, without a trailing slash.
pub(crate) fn prefix(endpoint: &Url) -> String {
    let path = endpoint.path().trim_end_matches('/');
    let mut prefix = String::new();
    for segment in path.split('/').skip(1).take_while(|segment| !is_version(segment)) {
        prefix.push('/');
        prefix.push_str(segment);
    }
    prefix
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(endpoint: &str, link: &str) -> String {
        let endpoint: Url = endpoint.parse().unwrap();
        let mut requested = endpoint.clone();
        requested.set_path(&format!("{}/v2/images", prefix(&endpoint)));
        match follow("glance", &endpoint, &requested, link) {
            Ok(url) => url.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn links_are_followed_at_the_endpoint_only() {
        let mut text = String::new();
        for (endpoint, link) in [
            ("http://g:9292", "/v2/images?marker=a"),
            ("http://g:9292", "http://g:9292/v2/images?marker=a#x"),
            ("http://g:9292", "?marker=a"),
            ("https://cloud/image/", "/v2/images?marker=a"),
            ("https://cloud/image/v2", "/image/v2/images?marker=a"),
            (
                "https://cloud/image/v2",
                "https://cloud:443/image/v2/images?marker=a",
            ),
            ("https://cloud/image", "http://cloud/image/v2/images?marker=a"),
            ("http://g:9292", "http://g:9293/v2/images"),
            ("http://g:9292", "//evil.example/v2/images"),
            ("http://g:9292", "http://user:canary@g:9292/v2/images"),
            ("http://g:9292", "file:///etc/passwd"),
            ("http://g:9292", "http://[bad"),
        ] {
            text += &format!("{endpoint} {link}\n    {}\n", followed(endpoint, link));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn versions_differ_from_names() {
        let versions = ["v2", "v2.1", "v3", "v10.0"];
        assert!(versions.into_iter().all(is_version));
        let names = ["", "v", "v2.", "v2.1.3", "volume", "va", "2", "v2a"];
        assert!(!names.into_iter().any(is_version));
        assert_eq!(prefix(&"http://h/a/b/v3/p".parse().unwrap()), "/a/b");
        assert_eq!(prefix(&"http://h/".parse().unwrap()), "");
    }
}
