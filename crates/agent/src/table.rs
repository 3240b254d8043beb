//! Text tables.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::output::stdout_is_styled;

/// The minimum width for wrapping. Narrower tables are not readable, and a terminal without a known width reports 0.
const MIN_WIDTH: u16 = 40;

/// The layout of tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sheet {
    /// The maximum number of characters per line; `None`: unlimited.
    width: Option<u16>,
    /// Whether column names are bold.
    styled: bool,
}

impl Sheet {
    /// Returns the layout for standard output.
    pub(crate) fn stdout() -> Self {
        let width = Table::new().width().filter(|width| *width >= MIN_WIDTH);
        Self {
            width,
            styled: stdout_is_styled(),
        }
    }

    /// Returns a layout with unlimited width and no styles.
    #[cfg(test)]
    pub(crate) fn unbounded() -> Self {
        Self {
            width: None,
            styled: false,
        }
    }

    /// Formats a table. Columns whose names begin with `>` are aligned to the right.
    pub(crate) fn table(self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).force_no_tty();
        if let Some(width) = self.width {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        let names = header
            .iter()
            .map(|name| name.trim_start_matches('>').to_uppercase());
        table.set_header(names.collect::<Vec<_>>());
        table.add_rows(rows);
        for (index, name) in header.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if name.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let mut text = String::new();
        for (index, line) in table.lines().enumerate() {
            let line = line.trim_end();
            if index == 0 && self.styled {
                let bold = anstyle::Style::new().bold();
                text.push_str(&format!("{bold}{line}{bold:#}\n"));
            } else {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Vec<String>; 2] {
        [["cpu", "1"], ["memory.usage and more", "20"]].map(|row| row.map(str::to_owned).to_vec())
    }

    #[test]
    fn columns_are_aligned_with_their_names() {
        insta::assert_snapshot!(Sheet::unbounded().table(&["meter", ">value"], rows()), @r"
        METER                  VALUE
        cpu                        1
        memory.usage and more     20
        ");
    }

    #[test]
    fn lines_are_not_wider_than_the_layout() {
        let sheet = Sheet {
            width: Some(20),
            styled: false,
        };
        let text = sheet.table(&["meter", ">value"], rows());
        assert!(text.lines().all(|line| line.len() <= 20), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }
}
