//! The relative links of a Markdown page.

use std::ops::Range;

use mdbook_markdown::pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

/// A link to a file of the repository.
pub(crate) struct Link {
    /// Where it is in the text.
    pub(crate) range: Range<usize>,
    /// Where its label is in the text.
    pub(crate) label: Range<usize>,
    /// The path as written; empty for a heading of the same page.
    pub(crate) path: String,
    /// The heading, without `#`.
    pub(crate) fragment: Option<String>,
}

/// Returns the inline links that have no scheme, in order.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut open: Option<(Link, bool)> = None;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Link {
                link_type: LinkType::Inline,
                dest_url,
                ..
            }) if !dest_url.contains(':') => {
                let (path, fragment) = match dest_url.split_once('#') {
                    Some((path, fragment)) => (path, Some(fragment.to_owned())),
                    None => (&*dest_url, None),
                };
                let link = Link {
                    label: range.start..range.start,
                    range,
                    path: path.to_owned(),
                    fragment,
                };
                open = Some((link, false));
            }
            Event::End(TagEnd::Link) => found.extend(open.take().map(|(link, _)| link)),
            _ => {
                if let Some((link, has_label)) = &mut open {
                    if !*has_label {
                        link.label.start = range.start;
                        *has_label = true;
                    }
                    link.label.end = range.end;
                }
            }
        }
    }
    found
}
