//! From a typed word to its meaning.

use std::time::Duration;

use portgate_core::spec::{PortSpec, Selector};

/// clap prints one text only: the hint goes with the error.
pub(super) fn port_spec(text: &str) -> Result<PortSpec, String> {
    PortSpec::parse(text).map_err(|error| format!("{error}\nhint: {}", error.hint()))
}

pub(super) fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| format!("{error}\nhint: {}", error.selector_hint()))
}

/// `500ms`, `2s`, `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| duration.try_into().ok());
    duration.ok_or_else(|| "not a duration: write it as 500ms, 2s or 1m30s".to_owned())
}

/// A time, or a duration before now.
pub(super) fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    match duration(text) {
        Ok(ago) => jiff::Timestamp::now().checked_sub(ago).map_err(|error| error.to_string()),
        Err(_) => text.parse().map_err(|_| "neither a duration (10m) nor a time (2026-01-31T12:00:00Z)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_kubectl() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1s").is_err() && duration("soon").is_err());
    }

    #[test]
    fn moments_are_times_or_durations_before_now() {
        assert_eq!(moment("2026-01-31T12:00:00Z").unwrap().to_string(), "2026-01-31T12:00:00Z");
        let ten_minutes_ago = jiff::Timestamp::now().checked_sub(Duration::from_mins(10)).unwrap();
        assert!(moment("10m").unwrap().duration_since(ten_minutes_ago).abs() < jiff::SignedDuration::from_secs(5));
        assert!(moment("yesterday").is_err());
    }
}
