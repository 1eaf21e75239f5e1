//! From a typed word to its meaning.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portgate_core::forward::LONGEST_PATIENCE;
use portgate_core::spec::{PortSpec, Selector, listener};

/// clap prints one text only: the hint goes with the error.
pub(super) fn port_spec(text: &str) -> Result<PortSpec, String> {
    PortSpec::parse(text).map_err(|error| format!("{error}\nhint: {}", error.hint()))
}

pub(super) fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| format!("{error}\nhint: {}", error.selector_hint()))
}

/// An address of this machine to listen on.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let address =
        text.parse().map_err(|_| "not an IP address\nhint: an address is written 127.0.0.1 or ::1".to_owned())?;
    listener(address).map_err(|error| format!("{error}\nhint: {}", error.hint()))
}

/// How long to wait for something: `500ms`, `2s`, `1m30s`.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        duration if duration > LONGEST_PATIENCE => Err("more than 24h".to_owned()),
        duration => Ok(duration),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| duration.try_into().ok());
    duration.ok_or_else(|| "not a duration: write it as 500ms, 2s or 1m30s".to_owned())
}

/// A time, or a duration before now. Nothing is older than [`Timestamp::UNIX_EPOCH`].
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let moment = match duration(text) {
        Ok(ago) => Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
        Err(_) => text.parse().map_err(|_| "neither a duration (10m) nor a time (2026-01-31T12:00:00Z)".to_owned())?,
    };
    Ok(moment.max(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_kubectl() {
        assert_eq!(patience("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(patience("500ms"), Ok(Duration::from_millis(500)));
        assert!(patience("-1s").is_err() && patience("soon").is_err());
    }

    #[test]
    fn moments_are_times_or_durations_before_now() {
        assert_eq!(moment("2026-01-31T12:00:00Z").unwrap().to_string(), "2026-01-31T12:00:00Z");
        let ten_minutes_ago = Timestamp::now().checked_sub(Duration::from_mins(10)).unwrap();
        assert!(moment("10m").unwrap().duration_since(ten_minutes_ago).abs() < jiff::SignedDuration::from_secs(5));
        assert!(moment("yesterday").is_err());
    }

    #[test]
    fn a_moment_before_all_logs_is_the_first_one() {
        for text in ["9223372036854775807s", "1000000h", "1950-01-01T00:00:00Z"] {
            assert_eq!(moment(text), Ok(Timestamp::UNIX_EPOCH), "{text}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_a_day() {
        assert_eq!(patience("24h"), Ok(LONGEST_PATIENCE));
        assert_eq!(patience("9223372036854775807s"), Err("more than 24h".to_owned()));
        assert!(patience("24h1s").is_err() && patience("99999999999999999999s").is_err());
    }

    #[test]
    fn an_address_is_one_that_can_be_connected_to() {
        assert_eq!(address("::ffff:127.0.0.1"), Ok(IpAddr::from([127, 0, 0, 1])));
        for text in ["224.0.0.1", "255.255.255.255", "fe80::1", "nowhere", ""] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
