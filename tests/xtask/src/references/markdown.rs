//! Pages of text with tables.

/// A page that grows from top to bottom.
pub(crate) struct Page(String);

impl Page {
    /// A page with this title, and what it is about.
    pub(crate) fn new(title: &str, about: &str) -> Self {
        let mut page = Self(format!(
            "# {title}\n\n<!-- Made by cargo xtask references --update; changes here are lost. -->\n"
        ));
        page.text(about);
        page
    }

    /// A heading of the second level.
    pub(crate) fn section(&mut self, title: &str) {
        self.0.push_str(&format!("\n## {title}\n"));
    }

    /// A heading of the third level.
    pub(crate) fn subsection(&mut self, title: &str) {
        self.0.push_str(&format!("\n### {title}\n"));
    }

    /// A paragraph, nothing for empty text.
    pub(crate) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.0.push_str(&format!("\n{}\n", text.trim_end()));
        }
    }

    /// A table; nothing without rows.
    pub(crate) fn table<const COLUMNS: usize>(
        &mut self,
        heads: [&str; COLUMNS],
        rows: impl IntoIterator<Item = [String; COLUMNS]>,
    ) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        self.0.push('\n');
        self.row(heads.iter().map(|head| (*head).to_owned()));
        self.row(heads.iter().map(|_| "---".to_owned()));
        for row in rows {
            self.row(row.iter().map(|cell| escaped(cell)));
        }
    }

    /// The whole page.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn row(&mut self, cells: impl Iterator<Item = String>) {
        self.0.push('|');
        for cell in cells {
            self.0.push_str(&format!(" {cell} |"));
        }
        self.0.push('\n');
    }
}

/// Text as code; nothing for nothing.
pub(crate) fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}

/// Several texts as code, with commas.
pub(crate) fn codes<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

/// Text that keeps to its cell. Outside of code `<` would begin HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    for character in text.trim().chars() {
        match character {
            '\n' if out.ends_with(' ') => {}
            '\n' => out.push(' '),
            '|' => out.push_str("\\|"),
            '`' => {
                in_code = !in_code;
                out.push('`');
            }
            '<' if !in_code => out.push_str("&lt;"),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_to_their_column() {
        let mut page = Page::new("Title", "About.");
        page.table(["A", "B"], [["x|y\nz".to_owned(), "a < `b < c`".to_owned()]]);
        page.table(["Empty"], []);
        insta::assert_snapshot!(page.finish(), @r"
        # Title

        <!-- Made by cargo xtask references --update; changes here are lost. -->

        About.

        | A | B |
        | --- | --- |
        | x\|y z | a &lt; `b < c` |
        ");
    }
}
