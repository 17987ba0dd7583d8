//! Tells date and time, in UTC.

use countersign_domain::Timestamp;

use crate::js;

/// Days of the week, from the day on which time began.
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

const SECONDS_A_DAY: i64 = 86_400;

pub(super) const DESCRIPTION: &str = "Tells the date, the day of the week and the time, in UTC.";

pub(super) fn call(now: Timestamp) -> String {
    let text = now.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    let day = now.as_seconds().div_euclid(SECONDS_A_DAY).rem_euclid(7);
    let day = usize::try_from(day)
        .ok()
        .and_then(|day| DAYS.get(day))
        .copied()
        .unwrap_or_default();
    js::json_text(&serde_json::json!({"date": date, "day": day, "time": time.get(..8).unwrap_or(time)}))
}
