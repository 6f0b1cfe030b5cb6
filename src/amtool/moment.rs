//! Moments as an API tells them and as people read and write them, in Go's layouts.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tocsin_template::{Time, parse_time};

/// Go's `time.RFC3339`; a fraction may stand behind the seconds.
const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

/// A moment in the zone in which it was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment(Time);

impl Moment {
    /// Reads RFC 3339.
    /// # Errors
    /// In Go's words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parse_time(RFC3339, text).map(Self)
    }

    /// The moment, whatever its zone.
    pub(super) fn at(&self) -> Timestamp {
        self.0.moment()
    }

    /// By a Go layout such as `2006-01-02 15:04:05 MST`.
    pub(super) fn format(&self, layout: &str) -> String {
        self.0.format(layout)
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(Time::new(at, jiff::tz::TimeZone::UTC))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Moment {
    /// As upstream's API writes it: with three decimals, cut off, in the zone in which it was told.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.format("2006-01-02T15:04:05.000Z07:00"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "2006-01-02 15:04:05 MST";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Moment::parse(text).map(|moment| moment.format(TABLE)), Ok(expected.to_owned()));
    }

    #[test]
    fn zone_of_the_text_is_kept() {
        check("2026-11-22T10:00:00.123Z", "2026-11-22 10:00:00 UTC");
        check("2026-11-22T10:00:00.000+01:00", "2026-11-22 10:00:00 +0100");
    }

    #[test]
    fn zone_is_written_too() {
        for text in ["2026-11-22T10:00:00.000Z", "2026-11-22T10:00:00.120-03:30"] {
            let written = serde_json::to_string(&Moment::parse(text).unwrap()).unwrap();
            assert_eq!(written, format!("{text:?}"));
        }
    }

    #[test]
    fn mistakes_are_told_as_go_tells_them() {
        let expected =
            r#"parsing time "bad" as "2006-01-02T15:04:05Z07:00": cannot parse "bad" as "2006""#;
        assert_eq!(Moment::parse("bad"), Err(expected.to_owned()));
    }
}
