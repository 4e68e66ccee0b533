//! Medians, and pairs measured in turn.

use std::fmt;

/// A median with the least and the greatest of what it is the median of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// The spread of some values; `None` of none, or where one is not a number.
    pub fn of(values: &[f64]) -> Option<Self> {
        let median = median(values)?;
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Self { median, min, max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3}–{:.3})", self.median, self.min, self.max)
    }
}

/// The median: of an even number of values, the mean of the middle two. `None` of none, or where one is not a number.
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    Some(match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    })
}

/// What was measured and its floor, in turn, so that whatever else happens on the machine happens to both.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    measured: Vec<f64>,
    floor: Vec<f64>,
}

impl Pairs {
    /// The least number of pairs that a result is given for.
    pub const LEAST: usize = 5;

    /// Measures pairs: one of ours, one of the floor's, the other way round in the next pair, and so on.
    ///
    /// # Errors
    /// The first error of either; nothing is measured after it.
    pub fn measure<E>(
        count: usize,
        mut ours: impl FnMut() -> Result<f64, E>,
        mut floor: impl FnMut() -> Result<f64, E>,
    ) -> Result<Self, E> {
        let mut pairs = Self::default();
        for pair in 0..count.max(Self::LEAST) {
            let (measured, base) = match pair % 2 {
                0 => (ours()?, floor()?),
                _ => {
                    let base = floor()?;
                    (ours()?, base)
                }
            };
            pairs.measured.push(measured);
            pairs.floor.push(base);
        }
        Ok(pairs)
    }

    /// The pairs' own ratios, measured over floor. `None` where a floor is zero.
    pub fn ratio(&self) -> Option<Spread> {
        let ratios: Vec<f64> = self.measured.iter().zip(&self.floor).map(|(m, f)| m / f).collect();
        Spread::of(&ratios).filter(|spread| spread.max.is_finite())
    }

    /// What was measured.
    pub fn measured(&self) -> Option<Spread> {
        Spread::of(&self.measured)
    }

    /// The floors.
    pub fn floor(&self) -> Option<Spread> {
        Spread::of(&self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!((median(&[]), median(&[1.0, f64::NAN])), (None, None));
    }

    #[test]
    fn pairs_alternate_and_their_ratios_are_per_pair() {
        let order = std::cell::RefCell::new(String::new());
        let mut n = 0.0;
        let ours = || {
            order.borrow_mut().push('a');
            n += 1.0;
            Ok::<_, Infallible>(n)
        };
        let floor = || {
            order.borrow_mut().push('b');
            Ok(2.0)
        };
        let pairs = Pairs::measure(1, ours, floor).unwrap();
        assert_eq!(*order.borrow(), "abbaabbaab");
        assert_eq!(pairs.ratio(), Some(Spread { median: 1.5, min: 0.5, max: 2.5 }));
        assert_eq!(pairs.measured().unwrap().max, 5.0);
    }

    #[test]
    fn an_error_ends_the_measuring_and_a_floor_of_zero_has_no_ratio() {
        let mut tries = 0;
        let failing = || {
            tries += 1;
            Err("lost")
        };
        assert_eq!(Pairs::measure(9, failing, || Ok(1.0)).unwrap_err(), "lost");
        assert_eq!(tries, 1);
        let pairs = Pairs::measure(5, || Ok::<_, Infallible>(1.0), || Ok(0.0)).unwrap();
        assert_eq!(pairs.ratio(), None);
    }
}
