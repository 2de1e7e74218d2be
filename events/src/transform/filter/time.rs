//! The functions `timestamp("2026-11-21T06:25:22Z")` and `duration("1h30m")`. Times can be compared, subtracted, and
//! asked for their hour and day, in UTC.

use std::any::Any;
use std::cmp::Ordering;

use cel::common::traits::{Adder, Comparer, Subtractor};
use cel::common::types::{CelInt, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use crate::event::{Nanos, rfc3339};

const SECOND: Nanos = 1_000_000_000;
const DAY: Nanos = 86_400 * SECOND;

static TIME: Type = Type::new_unspecified_type("google.protobuf.Timestamp");
static LENGTH: Type = Type::new_unspecified_type("google.protobuf.Duration");

/// Registers the functions.
pub(super) fn add(env: &mut Env) -> Result<(), DeclarationError> {
    cel::add_overload!(env, fn timestamp: (CelString) -> Result<Time>)?;
    cel::add_overload!(env, fn duration: (CelString) -> Result<Length>)?;
    cel::add_member_overload!(env, fn get_hours: (Time) -> CelInt)?;
    cel::add_member_overload!(env, fn get_minutes: (Time) -> CelInt)?;
    cel::add_member_overload!(env, fn get_day_of_week: (Time) -> CelInt)
}

fn timestamp(text: &CelString<'_>) -> Result<Time, ExecutionError> {
    let nanos = rfc3339(text.inner().as_bytes());
    nanos.map(Time).ok_or_else(|| ExecutionError::function_error("timestamp", "no RFC 3339 time"))
}

fn duration(text: &CelString<'_>) -> Result<Length, ExecutionError> {
    let nanos = parse_length(text.inner());
    nanos
        .map(Length)
        .ok_or_else(|| ExecutionError::function_error("duration", "not as in \"1h30m\""))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the macro calls it")]
fn get_hours(time: &Time) -> CelInt {
    CelInt::from(time.0.rem_euclid(DAY) / (3600 * SECOND))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the macro calls it")]
fn get_minutes(time: &Time) -> CelInt {
    CelInt::from(time.0.rem_euclid(3600 * SECOND) / (60 * SECOND))
}

/// Sunday is 0; 1 January 1970 was a Thursday.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the macro calls it")]
fn get_day_of_week(time: &Time) -> CelInt {
    CelInt::from((time.0.div_euclid(DAY) + 4).rem_euclid(7))
}

/// Parses a duration as Go writes it, in whole numbers.
fn parse_length(text: &str) -> Option<Nanos> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut sum: Nanos = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: Nanos = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
        let unit = match &rest[..letters] {
            "h" => 3600 * SECOND,
            "m" => 60 * SECOND,
            "s" => SECOND,
            "ms" => 1_000_000,
            "us" | "µs" => 1000,
            "ns" => 1,
            _ => return None,
        };
        rest = &rest[letters..];
        sum = sum.checked_add(number.checked_mul(unit)?)?;
    }
    Some(sign * sum)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(Nanos);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Length(Nanos);

fn is<T: StaticVal + Copy>(value: &dyn Val) -> Option<T> {
    value.as_any()?.downcast_ref::<T>().copied()
}

fn other_kind(function: &str) -> ExecutionError {
    ExecutionError::function_error(function, "a time, and something else")
}

fn checked<'b, 'v>(
    nanos: Option<Nanos>,
    make: impl FnOnce(Nanos) -> CowVal<'b, 'v>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    nanos.map(make).ok_or_else(|| ExecutionError::function_error("-", "out of range"))
}

macro_rules! value {
    ($name:ident, $type:ident) => {
        impl StaticVal for $name {}
        impl Val for $name {
            fn get_type(&self) -> &Type {
                &$type
            }
            fn cel_type() -> &'static Type {
                &$type
            }
            fn as_comparer(&self) -> Option<&dyn Comparer> {
                Some(self)
            }
            fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }
            fn as_subtractor<'b, 'v>(&'b self) -> Option<&'b (dyn Subtractor + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }
            fn equals(&self, other: &dyn Val) -> bool {
                is::<$name>(other).is_some_and(|other| other == *self)
            }
            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
                Box::new(*self)
            }
            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }
        impl Comparer for $name {
            fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
                is::<$name>(other).map(|other| self.0.cmp(&other.0)).ok_or_else(|| other_kind("<"))
            }
        }
    };
}

value!(Time, TIME);
value!(Length, LENGTH);

impl Adder for Time {
    fn add<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let length = is::<Length>(other).ok_or_else(|| other_kind("+"))?;
        checked(self.0.checked_add(length.0), |nanos| CowVal::owned(Time(nanos)))
    }
}

impl Subtractor for Time {
    fn sub<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        if let Some(time) = is::<Time>(other) {
            return checked(self.0.checked_sub(time.0), |nanos| CowVal::owned(Length(nanos)));
        }
        let length = is::<Length>(other).ok_or_else(|| other_kind("-"))?;
        checked(self.0.checked_sub(length.0), |nanos| CowVal::owned(Time(nanos)))
    }
}

impl Adder for Length {
    fn add<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        if let Some(time) = is::<Time>(other) {
            return checked(self.0.checked_add(time.0), |nanos| CowVal::owned(Time(nanos)));
        }
        let length = is::<Length>(other).ok_or_else(|| other_kind("+"))?;
        checked(self.0.checked_add(length.0), |nanos| CowVal::owned(Length(nanos)))
    }
}

impl Subtractor for Length {
    fn sub<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let length = is::<Length>(other).ok_or_else(|| other_kind("-"))?;
        checked(self.0.checked_sub(length.0), |nanos| CowVal::owned(Length(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_go_writes_them() {
        assert_eq!(parse_length("1h30m"), Some(5400 * SECOND));
        assert_eq!(parse_length("-500ms"), Some(-500_000_000));
        assert_eq!(parse_length("0s"), Some(0));
        for text in ["", "-", "5", "s", "1.5s", "1d", "99999999999999999h", "5é"] {
            assert_eq!(parse_length(text), None, "{text}");
        }
    }

    #[test]
    fn hours_and_days_are_those_of_utc() {
        let time = |text: &str| timestamp(&CelString::from(text)).unwrap();
        let saturday = time("2026-11-21T23:59:59.000000Z");
        assert_eq!(*get_hours(&saturday).inner(), 23);
        assert_eq!(*get_minutes(&saturday).inner(), 59);
        assert_eq!(*get_day_of_week(&saturday).inner(), 6);
        assert_eq!(*get_day_of_week(&time("1969-12-28T00:00:00Z")).inner(), 0);
    }
}
