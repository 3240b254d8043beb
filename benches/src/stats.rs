//! Medians and percentiles.

/// Returns the median; of an even count, the mean of the two middle values. NaN without values, which exceeds any budget.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (
        values.len() % 2,
        values.get(middle),
        middle.checked_sub(1).and_then(|below| values.get(below)),
    ) {
        (1, Some(value), _) => *value,
        (0, Some(above), Some(below)) => f64::midpoint(*above, *below),
        _ => f64::NAN,
    }
}

/// Returns the smallest value that 99 % of the values do not exceed: of fewer than 100 values, the largest.
pub(crate) fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * 99).div_ceil(100);
    rank.checked_sub(1)
        .and_then(|index| values.get(index))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
        assert_eq!(p99((1..=1000).map(f64::from).collect()), 990.0);
        assert_eq!(p99((1..=10).map(f64::from).collect()), 10.0);
        assert_eq!(p99(vec![7.0]), 7.0);
    }
}
