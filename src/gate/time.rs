//! Points in time and lengths of time as people write them (`jiff` lives here).

use std::fmt;
use std::time::Duration;

/// Seconds since the Unix epoch. Values come from `adapters::env` or from records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Parses RFC 3339 (`2026-11-23T08:00:00Z`), or a date (`2026-11-23`: the
    /// start of that day in UTC).
    pub fn parse(text: &str) -> Option<Timestamp> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp(time.as_second()));
        }
        let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10)?;
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp(zoned.timestamp().as_second()))
    }

    /// Adds a length of time; stops at the ends of the calendar.
    pub fn plus(self, length: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(length.as_secs()).unwrap_or(i64::MAX)))
    }

    /// The time since `earlier`; zero if that lies in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns year, month and day in UTC, for the ledger's folders.
    pub fn date(self) -> (i16, i8, i8) {
        let time = jiff::Timestamp::from_second(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        (date.year(), date.month(), date.day())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_second(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(formatter, "{time}")
    }
}

/// Parses `90s`, `10m`, `24h`, `30d`, `2w`, or several of them (`1h30m`); a
/// bare number, a fraction, a sign or an unknown unit is refused.
pub fn parse_length(text: &str) -> Option<Duration> {
    let mut total = 0u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let number = rest[..digits].parse::<u64>().ok()?;
        let unit_end = rest[digits..]
            .find(|character: char| !character.is_ascii_alphabetic())
            .map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest[unit_end..].trim_start();
    }
    Some(Duration::from_secs(total))
}

/// Writes a length of time as [`parse_length`] reads it: `1h30m`, `45s`.
pub fn write_length(length: Duration) -> String {
    let mut seconds = length.as_secs();
    let mut text = String::new();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if seconds >= size {
            text.push_str(&format!("{}{unit}", seconds / size));
            seconds %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths_read_back() {
        let time = Timestamp::parse("2026-11-23T08:00:00Z").expect("RFC 3339");
        assert_eq!(time.to_string(), "2026-11-23T08:00:00Z");
        assert_eq!(
            Timestamp::parse("2026-11-23").map(|it| it.to_string()).as_deref(),
            Some("2026-11-23T00:00:00Z")
        );
        assert_eq!(time.date(), (2026, 11, 23));
        for text in ["10m", "1h30m", "30d", "45s"] {
            assert_eq!(parse_length(text).map(write_length).as_deref(), Some(text));
        }
        for text in ["", "10", "1.5h", "-3d", "3 parsecs", "99999999999999999999d"] {
            assert_eq!(parse_length(text), None, "{text}");
        }
    }
}
