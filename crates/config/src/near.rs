//! Near matches: what somebody may have meant.

/// Longer texts are no typing errors, and comparing them takes long.
const MAX_LENGTH: usize = 64;

/// The candidate that is closest to `word`, if one is close enough to be meant: a third of its letters may differ.
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
            // Comparing takes long; lengths alone rule most out.
            if candidate.chars().count().abs_diff(length) > limit {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&folded, &fold(candidate));
            (distance <= limit).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Upper and lower case, `-` and `_` are mistaken for one another.
fn fold(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
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
