//! Tables for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::output::stdout_is_styled;

/// Nothing is wrapped to fewer columns than this: nobody could read it. (A terminal that does not say how wide it
/// is says 0.)
const NARROWEST: u16 = 40;

/// What tables are written on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sheet {
    /// How many characters a line has; `None`: as many as it takes.
    width: Option<u16>,
    /// Whether names of columns stand out.
    styled: bool,
}

impl Sheet {
    /// Standard output, be it a terminal or not.
    pub(crate) fn stdout() -> Self {
        let width = Table::new().width().filter(|width| *width >= NARROWEST);
        Self {
            width,
            styled: stdout_is_styled(),
        }
    }

    /// As wide as it takes, without styles.
    #[cfg(test)]
    pub(crate) fn endless() -> Self {
        Self {
            width: None,
            styled: false,
        }
    }

    /// The text of a table: columns under their names, those whose name begins with `>` aligned to the right.
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
    fn columns_stand_under_their_names() {
        insta::assert_snapshot!(Sheet::endless().table(&["meter", ">value"], rows()), @r"
        METER                  VALUE
        cpu                        1
        memory.usage and more     20
        ");
    }

    #[test]
    fn lines_are_no_wider_than_the_sheet() {
        let sheet = Sheet {
            width: Some(20),
            styled: false,
        };
        let text = sheet.table(&["meter", ">value"], rows());
        assert!(text.lines().all(|line| line.len() <= 20), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }
}
