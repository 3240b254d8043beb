//! The documentation as a site, rendered by mdBook with its search.

mod links;

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use mdbook_driver::MDBook;
use mdbook_driver::config::Config;

use crate::site::links::{Link, links};

/// The table of contents. Its links name the pages, relative to itself.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Why the site cannot be built; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    #[error("read or write {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("render the site: {0}")]
    Render(String),
}

/// Renders the pages of the repository at `root` into the folder `site`, whose old contents are replaced.
///
/// Returns a line for each link that leads nowhere and for each page that the table of contents lacks.
pub(crate) fn build(root: &Path, site: &Path) -> Result<Vec<String>, SiteError> {
    let summary = read(&root.join(SUMMARY))?;
    let pages: BTreeSet<PathBuf> = links(&summary)
        .iter()
        .map(|link| resolve(Path::new(SUMMARY), &link.path))
        .collect();
    let mut findings = missing_pages(root, &pages)?;

    // mdBook copies every other file of its source folder into the site: the source folder has the pages alone.
    let scratch = tempfile::tempdir().map_err(|source| SiteError::File {
        path: std::env::temp_dir(),
        source,
    })?;
    let sources = scratch.path().join("src");
    write(&sources.join("SUMMARY.md"), &moved_to_root(&summary))?;
    let mut fragments = Vec::new();
    for page in &pages {
        let text = read(&root.join(page))?;
        let mut prepared = Prepared::new(root, page, &pages);
        write(&sources.join(page), &prepared.text(&text))?;
        findings.append(&mut prepared.findings);
        fragments.append(&mut prepared.fragments);
    }
    render(scratch.path(), site)?;
    for fragment in fragments {
        let html = read(&site.join(fragment.page.with_extension("html")))?;
        if !html.contains(&format!("id=\"{}\"", fragment.id)) {
            findings.push(format!(
                "{}: {} has no heading #{}",
                fragment.on.display(),
                fragment.page.display(),
                fragment.id
            ));
        }
    }
    Ok(findings)
}

/// A link to a heading of a page.
struct Fragment {
    /// The page that has the link.
    on: PathBuf,
    /// The page that it leads to, as mdBook names it.
    page: PathBuf,
    id: String,
}

/// A page on its way into the book.
struct Prepared<'a> {
    root: &'a Path,
    page: &'a Path,
    pages: &'a BTreeSet<PathBuf>,
    findings: Vec<String>,
    fragments: Vec<Fragment>,
}

impl<'a> Prepared<'a> {
    fn new(root: &'a Path, page: &'a Path, pages: &'a BTreeSet<PathBuf>) -> Self {
        Self {
            root,
            page,
            pages,
            findings: Vec::new(),
            fragments: Vec::new(),
        }
    }

    /// The text with links as the site needs them: a link to a file that is no page becomes plain text.
    fn text(&mut self, text: &str) -> String {
        let mut prepared = String::with_capacity(text.len());
        let mut copied = 0;
        for link in links(text) {
            if let Some(replacement) = self.replacement(text, &link) {
                prepared.push_str(&text[copied..link.range.start]);
                prepared.push_str(&replacement);
                copied = link.range.end;
            }
        }
        prepared.push_str(&text[copied..]);
        prepared
    }

    fn replacement(&mut self, text: &str, link: &Link) -> Option<String> {
        let target = if link.path.is_empty() {
            self.page.to_owned()
        } else {
            resolve(self.page, &link.path)
        };
        if !self.root.join(&target).exists() {
            self.findings
                .push(format!("{}: no file {}", self.page.display(), target.display()));
            return None;
        }
        let label = &text[link.label.clone()];
        if !self.pages.contains(&target) {
            return Some(label.to_owned());
        }
        if let Some(id) = &link.fragment {
            self.fragments.push(Fragment {
                on: self.page.to_owned(),
                page: named_by_mdbook(&target),
                id: id.clone(),
            });
        }
        // mdBook turns README.md into index.html, and leaves links to it as they are.
        let file_name = target.file_name()?;
        if file_name != "README.md" || link.path.is_empty() {
            return None;
        }
        let path = link.path.replace("README.md", "index.md");
        let fragment = link
            .fragment
            .as_ref()
            .map_or(String::new(), |id| format!("#{id}"));
        Some(format!("[{label}]({path}{fragment})"))
    }
}

