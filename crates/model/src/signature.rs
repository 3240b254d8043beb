//! The signature of a message: HMAC-SHA256 over its flattened content, computed like in ceilometer.
//!
//! The content consists of the name and the text of each value, without separators, in ascending order of names within each
//! mapping. The names of values in a nested mapping are prefixed with its own name and a colon (`docs/compatibility.md`). Texts
//! are those of Python's `str`, so that `37` and `37.0` have different signatures.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::python;
use crate::{Map, Value};

/// The key that is never signed.
const SIGNATURE_KEY: &str = "message_signature";

/// Signs messages with the secret that their consumers share.
///
/// It does not store the secret itself, and does not print it.
///
/// ```
/// use nephoscope_model::{Map, Signer};
///
/// let message: Map = vec![("a".into(), 1u64.into())];
/// let signer = Signer::new("tajné").unwrap();
/// assert!(signer.sign(&message).starts_with("65597629"));
/// // Like in ceilometer, an empty secret disables signatures.
/// assert!(Signer::new("").is_none());
/// ```
#[derive(Clone)]
pub struct Signer(
    /// The state after the key, from which each signature starts.
    Hmac<Sha256>,
);

impl Signer {
    /// Creates a signer with this secret (`notifier.signing_secret`), or `None` if it is empty: then signatures are empty.
    pub fn new(secret: &str) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        // HMAC accepts keys of any length.
        Hmac::new_from_slice(secret.as_bytes()).ok().map(Self)
    }

    /// Returns the signature of a message: 64 hex digits in lower case. `message_signature` itself is not signed.
    pub fn sign(&self, message: &Map) -> String {
        let mut content = Vec::new();
        Content::new(&mut content, NonFinite::AsPython).mapping(&mut Vec::new(), message);
        self.sign_content([content.as_slice()])
            .map(char::from)
            .iter()
            .collect()
    }

    /// Returns the signature of a content in several parts, as hex digits.
    pub(crate) fn sign_content<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 64] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut code = self.0.clone();
        for part in parts {
            code.update(part);
        }
        let mut text = [0; 64];
        let (pairs, _) = text.as_chunks_mut();
        for (digits, byte) in pairs.iter_mut().zip(code.finalize().into_bytes()) {
            *digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        text
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Signer(***)")
    }
}

/// The signed form of numbers without a JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonFinite {
    /// `inf`, `-inf`, `nan`: for a message that is not sent as JSON.
    AsPython,
    /// `None`: JSON has null in their place, and consumers check the message that they receive.
    AsNull,
}

/// Writes the content of a signature.
pub(crate) struct Content<'a> {
    out: &'a mut Vec<u8>,
    non_finite: NonFinite,
}

impl<'a> Content<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, non_finite: NonFinite) -> Self {
        Self { out, non_finite }
    }

    /// Appends the values of `map`; `prefix` is the name of the mapping with a colon, or empty for a message.
    pub(crate) fn mapping(&mut self, prefix: &mut Vec<u8>, map: &Map) {
        for (_, key, value) in sorted(map) {
            match value {
                Value::Map(inner) => {
                    let length = prefix.len();
                    prefix.extend_from_slice(key.as_bytes());
                    prefix.push(b':');
                    self.mapping(prefix, inner);
                    prefix.truncate(length);
                }
                _ if prefix.is_empty() && key == SIGNATURE_KEY => {}
                _ => {
                    self.out.extend_from_slice(prefix);
                    self.out.extend_from_slice(key.as_bytes());
                    match value {
                        Value::Text(text) => self.out.extend_from_slice(text.as_bytes()),
                        _ => self.literal(value),
                    }
                }
            }
        }
    }

    /// Appends a name and its text, or `None`.
    pub(crate) fn optional(&mut self, name: &str, value: Option<&str>) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(value.unwrap_or("None").as_bytes());
    }

    /// Appends a value as Python's literal, with texts as byte strings.
    fn literal(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.extend_from_slice(b"None"),
            Value::Bool(true) => self.out.extend_from_slice(b"True"),
            Value::Bool(false) => self.out.extend_from_slice(b"False"),
            Value::Int(int) => python::int(self.out, *int),
            Value::Uint(uint) => python::uint(self.out, *uint),
            Value::Float(float) if float.is_finite() || self.non_finite == NonFinite::AsPython => {
                python::float(self.out, *float);
            }
            Value::Float(_) => self.out.extend_from_slice(b"None"),
            Value::Text(text) => python::bytes(self.out, text.as_bytes()),
            Value::List(items) => {
                self.out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    self.comma(index);
                    self.literal(item);
                }
                self.out.push(b']');
            }
            Value::Map(map) => {
                self.out.push(b'{');
                for (index, (_, key, item)) in sorted(map).into_iter().enumerate() {
                    self.comma(index);
                    python::bytes(self.out, key.as_bytes());
                    self.out.extend_from_slice(b": ");
                    self.literal(item);
                }
                self.out.push(b'}');
            }
        }
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.extend_from_slice(b", ");
        }
    }
}

