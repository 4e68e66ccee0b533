//! Straight lines through points, by least squares.

/// A line `y = intercept + slope · x`, and how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// How much `y` grows where `x` grows by one.
    pub slope: f64,
    /// `y` at `x = 0`.
    pub intercept: f64,
    /// The share of the variance of `y` that the line explains, 0 to 1.
    pub r_squared: f64,
}

/// Points that no line can be put through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// A line needs two points of different `x`.
    #[error("a line needs at least two points with different x")]
    TooFew,
    /// Logarithms need positive numbers.
    #[error("growth can be fitted to positive, finite numbers only")]
    NotPositive,
}

/// The line through points that leaves the least sum of squares: its slope is, say, the bytes that each client adds.
///
/// # Errors
/// Where there are less than two different `x`.
pub fn slope(points: &[(f64, f64)]) -> Result<Fit, FitError> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum::<f64>();
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    if points.len() < 2 || xx == 0.0 {
        return Err(FitError::TooFew);
    }
    let slope = xy / xx;
    let r_squared = if yy == 0.0 { 1.0 } else { xy * xy / (xx * yy) };
    Ok(Fit { slope, intercept: mean_y - slope * mean_x, r_squared })
}

/// How `y` grows with `x`: the exponent `k` of `y = c · x^k`, which is the slope among the logarithms; the intercept is `ln c`.
/// 0 is no growth, 1 is growth in proportion.
///
/// # Errors
/// Where a number is not positive, or there are less than two different `x`.
pub fn exponent(points: &[(f64, f64)]) -> Result<Fit, FitError> {
    let positive = |n: f64| n.is_finite() && n > 0.0;
    if !points.iter().all(|(x, y)| positive(*x) && positive(*y)) {
        return Err(FitError::NotPositive);
    }
    slope(&points.iter().map(|(x, y)| (x.ln(), y.ln())).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6 * (1.0 + b.abs())
    }

    proptest! {
        #[test]
        fn the_exponent_of_a_power_is_found(k in -2.0..3.0_f64, c in 0.001..1000.0_f64) {
            let points: Vec<_> = [1e3, 2e3, 5e3, 1e4].map(|x: f64| (x, c * x.powf(k))).into();
            let fit = exponent(&points).unwrap();
            prop_assert!(near(fit.slope, k) && near(fit.intercept, c.ln()), "{fit:?}");
        }

        #[test]
        fn no_other_line_is_nearer(
            ys in prop::collection::vec(-100.0..100.0_f64, 3..9), tilt in -1.0..1.0_f64, lift in -1.0..1.0_f64,
        ) {
            let points: Vec<_> = ys.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
            let fit = slope(&points).unwrap();
            let error = |slope: f64, at: f64| points.iter().map(|(x, y)| (y - at - slope * x).powi(2)).sum::<f64>();
            prop_assert!(error(fit.slope, fit.intercept) <= error(fit.slope + tilt, fit.intercept + lift) + 1e-6);
            prop_assert!((-1e-9..=1.0 + 1e-9).contains(&fit.r_squared));
        }
    }

    #[test]
    fn a_known_line() {
        // Worked by hand: means 2 and 11/3, sums xx = 2, xy = 3, yy = 14/3.
        let fit = slope(&[(1.0, 2.0), (2.0, 4.0), (3.0, 5.0)]).unwrap();
        assert!(near(fit.slope, 1.5) && near(fit.intercept, 2.0 / 3.0) && near(fit.r_squared, 27.0 / 28.0), "{fit:?}");
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        assert_eq!(slope(&[]), Err(FitError::TooFew));
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 3.0)]), Err(FitError::TooFew));
        assert_eq!(exponent(&[(1.0, 0.0), (2.0, 1.0)]), Err(FitError::NotPositive));
        assert_eq!(exponent(&[(1.0, f64::NAN), (2.0, 1.0)]), Err(FitError::NotPositive));
    }
}
