//! Parsing of a publisher's URL, in the form of oslo.messaging's `transport_url`.

use nephoscope_plugin::{OptionsError, Secret};
use percent_encoding::percent_decode_str;

/// The default user and password.
const DEFAULT_USER: &str = "guest";

/// The maximum length of a virtual host or a user in the protocol.
const MAX_NAME: usize = 255;

/// A parsed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brokers {
    /// The members of one broker, at least one.
    pub(crate) hosts: Vec<Host>,
    /// The virtual host.
    pub(crate) vhost: String,
    /// Whether the scheme requires TLS (`amqps`).
    pub(crate) tls: bool,
    /// Whether the scheme is oslo.messaging's, with which an option enables TLS.
    pub(crate) rabbit: bool,
}

/// One member of the broker, with the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name or an address, without the brackets of IPv6.
    pub(crate) name: String,
    /// Its port.
    pub(crate) port: u16,
    /// The user.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: Secret,
}

impl Host {
    /// `host:port` for display.
    pub(crate) fn shown(&self) -> String {
        if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }
}

/// Parses `scheme://[user:password@]host[:port][,...]/[vhost]` like oslo.messaging: user, password and virtual host are
/// percent-decoded, a user ends at the last `@`, an empty path is the virtual host `/`, and the default host is localhost.
///
/// # Errors
///
/// Errors name the invalid part, and never contain user or password.
pub(crate) fn parse(url: &str) -> Result<Brokers, OptionsError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(invalid(
            "expected two slashes after the scheme: `amqp://user:password@host:5672/vhost`",
        ));
    };
    let scheme = scheme.to_ascii_lowercase();
    let tls = scheme == "amqps";
    let default_port = if tls { 5671 } else { 5672 };
    if rest.contains('#') {
        return Err(invalid("`#` is not allowed; in a name it is written `%23`"));
    }
    if let Some((_, query)) = rest.split_once('?') {
        return Err(invalid(&query_advice(query)));
    }
    let (netloc, path) = rest.split_once('/').unwrap_or((rest, ""));
    let vhost = match path {
        "" => "/".to_owned(),
        path => decode(path, "the virtual host")?,
    };
    let mut hosts = Vec::new();
    for part in netloc.split(',') {
        hosts.push(host(part, default_port, netloc.is_empty())?);
    }
    let named = hosts.iter().filter(|(_, named)| *named).count();
    if named != 0 && named != hosts.len() {
        return Err(invalid(
            "some hosts have a user and some do not: each host needs its own `user:password@`",
        ));
    }
    Ok(Brokers {
        hosts: hosts.into_iter().map(|(host, _)| host).collect(),
        vhost,
        tls,
        rabbit: scheme == "rabbit",
    })
}

/// Parses a host; also returns whether it has a user.
fn host(part: &str, default_port: u16, may_be_empty: bool) -> Result<(Host, bool), OptionsError> {
    let (userinfo, address) = match part.rsplit_once('@') {
        Some((userinfo, address)) => (Some(userinfo), address),
        None => (None, part),
    };
    let (name, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let Some((name, rest)) = rest.split_once(']') else {
                return Err(invalid("the bracket of an IPv6 address is not closed"));
            };
            match rest.strip_prefix(':') {
                Some(port) => (name, Some(port)),
                None if rest.is_empty() => (name, None),
                None => {
                    return Err(invalid("only `:port` may follow the bracket of an IPv6 address"));
                }
            }
        }
        None => match address.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (address, None),
        },
    };
    let name = match name {
        "" if may_be_empty => "localhost",
        "" => return Err(invalid("a host is empty")),
        name => name,
    };
    if !name
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "-._:%".contains(char))
    {
        return Err(invalid(
            "a host contains an invalid character (in a password, `/`, `,`, `?` and `#` are percent-encoded)",
        ));
    }
    let port = match port {
        None => default_port,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => {
                return Err(invalid(
                    "a port is not a number from 1 to 65535 (an IPv6 address needs brackets)",
                ));
            }
        },
    };
    let (user, password) = match userinfo {
        None => (DEFAULT_USER.to_owned(), DEFAULT_USER.to_owned()),
        Some(userinfo) => {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            (decode(user, "the user")?, decode(password, "the password")?)
        }
    };
    let host = Host {
        name: name.to_owned(),
        port,
        user,
        password: Secret::new(password),
    };
    Ok((host, userinfo.is_some()))
}

fn query_advice(query: &str) -> String {
    // Only known names are shown: a password with an unescaped `?` would end here, too.
    let name = query.split(['=', '&']).next().unwrap_or_default();
    let instead = match name {
        "ssl" => "write `amqps://` instead of `ssl`",
        "ssl_ca_file" | "ssl_cert_file" | "ssl_key_file" => {
            "instead of `ssl_...`, use the key `tls: {ca, certificate, key}` next to `url`"
        }
        "heartbeat" | "heartbeat_timeout_threshold" => "use the key `heartbeat` next to `url`",
        "amqp_durable_queues" | "rabbit_quorum_queue" | "amqp_auto_delete" => {
            "use the keys `durable`, `quorum` and `auto_delete` next to `url`"
        }
        _ => "options are keys next to `url`; in a password it is written `%3F`",
    };
    format!("`?` is not allowed: {instead}")
}