/// An entry with the first bytes of its key as a number with the same order: most keys differ in them.
type Entry<'a> = (u64, &'a str, &'a Value);

/// Sorts the entries by the code points of their keys, which is the order of their UTF-8 bytes.
fn sorted(map: &Map) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = map
        .iter()
        .map(|(key, value)| (beginning(key), key.as_ref(), value))
        .collect();
    entries.sort_unstable_by(|(first, a, _), (second, b, _)| first.cmp(second).then_with(|| a.cmp(b)));
    entries
}

/// Returns the first eight bytes, padded with zeros.
fn beginning(key: &str) -> u64 {
    let mut bytes = [0; 8];
    match key.as_bytes().first_chunk() {
        Some(first) => bytes = *first,
        None => {
            for (to, from) in bytes.iter_mut().zip(key.bytes()) {
                *to = from;
            }
        }
    }
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "change this for valid signing";

    fn message(json: &str) -> Map {
        match Value::from(serde_json::from_str::<serde_json::Value>(json).unwrap()) {
            Value::Map(map) => map,
            other => panic!("not a message: {other:?}"),
        }
    }

    fn content(message: &Map) -> String {
        let mut out = Vec::new();
        Content::new(&mut out, NonFinite::AsPython).mapping(&mut Vec::new(), message);
        String::from_utf8(out).unwrap()
    }

    fn signature(secret: &str, message: &Map) -> String {
        Signer::new(secret).map_or_else(String::new, |signer| signer.sign(message))
    }

    #[test]
    fn signatures_match_the_test_vectors_of_the_standard() {
        // RFC 4231, test cases 1, 2 and 6: a short key, a text key, a key longer than a block.
        let vectors: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, content, expected) in vectors {
            let signer = Signer(Hmac::new_from_slice(key).unwrap());
            let (first, second) = content.split_at(3);
            // Twice: the signer keeps its state after the key.
            for _ in 0..2 {
                let text = signer.sign_content([first, b"", second]);
                assert_eq!(str::from_utf8(&text), Ok(expected));
            }
        }
    }

    /// Signatures that ceilometer computed.
    #[test]
    fn small_messages_have_the_signatures_of_ceilometer() {
        let vectors = [
            (
                r#"{"a":"A","b":"B"}"#,
                "aAbB",
                "3f42ea5a076d4940c85a8f57e99193097b50269a0db31e4e1c5600a33df6bebd",
            ),
            (
                "{}",
                "",
                "7713b59a7aacad85b9c40e62bd147c71260fdd6e4bb7c32a3f8cd011f48a7d46",
            ),
            (
                r#"{"b":1,"a":2}"#,
                "a2b1",
                "3439b792ca04202aef5ef12aa6c5bb4d020c1977586387435b4956121d2a14f5",
            ),
            (
                r#"{"name":"čerň 日本 😀"}"#,
                "namečerň 日本 😀",
                "b28344aa33715b67756982a9d4a7d8dfc2b4460289f37f0b23614e9674f4dcf7",
            ),
            (
                r#"{"a":{"b":{"c":1},"aa":2},"a.b":3}"#,
                "a:aa2a:b:c1a.b3",
                "a438853e3f3c98bbc8a71bafee23f578c8f77bc9fadb7a863f791dd9e953fb89",
            ),
            (
                r#"{"a":{"z":1},"a:y":2,"a!":3}"#,
                "a:z1a!3a:y2",
                "59f2d9d84c939510e039a6ac3a32c39d2269cce54da0e08184d30ded26ee568d",
            ),
            (
                r#"{"a":{},"b":1}"#,
                "b1",
                "b8f0c3452d7730096ccbc69f5f4223e7f5e2e77b9838b4000bb102bf34285c80",
            ),
            (
                r#"{"a":[]}"#,
                "a[]",
                "0c42e353744cd5485d4e2f3bf2888f17e8c1b7ed3f56e324afd5ba8aa25499d6",
            ),
            (
                r#"{"l":[1,2.5,true,null,1e22,-0.0]}"#,
                "l[1, 2.5, True, None, 1e+22, -0.0]",
                "34c393a1d0d7a3326b336eb0edbbe6e196f3994e37ec818a5a3bb340133e1553",
            ),
            (
                r#"{"l":["x","y"]}"#,
                "l[b'x', b'y']",
                "fdee59f7842caf3be8c19d40dc5b0c3a80113b0207f62673f80d9d54ae08286f",
            ),
            (
                r#"{"l":["č","it's","say \"hi\"","both'\"","tab\tnl\nback\\","\u0000\u007f\u0080"]}"#,
                r#"l[b'\xc4\x8d', b"it's", b'say "hi"', b'both\'"', b'tab\tnl\nback\\', b'\x00\x7f\xc2\x80']"#,
                "6e92079d332599120c36401b0cf2fe9371519de67fc57ffd8d0fa894358890f6",
            ),
            (
                r#"{"l":[{"b":1,"a":"s"},{"n":{"k":[1,"v"]}}]}"#,
                "l[{b'a': b's', b'b': 1}, {b'n': {b'k': [1, b'v']}}]",
                "ca4355fab88674335d655c0fbd84814a24a00d0d9e62170c47460edde0202088",
            ),
            (
                r#"{"l":[[1,["x"]],[]]}"#,
                "l[[1, [b'x']], []]",
                "687d155c5718fa5874a4024fa5ac8aa8cf752946e83163ce467c17ee872e9b76",
            ),
            (
                r#"{"l":[1,"x"]}"#,
                "l[1, b'x']",
                "1809e37de710455594e5080dc15ba57028f5b219b0b82ae489775caf23b2499c",
            ),
            (
                r#"{"l":[{"č":"é"}]}"#,
                r"l[{b'\xc4\x8d': b'\xc3\xa9'}]",
                "8ab70ba88fff1eaa4fb2d7aaf6fe7ea644c3308e9f50064fcf8d2c135032c1a3",
            ),
            (
                r#"{"a":1,"message_signature":"zz"}"#,
                "a1",
                "217f3763d4351e4e22b3502170cb4b456ca872e5e20c4d995f22c1f1f706ff9f",
            ),
            (
                r#"{"a":{"message_signature":"zz"}}"#,
                "a:message_signaturezz",
                "786b9ecc7342a1bf6bfbeefe349f113f1625ae2ecb4d5db55869008f91e3f4bd",
            ),
        ];
        for (json, expected_content, expected) in vectors {
            let message = message(json);
            assert_eq!(content(&message), expected_content, "{json}");
            assert_eq!(signature(SECRET, &message), expected, "{json}");
        }
    }

    #[test]
    fn numbers_and_constants_have_the_signatures_of_ceilometer() {
        let mut message = message(
            r#"{"n":null,"t":true,"f":false,"i":-7,"big":12345678901234567890,"fl":1.0,"fl2":0.1,"fl3":1e16,
                "fl4":1e15,"fl5":1.5e-5,"fl6":123456789.123456789,"fl7":1e-4}"#,
        );
        message.push(("inf".into(), f64::INFINITY.into()));
        message.push(("nan".into(), f64::NAN.into()));
        assert_eq!(
            content(&message),
            "big12345678901234567890fFalsefl1.0fl20.1fl31e+16fl41000000000000000.0fl51.5e-05\
             fl6123456789.12345679fl70.0001i-7infinfnNonenannantTrue"
        );
        assert_eq!(
            signature(SECRET, &message),
            "12c076a709823d2221a6f81e3ebb90f7b99895ebe67d473376debfb0cf2db8bd"
        );
    }

    #[test]
    fn a_secret_may_be_empty_or_any_text() {
        let message = message(r#"{"a":1}"#);
        assert_eq!(signature("", &message), "");
        assert_eq!(
            signature("tajné", &message),
            "6559762921182daa7d85191cac0623cca2d3efb4899fe7e1b8788d42ff1d7968"
        );
        // Python's hmac.new(("s" * 100).encode(), b"a1", "sha256"): longer than a block, so that it is hashed first.
        assert_eq!(
            signature(&"s".repeat(100), &message),
            "aa948347927b1688f3d10b6bdeb2770e8eacd254e72ec560519d35024b03c373"
        );
    }

    #[test]
    fn complete_messages_have_the_signatures_of_ceilometer() {
        let vectors = [
            (
                r#""counter_volume":37.98046875,"monotonic_time":1819980.131767362"#,
                "{}",
                "add0cf5d688e13b2721521ef20b653dffdf442839cc26e4b42f929b36c0d4c43",
            ),
            (
                r#""counter_volume":37.0,"monotonic_time":null"#,
                "{}",
                "b84a828d452b06b1830e7174e606c02f6aa4ff260c484828f9dd1295984df064",
            ),
            (
                r#""counter_volume":37,"monotonic_time":null"#,
                "{}",
                "ddc82f3b0e00bff8c0627ebd9e2bc1f180ea9faad2a448f47be1efe1c841bd4b",
            ),
            (
                r#""counter_volume":"37","monotonic_time":null"#,
                "{}",
                "ddc82f3b0e00bff8c0627ebd9e2bc1f180ea9faad2a448f47be1efe1c841bd4b",
            ),
            (
                r#""counter_volume":37.98046875,"monotonic_time":null"#,
                r#"{"z":null,"a":{"b":{},"c":[],"d":{"e":"č"}},
                    "list":["x",1,null,true,{"k":"v","a":[1.5,"č"]}],"Upper":1,"_u":2,"sp ace":"q:r"}"#,
                "ae7d09581d55b6f5e2086f16d8399c15168ad0664dc2fbfadc8780f814b8a474",
            ),
        ];
        for (numbers, metadata, expected) in vectors {
            let message = message(&format!(
                r#"{{"source":"openstack","counter_name":"memory.usage","counter_type":"gauge","counter_unit":"MiB",
                    "user_id":null,"user_name":null,"project_id":"p1","project_name":null,"resource_id":"r1",
                    "timestamp":"2026-01-02T03:04:05","resource_metadata":{metadata},
                    "message_id":"00000000-0000-1000-8000-000000000001",{numbers}}}"#
            ));
            assert_eq!(signature("sec", &message), expected, "{numbers} {metadata}");
        }
    }

    #[test]
    fn a_real_message_has_the_signature_of_ceilometer() {
        let mut message = message(
            r#"{"source":"openstack","counter_name":"disk.device.read.bytes","counter_type":"cumulative",
                "counter_unit":"B","counter_volume":1024,"user_id":"u1","user_name":null,"project_id":"p1",
                "project_name":null,"resource_id":"9c2b6b1e-2b0e-4f0f-9d6c-0123456789ab-vda",
                "timestamp":"2026-01-02T03:04:05.678901",
                "resource_metadata":{"display_name":"vm č","disk_name":"vda","flavor":{"id":"f1","name":"m1.tiny",
                "vcpus":1,"ram":512,"extra_specs":{}},"image":null,"image_ref":null,"vcpus":1,"active":true,
                "tags":["a","b"],"addresses":[{"ip":"10.0.0.1","v":4}],"ratio":0.25},
                "message_id":"11111111-2222-11ee-8000-0242ac110002","monotonic_time":null}"#,
        );
        assert_eq!(
            signature(SECRET, &message),
            "4492f3d2c3332557f4679eea8795ccfe15e504ad51b88248533f202b2c9a16fa"
        );
        message.push(("publisher_id".into(), "host1".into()));
        assert_eq!(
            signature(SECRET, &message),
            "6e0b8a9d3542b51df6811aa81e293c484dbc51ec961f9ee289f2177dd0c0fb83"
        );
    }

    #[test]
    fn the_secret_is_not_printed() {
        let signer = Signer::new("a canary").unwrap();
        assert_eq!(format!("{signer:?}"), "Signer(***)");
    }
}
