//! Growth curves as SVG: both axes logarithmic, so that a power is a straight line and its exponent the steepness.

use super::exponent;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};

/// One line of a plot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its points; those that are not positive cannot be drawn and are left out.
    pub points: Vec<(f64, f64)>,
}

/// Curves on one pair of logarithmic axes. Its [`fmt::Display`] is an SVG document.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// What is on the horizontal axis, with its unit.
    pub x: String,
    /// What is on the vertical axis, with its unit.
    pub y: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
/// Room for the labels: left, top, right, bottom.
const MARGIN: [f64; 4] = [80.0, 50.0, 220.0, 60.0];
/// Told apart by people who see colours differently, too (Okabe and Ito's palette).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// A logarithmic axis over whole decades, drawn between two places.
struct Axis {
    low: i32,
    high: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (min, max) = values.fold((f64::INFINITY, 0.0), |(min, max): (f64, f64), v| (min.min(v), max.max(v)));
        let (min, max) = if max > 0.0 { (min, max) } else { (1.0, 10.0) };
        let low = min.log10().floor() as i32;
        Self { low, high: (max.log10().ceil() as i32).max(low + 1), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// The decades, each with its place.
    fn ticks(&self) -> impl Iterator<Item = (String, f64)> {
        (self.low..=self.high).map(|power| (decade(power), self.place(10_f64.powi(power))))
    }
}

fn decade(power: i32) -> String {
    match power {
        -3..0 => format!("{:.*}", power.unsigned_abs() as usize, 10_f64.powi(power)),
        0..6 => format!("{:.0}", 10_f64.powi(power)),
        _ => format!("1e{power}"),
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drawn: Vec<Curve> = self.curves.iter().map(drawable).collect();
        let points = || drawn.iter().flat_map(|curve| curve.points.iter().copied());
        let x = Axis::new(points().map(|p| p.0), MARGIN[0], WIDTH - MARGIN[2]);
        let y = Axis::new(points().map(|p| p.1), HEIGHT - MARGIN[3], MARGIN[1]);
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
        )?;
        writeln!(f, r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"#)?;
        self.frame(f, &x, &y)?;
        for (nth, curve) in drawn.iter().enumerate() {
            draw(f, curve, nth, &x, &y)?;
        }
        writeln!(f, "</svg>")
    }
}

impl Plot {
    fn frame(&self, f: &mut fmt::Formatter<'_>, x: &Axis, y: &Axis) -> fmt::Result {
        for (label, at) in x.ticks() {
            line(f, (at, y.from), (at, y.to))?;
            text(f, (at, y.from + 18.0), "middle", &label)?;
        }
        for (label, at) in y.ticks() {
            line(f, (x.from, at), (x.to, at))?;
            text(f, (x.from - 8.0, at + 4.0), "end", &label)?;
        }
        text(f, (x.from, y.to - 26.0), "start", &self.title)?;
        text(f, (x.from, y.to - 8.0), "start", &self.y)?;
        text(f, (x.to, y.from + 40.0), "end", &self.x)
    }
}

fn drawable(curve: &Curve) -> Curve {
    let positive = |n: f64| n.is_finite() && n > 0.0;
    let points = curve.points.iter().copied().filter(|(x, y)| positive(*x) && positive(*y)).collect();
    Curve { name: curve.name.clone(), points }
}

fn draw(f: &mut fmt::Formatter<'_>, curve: &Curve, nth: usize, x: &Axis, y: &Axis) -> fmt::Result {
    let colour = COLOURS[nth % COLOURS.len()];
    let mut path = String::new();
    for point in &curve.points {
        let (at_x, at_y) = (x.place(point.0), y.place(point.1));
        write!(path, "{at_x:.1},{at_y:.1} ")?;
        writeln!(f, r#"<circle cx="{at_x:.1}" cy="{at_y:.1}" r="3" fill="{colour}"/>"#)?;
    }
    writeln!(f, r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, path.trim_end())?;
    let at = (x.to + 30.0, y.to + 12.0 + 20.0 * nth as f64);
    writeln!(f, r#"<rect x="{}" y="{}" width="12" height="12" fill="{colour}"/>"#, at.0 - 18.0, at.1 - 10.0)?;
    let name = match exponent(&curve.points) {
        Ok(fit) => format!("{}, exponent {:.2}", curve.name, fit.slope),
        Err(_) => curve.name.clone(),
    };
    text(f, at, "start", &name)
}

fn line(f: &mut fmt::Formatter<'_>, a: (f64, f64), b: (f64, f64)) -> fmt::Result {
    let ((x1, y1), (x2, y2)) = (a, b);
    writeln!(f, r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#ccc"/>"##)
}

fn text(f: &mut fmt::Formatter<'_>, at: (f64, f64), anchor: &str, content: &str) -> fmt::Result {
    let escaped = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(f, r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}">{escaped}</text>"#, at.0, at.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> String {
        let curves = vec![Curve { name: "edit <one>".into(), points }];
        Plot { title: "Growth".into(), x: "services".into(), y: "µs".into(), curves }.to_string()
    }

    #[test]
    fn decades_are_spaced_evenly_and_a_power_is_straight() {
        let svg = plot(vec![(100.0, 1.0), (1000.0, 10.0), (10_000.0, 100.0)]);
        // 420 wide and 330 high, two decades each way: half way is 290 and 215.
        assert!(svg.contains(r#"points="80.0,380.0 290.0,215.0 500.0,50.0""#), "{svg}");
        assert!(svg.contains("edit &lt;one&gt;, exponent 1.00"), "{svg}");
        for label in [">100<", ">1000<", ">10000<", ">10<"] {
            assert!(svg.contains(label), "{label}");
        }
    }

    #[test]
    fn what_has_no_logarithm_is_left_out() {
        let svg = plot(vec![(0.0, 1.0), (10.0, f64::NAN), (10.0, 0.02)]);
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.contains(">0.01<") && svg.contains(">0.1<"), "{svg}");
        assert!(!plot(Vec::new()).contains("NaN"));
    }
}
