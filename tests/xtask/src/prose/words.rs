//! Splits a text into words.

/// A word, and where it is.
#[derive(Debug)]
pub(crate) struct Word {
    /// In lower case.
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// Whether the word before belongs to the same phrase: only white space, underscores, hyphens or a line break of a comment or
    /// a string is between them.
    pub(crate) continues: bool,
}

/// Splits a text into words: letters and digits, with apostrophes inside. Parts of names in snake or camel case are words.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut continues = false;
    for (number, line) in text.lines().enumerate() {
        let body = without_marker(line);
        if body.trim().is_empty() {
            continues = false;
        }
        let skipped = line.chars().count() - body.chars().count();
        // The line break of a string.
        let body = body.trim_end().strip_suffix('\\').unwrap_or(body);
        continues = split(body, number + 1, skipped, continues, &mut words);
    }
    words
}

/// The line without the marker of a comment or a list.
fn without_marker(line: &str) -> &str {
    let line = line.trim_start();
    ["//!", "///", "//", "#", ">"]
        .iter()
        .find_map(|marker| line.strip_prefix(marker))
        .unwrap_or(line)
}

/// Adds the words of a line; whether the last one may continue on the next line.
fn split(line: &str, number: usize, skipped: usize, mut continues: bool, words: &mut Vec<Word>) -> bool {
    let characters: Vec<char> = line.chars().collect();
    let is_inner = |index: usize| characters.get(index).is_some_and(|c| c.is_alphanumeric());
    let mut index = 0;
    while let Some(first) = characters.get(index) {
        if !first.is_alphanumeric() {
            continues &= first.is_whitespace() || matches!(first, '_' | '-');
            index += 1;
            continue;
        }
        let start = index;
        index += 1;
        while let Some(next) = characters.get(index) {
            let camel = next.is_uppercase() && characters[index - 1].is_lowercase();
            let apostrophe = *next == '\'' && is_inner(index + 1);
            if camel || !(next.is_alphanumeric() || apostrophe) {
                break;
            }
            index += 1;
        }
        words.push(Word {
            text: characters[start..index].iter().collect::<String>().to_lowercase(),
            line: number,
            column: skipped + start + 1,
            continues,
        });
        continues = true;
    }
    continues
}
