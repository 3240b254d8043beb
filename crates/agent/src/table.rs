//! Tables for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::output::stdout_is_styled;

/// The text of a table: columns under their names, wrapped to the width of the terminal if standard output is one.
/// Columns whose name begins with `>` are aligned to the right.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(
        header
            .iter()
            .map(|name| name.trim_start_matches('>').to_uppercase())
            .collect::<Vec<_>>(),
    );
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
        if index == 0 && stdout_is_styled() {
            let bold = anstyle::Style::new().bold();
            text.push_str(&format!("{bold}{line}{bold:#}\n"));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_names() {
        let rows = [["cpu", "1"], ["memory.usage", "20"]].map(|row| row.map(str::to_owned).to_vec());
        insta::assert_snapshot!(table(&["meter", ">value"], rows), @r"
        METER         VALUE
        cpu               1
        memory.usage     20
        ");
    }
}
