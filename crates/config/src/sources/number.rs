//! Numbers as ceilometer's YAML and Python read them.

/// Text as Python's `int` reads it: blanks around, a sign, single underscores between digits.
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

/// Whether YAML 1.1, which ceilometer reads, takes the plain text as an octal number.
pub(super) fn octal(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7' | b'_'))
}

/// `1:30` is a number to the base of 60 in YAML 1.1, which ceilometer reads.
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
