//! The printed table.

use std::io::Write;

use crate::figure::Figure;

/// Renders the table, and below it the method of each figure.
pub(crate) fn render(figures: &[Figure]) -> String {
    let rows: Vec<[String; 4]> = figures
        .iter()
        .map(|figure| {
            [
                figure.name.clone(),
                figure.budget.show(figure.unit),
                figure.unit.show(figure.measured),
                figure.verdict().to_owned(),
            ]
        })
        .collect();
    let header = ["figure", "budget", "measured", "verdict"].map(str::to_owned);
    let mut widths = [0; 4];
    for row in std::iter::once(&header).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&header).chain(&rows) {
        let [name, budget, measured, verdict] = row;
        let [w0, w1, w2, _] = widths;
        text.push_str(&format!(
            "{name:<w0$}  {budget:>w1$}  {measured:>w2$}  {verdict}\n"
        ));
    }
    let mut last = "";
    for figure in figures {
        if figure.how != last {
            text.push_str(&format!("\n{}: {}", figure.name, figure.how));
            last = &figure.how;
        }
    }
    text
}

/// Prints a line to standard output; a closed pipe is ignored.
pub(crate) fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line to standard error.
pub(crate) fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Budget, Unit};

    #[test]
    fn figures_are_shown_with_their_budgets() {
        let figures = [
            Figure::new(
                "idle memory",
                Unit::Megabytes,
                Budget::AtMost(8.0),
                6.25,
                "PSS after 30 s",
            ),
            Figure::new(
                "engine to file://",
                Unit::SamplesPerSecond,
                Budget::None,
                456_789.0,
                "the same",
            ),
        ];
        let expected = "\
figure                budget   measured  verdict
idle memory        <= 8.0 MB     6.2 MB  ok
engine to file://          -  457,000/s  -

idle memory: PSS after 30 s
engine to file://: the same";
        assert_eq!(render(&figures), expected);
    }
}
