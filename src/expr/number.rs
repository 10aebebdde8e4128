//! Exact decimal numbers. A price must not become 1998.9999999999998 because it passed a float, so the language counts in
//! decimals: an integer of 128 bits and the number of digits behind its point. What does not fit is an error.

use std::{cmp::Ordering, fmt, sync::Arc};

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};

use super::library::{Result, trouble};

/// Digits behind the point that a division that does not come out even keeps.
const QUOTIENT_DIGITS: u32 = 16;
/// More digits behind the point than this are refused.
const SCALE_MAX: u32 = 36;

/// `units / 10^scale`, without trailing zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decimal {
    units: i128,
    scale: u32,
}

/// A number with a fraction as the text it was written in, so that one that is only passed on keeps all its digits.
#[derive(PartialEq, Eq)]
pub struct Written(Box<str>);

impl Written {
    /// Takes the text of a JSON number.
    pub fn value(text: &str) -> Value {
        Value::from_object(Self(text.into()))
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Debug hides the number: it belongs to a record.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

impl Object for Written {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        Decimal::parse(&self.0).is_none_or(|number| number.units != 0)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the value is a number of either form.
pub fn is_number(value: &Value) -> bool {
    value.kind() == ValueKind::Number || value.downcast_object_ref::<Written>().is_some()
}

/// The number a value is, if it is one and fits.
pub fn decimal(value: &Value) -> Option<Decimal> {
    if value.kind() == ValueKind::Number {
        if value.is_integer() {
            return i128::try_from(value.clone()).ok().map(Decimal::from);
        }
        // A literal such as 0.5 in the expression. The shortest text that means the same float is what was written.
        return f64::try_from(value.clone()).ok().and_then(|float| Decimal::parse(&format!("{float:e}")));
    }
    Decimal::parse(value.downcast_object_ref::<Written>()?.text())
}

impl From<i128> for Decimal {
    fn from(units: i128) -> Self {
        Self { units, scale: 0 }
    }
}

impl From<Decimal> for Value {
    fn from(number: Decimal) -> Self {
        if number.scale == 0 { Value::from(number.units) } else { Written::value(&number.to_string()) }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.units < 0 { "-" } else { "" };
        if scale == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

impl Decimal {
    /// Reads `-12`, `1.50`, `1e-3`. Nothing when it is no number or has more digits than fit.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let bare = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        if [bare, fraction].iter().any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit())) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let units: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Self::scaled(units, scale)
    }

    /// `units / 10^scale`, in its shortest form.
    fn scaled(mut units: i128, mut scale: i32) -> Option<Self> {
        if units == 0 {
            return Some(Self { units, scale: 0 });
        }
        while scale > 0 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        if scale < 0 {
            units = units.checked_mul(power_of_ten(scale.unsigned_abs())?)?;
            scale = 0;
        }
        let scale = scale.unsigned_abs();
        (scale <= SCALE_MAX).then_some(Self { units, scale })
    }

    pub fn is_whole(self) -> bool {
        self.scale == 0
    }

    /// The number as an integer, when it has no fraction and fits.
    pub fn to_i64(self) -> Option<i64> {
        self.is_whole().then(|| i64::try_from(self.units).ok()).flatten()
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let grow = |number: Self| number.units.checked_mul(power_of_ten(scale - number.scale)?);
        Some((grow(self)?, grow(other)?, scale))
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Self::scaled(a.checked_add(b)?, scale as i32)
    }

    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated()?)
    }

    pub fn negated(self) -> Option<Self> {
        Some(Self { units: self.units.checked_neg()?, ..self })
    }

    pub fn times(self, other: Self) -> Option<Self> {
        Self::scaled(self.units.checked_mul(other.units)?, (self.scale + other.scale) as i32)
    }

    /// The quotient, rounded to 16 digits behind the point. The divisor must not be zero.
    pub fn over(self, other: Self) -> Option<Self> {
        let (a, b, _) = self.aligned(other)?;
        let whole = a.checked_div(b)?;
        let mut rest = a.checked_rem(b)?;
        let (mut units, mut scale) = (whole, 0);
        while rest != 0 && scale < QUOTIENT_DIGITS + 1 {
            rest = rest.checked_mul(10)?;
            units = units.checked_mul(10)?.checked_add(rest / b)?;
            rest %= b;
            scale += 1;
        }
        Self::scaled(units, scale as i32)?.rounded(QUOTIENT_DIGITS)
    }

    /// The largest whole number that is not above the quotient. The divisor must not be zero.
    pub fn floor_over(self, other: Self) -> Option<Self> {
        let (a, b, _) = self.aligned(other)?;
        let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
        Some(Self::from(if rest != 0 && (rest < 0) != (b < 0) { quotient - 1 } else { quotient }))
    }

    /// What is left of a floor division; it has the sign of the divisor.
    pub fn modulo(self, other: Self) -> Option<Self> {
        self.minus(self.floor_over(other)?.times(other)?)
    }

    pub fn power(self, exponent: u32) -> Option<Self> {
        let mut product = Self::from(1);
        for _ in 0..exponent {
            product = product.times(self)?;
        }
        Some(product)
    }

    /// Rounded to `digits` behind the point, halves away from zero.
    pub fn rounded(self, digits: u32) -> Option<Self> {
        if self.scale <= digits {
            return Some(self);
        }
        let unit = power_of_ten(self.scale - digits)?;
        let half = if self.units < 0 { -unit / 2 } else { unit / 2 };
        Self::scaled(self.units.checked_add(half)? / unit, digits as i32)
    }

    pub fn floor(self) -> Option<Self> {
        self.floor_over(Self::from(1))
    }

    pub fn compare(self, other: Self) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            // They are so far apart that aligning overflows: the whole parts decide.
            None => {
                let whole = |number: Self| power_of_ten(number.scale).map_or(0, |unit| number.units / unit);
                whole(self).cmp(&whole(other))
            }
        }
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// The result of a calculation, or that it does not fit.
pub fn fits(number: Option<Decimal>) -> Result {
    number.map(Value::from).ok_or_else(|| trouble("the result has more digits than a number can hold here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn decimals_are_added_and_multiplied_exactly() {
        assert_eq!(number("19.99").times(number("100")).unwrap().to_string(), "1999");
        assert_eq!(number("0.1").plus(number("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(number("-0.05").minus(number("1e-2")).unwrap().to_string(), "-0.06");
        assert_eq!(number("1.5e3").to_string(), "1500");
    }

    #[test]
    fn division_is_exact_where_it_comes_out_even_and_rounded_elsewhere() {
        assert_eq!(number("10").over(number("4")).unwrap().to_string(), "2.5");
        assert_eq!(number("2").over(number("3")).unwrap().to_string(), "0.6666666666666667");
        assert_eq!(number("-1").over(number("3")).unwrap().to_string(), "-0.3333333333333333");
        assert_eq!(number("-7").floor_over(number("2")).unwrap().to_string(), "-4");
        assert_eq!(number("-7").modulo(number("2")).unwrap().to_string(), "1");
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!(number("2.675").rounded(2).unwrap().to_string(), "2.68");
        assert_eq!(number("-2.5").rounded(0).unwrap().to_string(), "-3");
    }

    #[test]
    fn what_does_not_fit_is_nothing_and_never_wraps() {
        assert_eq!(Decimal::parse("1e400"), None);
        assert_eq!(Decimal::parse("1e-400"), None);
        assert_eq!(Decimal::parse("1.2.3"), None);
        assert_eq!(Decimal::parse("e5"), None);
        assert_eq!(number("170141183460469231731687303715884105727").plus(number("1")), None);
    }
}