/// A line for each page in docs/ that the table of contents lacks.
fn missing_pages(root: &Path, pages: &BTreeSet<PathBuf>) -> Result<Vec<String>, SiteError> {
    let mut missing = Vec::new();
    for folder in ["docs", "docs/reference", "docs/decisions"] {
        let path = root.join(folder);
        let failed = |source| SiteError::File {
            path: path.clone(),
            source,
        };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let page = Path::new(folder).join(entry.map_err(failed)?.file_name());
            let is_page = page.extension().is_some_and(|extension| extension == "md");
            if is_page && page != Path::new(SUMMARY) && !pages.contains(&page) {
                missing.push(format!("{SUMMARY}: lacks {}", page.display()));
            }
        }
    }
    missing.sort();
    Ok(missing)
}

/// The table of contents with links relative to the top of the repository.
fn moved_to_root(summary: &str) -> String {
    let mut moved = String::with_capacity(summary.len());
    let mut copied = 0;
    for link in links(summary) {
        moved.push_str(&summary[copied..link.range.start]);
        let path = resolve(Path::new(SUMMARY), &link.path);
        moved.push_str(&format!("[{}]({})", &summary[link.label.clone()], path.display()));
        copied = link.range.end;
    }
    moved.push_str(&summary[copied..]);
    moved
}

fn render(book: &Path, site: &Path) -> Result<(), SiteError> {
    let mut config = Config::default();
    config.book.title = Some("Nephoscope".to_owned());
    config.build.build_dir = std::path::absolute(site).map_err(|source| SiteError::File {
        path: site.to_owned(),
        source,
    })?;
    config.build.create_missing = false;
    MDBook::load_with_config(book, config)
        .and_then(|book| book.build())
        .map_err(|error| SiteError::Render(format!("{error:#}")))
}

/// The page under the name that mdBook gives it.
fn named_by_mdbook(page: &Path) -> PathBuf {
    if page.file_name().is_some_and(|name| name == "README.md") {
        page.with_file_name("index.md")
    } else {
        page.to_owned()
    }
}

/// Where a link on `page` leads, relative to the top of the repository.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().map(Path::to_owned).unwrap_or_default();
    for component in Path::new(link).components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(part) => path.push(part),
            _ => {}
        }
    }
    path
}

fn read(path: &Path) -> Result<String, SiteError> {
    std::fs::read_to_string(path).map_err(|source| SiteError::File {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), SiteError> {
    let failed = |source| SiteError::File {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_has_each_page_and_no_link_leads_nowhere() {
        let site = tempfile::tempdir().unwrap();
        let findings = build(&crate::root(), site.path()).unwrap();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        for page in ["index.html", "ARCHITECTURE.html", "docs/coordination.html"] {
            assert!(site.path().join(page).is_file(), "{page}");
        }
        let index = std::fs::read_dir(site.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("searchindex")
            })
            .unwrap();
        assert!(
            std::fs::read_to_string(index)
                .unwrap()
                .contains("docs/coordination.html")
        );
    }

    #[test]
    fn dead_links_and_forgotten_pages_are_found() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["docs/reference", "docs/decisions"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        write(
            &root.path().join("README.md"),
            "# Top\n\n[b](docs/b.md#there) [source](main.rs)",
        )
        .unwrap();
        write(&root.path().join("main.rs"), "").unwrap();
        write(
            &root.path().join("docs/b.md"),
            "# B\n\n## There\n\n[top](../README.md#top) [gone](gone.md) [heading](#nowhere) [web](https://example.org)",
        )
        .unwrap();
        write(&root.path().join("docs/forgotten.md"), "# Forgotten").unwrap();
        write(
            &root.path().join(SUMMARY),
            "# Summary\n\n[Top](../README.md)\n\n- [B](b.md)\n",
        )
        .unwrap();
        let site = tempfile::tempdir().unwrap();
        let findings = build(root.path(), site.path()).unwrap();
        assert_eq!(
            findings,
            [
                "docs/SUMMARY.md: lacks docs/forgotten.md",
                "docs/b.md: no file docs/gone.md",
                "docs/b.md: docs/b.md has no heading #nowhere",
            ]
        );
        let page = read(&site.path().join("docs/b.html")).unwrap();
        assert!(page.contains("href=\"../index.html#top\""), "{page}");
        let top = read(&site.path().join("index.html")).unwrap();
        assert!(!top.contains("main.rs"), "{top}");
    }
}
