//! Suggestions for misspelled names.

/// The maximum length of a compared text. Longer texts are not typing errors, and comparing them is slow.
const MAX_LENGTH: usize = 64;

/// Returns the candidate that is most similar to `word`. At most a third of its letters may differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > MAX_LENGTH {
        return None;
    }
    let folded = fold(word);
    let length = folded.chars().count();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let limit = (candidate.chars().count() / 3)
                .max(1)
                .min(length.saturating_sub(1));
            // The difference of lengths excludes most candidates without a comparison.
            if candidate.chars().count().abs_diff(length) > limit {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&folded, &fold(candidate));
            (distance <= limit).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Normalizes case, `-` and `_`.
fn fold(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_candidate_is_found() {
        let keys = ["interval", "meters", "resources", "discovery", "name"];
        assert_eq!(nearest("intervall", keys), Some("interval"));
        assert_eq!(nearest("Meters", keys), Some("meters"));
        assert_eq!(nearest("mteers", keys), Some("meters"));
        assert_eq!(nearest("sinks", keys), None);
        assert_eq!(
            nearest("shutdown-timeout", ["shutdown_timeout"]),
            Some("shutdown_timeout")
        );
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
