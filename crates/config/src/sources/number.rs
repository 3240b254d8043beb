//! Numbers in the notations of ceilometer's YAML and Python.

/// Parses a text as Python's `int`: surrounding blanks, a sign, single underscores between digits.
pub(super) fn python_int(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let well_formed = !digits.is_empty()
        && digits
            .split('_')
            .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !well_formed {
        return None;
    }
    let value: i128 = digits.replace('_', "").parse().unwrap_or(i128::MAX);
    Some(if text.starts_with('-') { -value } else { value })
}

/// Returns whether YAML 1.1, which ceilometer uses, parses the plain text as an octal number.
pub(super) fn octal(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7' | b'_'))
}

/// Parses a sexagesimal number such as `1:30` of YAML 1.1, which ceilometer uses.
pub(super) fn sexagesimal(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    if parts.len() < 2 {
        return None;
    }
    parts
        .iter()
        .try_fold(0_u64, |total, part| total.checked_mul(60)?.checked_add(*part))
}