fn decode(text: &str, what: &str) -> Result<String, OptionsError> {
    let is_byte = |rest: &str| match rest.as_bytes() {
        [high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    };
    if !text.split('%').skip(1).all(is_byte) {
        return Err(invalid(&format!(
            "in {what}, `%` must be followed by two hexadecimal digits (`%` itself is written `%25`)"
        )));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if text.len() <= MAX_NAME && !text.contains('\0') => Ok(text.into_owned()),
        Ok(_) => Err(invalid(&format!(
            "{what} is longer than {MAX_NAME} bytes, or contains a zero byte"
        ))),
        Err(_) => Err(invalid(&format!("{what} is not UTF-8"))),
    }
}

fn invalid(message: &str) -> OptionsError {
    OptionsError::new("url", message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn transport_urls_are_parsed_like_in_oslo_messaging() {
        let mut text = String::new();
        for url in [
            "rabbit://",
            "rabbit://h",
            "rabbit://u:p@h:1/v",
            "rabbit://u:p@h1:1,u2:p2@h2:2//x",
            "rabbit://u@dom:p@h",
            "rabbit://u:p%40@[::1]:5/",
            "amqp://h/%2f",
            "amqp://h1,h2:1/v%20w",
            "AMQPS://u:p@h/",
        ] {
            let brokers = parse(url).unwrap();
            write!(text, "{url}  ->  {:?} tls={}", brokers.vhost, brokers.tls).unwrap();
            for host in &brokers.hosts {
                write!(text, " {} {}:{}", host.shown(), host.user, host.password.expose()).unwrap();
            }
            text.push('\n');
        }
        insta::assert_snapshot!(text, @r#"
        rabbit://  ->  "/" tls=false localhost:5672 guest:guest
        rabbit://h  ->  "/" tls=false h:5672 guest:guest
        rabbit://u:p@h:1/v  ->  "v" tls=false h:1 u:p
        rabbit://u:p@h1:1,u2:p2@h2:2//x  ->  "/x" tls=false h1:1 u:p h2:2 u2:p2
        rabbit://u@dom:p@h  ->  "/" tls=false h:5672 u@dom:p
        rabbit://u:p%40@[::1]:5/  ->  "/" tls=false [::1]:5 u:p@
        amqp://h/%2f  ->  "/" tls=false h:5672 guest:guest
        amqp://h1,h2:1/v%20w  ->  "v w" tls=false h1:5672 guest:guest h2:1 guest:guest
        AMQPS://u:p@h/  ->  "/" tls=true h:5671 u:p
        "#);
    }

    #[test]
    fn errors_describe_an_invalid_url_without_its_secrets() {
        let mut text = String::new();
        for url in [
            "amqp:",
            "amqp://user:canary@h:port/",
            "amqp://user:canary@h:0/",
            "amqp://user:canary@,h/",
            "amqp://user:canary@[::1/",
            "amqp://user:canary@[::1]5/",
            "amqp://user:canary@::1/",
            "amqp://user:canary%zz@h/",
            "amqp://user:canary@h1,h2/",
            "amqp://user:canary@h/v?ssl=1",
            "amqp://user:canary?canary@h/",
            "amqp://user:canary#@h/",
            "amqp://us er/",
            "amqp://h/%ff",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{url}: {error}");
            writeln!(text, "{url}\n  {error}").unwrap();
        }
        insta::assert_snapshot!(text, @r"
        amqp:
          option `url`: expected two slashes after the scheme: `amqp://user:password@host:5672/vhost`
        amqp://user:canary@h:port/
          option `url`: a port is not a number from 1 to 65535 (an IPv6 address needs brackets)
        amqp://user:canary@h:0/
          option `url`: a port is not a number from 1 to 65535 (an IPv6 address needs brackets)
        amqp://user:canary@,h/
          option `url`: a host is empty
        amqp://user:canary@[::1/
          option `url`: the bracket of an IPv6 address is not closed
        amqp://user:canary@[::1]5/
          option `url`: only `:port` may follow the bracket of an IPv6 address
        amqp://user:canary@::1/
          option `url`: a host is empty
        amqp://user:canary%zz@h/
          option `url`: in the password, `%` must be followed by two hexadecimal digits (`%` itself is written `%25`)
        amqp://user:canary@h1,h2/
          option `url`: some hosts have a user and some do not: each host needs its own `user:password@`
        amqp://user:canary@h/v?ssl=1
          option `url`: `?` is not allowed: write `amqps://` instead of `ssl`
        amqp://user:canary?canary@h/
          option `url`: `?` is not allowed: options are keys next to `url`; in a password it is written `%3F`
        amqp://user:canary#@h/
          option `url`: `#` is not allowed; in a name it is written `%23`
        amqp://us er/
          option `url`: a host contains an invalid character (in a password, `/`, `,`, `?` and `#` are percent-encoded)
        amqp://h/%ff
          option `url`: the virtual host is not UTF-8
        ");
    }

    #[test]
    fn a_password_is_never_printed() {
        let brokers = parse("amqp://user:canary@h/").unwrap();
        assert!(!format!("{brokers:?}").contains("canary"));
    }
}
