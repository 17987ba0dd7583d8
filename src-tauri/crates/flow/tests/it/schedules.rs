//! Schedules of a Start node: when a flow runs by itself.

use countersign_domain::Timestamp;
use countersign_flow::{Incoming, Schedule};
use serde_json::{Value, json};

use crate::support::{node, plan};

fn read(settings: Value) -> Result<Schedule, String> {
    let mut settings = settings;
    settings["startInputType"] = "scheduleInput".into();
    plan(vec![node("startAgentflow_0", "startAgentflow", settings)], &[])
        .start()
        .schedule
        .clone()
        .unwrap()
}

fn cron(expression: &str, zone: &str) -> Schedule {
    read(json!({"scheduleType": "cronExpression", "scheduleCronExpression": expression, "scheduleTimezone": zone}))
        .unwrap()
}

fn at(text: &str) -> Timestamp {
    serde_json::from_value(text.into()).unwrap()
}

/// The moments after this one, as many as are asked for, in UTC.
fn moments(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let mut moment = at(after);
    std::iter::from_fn(|| {
        moment = schedule.next_after(moment)?;
        Some(moment.to_string().replace(":00.000Z", "Z"))
    })
    .take(count)
    .collect()
}

#[test]
fn a_picked_schedule_comes_round_as_its_picker_says() {
    let hourly = read(json!({"scheduleFrequency": "hourly", "scheduleOnMinute": 15})).unwrap();
    assert_eq!(
        moments(&hourly, "2026-03-01T10:15:00Z", 2),
        ["2026-03-01T11:15Z", "2026-03-01T12:15Z"]
    );
    let daily = read(json!({"scheduleFrequency": "daily", "scheduleOnTime": "09:30"})).unwrap();
    assert_eq!(
        moments(&daily, "2026-03-01T09:29:59Z", 2),
        ["2026-03-01T09:30Z", "2026-03-02T09:30Z"]
    );
    // 1 is Monday and 7 Sunday; 1 March 2026 is a Sunday.
    let weekly =
        read(json!({"scheduleFrequency": "weekly", "scheduleOnTime": "09:30", "scheduleOnDayOfWeek": "1,7"}))
            .unwrap();
    assert_eq!(
        moments(&weekly, "2026-03-01T09:30:00Z", 2),
        ["2026-03-02T09:30Z", "2026-03-08T09:30Z"]
    );
    let monthly = read(
        json!({"scheduleFrequency": "monthly", "scheduleOnTime": "00:00", "scheduleOnDayOfMonth": "1,31"}),
    )
    .unwrap();
    assert_eq!(
        moments(&monthly, "2026-03-31T00:00:00Z", 3),
        ["2026-04-01T00:00Z", "2026-05-01T00:00Z", "2026-05-31T00:00Z"]
    );
}

#[test]
fn a_cron_expression_has_five_fields_or_six_and_knows_the_last_day() {
    assert_eq!(
        moments(&cron("0 12 L * *", "UTC"), "2028-02-01T00:00:00Z", 2),
        ["2028-02-29T12:00Z", "2028-03-31T12:00Z"]
    );
    assert_eq!(
        moments(&cron("30 0 12 * * *", "UTC"), "2026-03-01T00:00:00Z", 1),
        ["2026-03-01T12:00:30.000Z"]
    );
    assert_eq!(
        moments(&cron("*/20 9-10 * * MON-FRI", "UTC"), "2026-03-06T10:20:00Z", 2),
        ["2026-03-06T10:40Z", "2026-03-09T09:00Z"]
    );
}

#[test]
fn the_clocks_of_the_zone_count_also_when_they_change() {
    // In Berlin 2:00 to 3:00 is left out on 29 March 2026, and comes twice on 25 October.
    let at_night = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        moments(&at_night, "2026-03-28T00:00:00Z", 3),
        ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"],
        "a time that is left out comes right after the gap"
    );
    assert_eq!(
        moments(&at_night, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30Z", "2026-10-26T01:30Z"],
        "a time that comes twice comes once"
    );
    let often = cron("*/30 * * * *", "Europe/Berlin");
    assert_eq!(
        moments(&often, "2026-10-25T00:00:00Z", 4),
        [
            "2026-10-25T00:30Z",
            "2026-10-25T01:00Z",
            "2026-10-25T01:30Z",
            "2026-10-25T02:00Z"
        ],
        "a pattern that repeats within the hour goes on through both"
    );
}

#[test]
fn a_schedule_ends_with_its_last_day_in_its_zone() {
    let daily = |end: &str| {
        read(json!({
            "scheduleFrequency": "daily", "scheduleOnTime": "20:00",
            "scheduleTimezone": "America/New_York", "scheduleEndDate": end,
        }))
        .unwrap()
    };
    let ends = daily("2026-06-02");
    assert_eq!(
        moments(&ends, "2026-06-01T12:00:00Z", 5),
        ["2026-06-02T00:00Z", "2026-06-03T00:00Z"],
        "8 in the evening of 1 and 2 June in New York"
    );
    assert_eq!(
        ends.last_until(at("2027-01-01T00:00:00Z")),
        Some(at("2026-06-03T00:00:00Z"))
    );
    assert_eq!(
        moments(&daily("2026-06-02T12:00:00.000Z"), "2026-06-01T12:00:00Z", 5),
        ["2026-06-02T00:00Z"],
        "an end with a time of day is that moment"
    );
}

#[test]
fn the_last_moment_before_now_is_found_whatever_lies_between() {
    let daily = cron("0 9 * * *", "UTC");
    assert_eq!(
        daily.last_until(at("2026-03-01T09:00:00Z")),
        Some(at("2026-03-01T09:00:00Z"))
    );
    assert_eq!(
        daily.last_until(at("2026-03-01T08:59:59Z")),
        Some(at("2026-02-28T09:00:00Z"))
    );
}

#[test]
fn a_schedule_gives_what_its_input_mode_says() {
    let with = |settings: Value| {
        let mut all = json!({"scheduleFrequency": "hourly", "scheduleOnMinute": "0"});
        all.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        read(all).unwrap().input()
    };
    assert_eq!(
        with(json!({"scheduleDefaultInput": "good morning"})),
        Incoming::Message("good morning".to_owned())
    );
    assert_eq!(
        with(json!({"scheduleInputMode": "none", "scheduleDefaultInput": "unused"})),
        Incoming::Message(" ".to_owned())
    );
    for defaults in [json!({"city": "Oslo"}), json!("{\"city\": \"Oslo\"}")] {
        assert_eq!(
            with(json!({"scheduleInputMode": "form", "scheduleFormDefaults": defaults})),
            Incoming::Form(json!({"city": "Oslo"}))
        );
    }
}

#[test]
fn what_is_wrong_with_a_schedule_is_said() {
    for (settings, part) in [
        (json!({}), "how often"),
        (json!({"scheduleFrequency": "yearly"}), "“yearly”"),
        (
            json!({"scheduleFrequency": "daily", "scheduleOnTime": "24:00"}),
            "“24:00”",
        ),
        (
            json!({"scheduleFrequency": "weekly", "scheduleOnTime": "09:00"}),
            "days of the week",
        ),
        (
            json!({"scheduleFrequency": "hourly", "scheduleOnMinute": 61}),
            "61",
        ),
        (json!({"scheduleType": "cronExpression"}), "no cron expression"),
        (
            json!({"scheduleType": "cronExpression", "scheduleCronExpression": "at dawn"}),
            "“at dawn”",
        ),
        (
            json!({"scheduleType": "cronExpression", "scheduleCronExpression": "0 0 1 1 * * 2030"}),
            "2030",
        ),
        (
            json!({"scheduleFrequency": "hourly", "scheduleOnMinute": 0, "scheduleTimezone": "Mars/Olympus"}),
            "“Mars/Olympus”",
        ),
        (
            json!({"scheduleFrequency": "hourly", "scheduleOnMinute": 0, "scheduleEndDate": "soon"}),
            "“soon”",
        ),
        (
            json!({"scheduleType": "cronExpression", "scheduleCronExpression": "0 0 30 2 *"}),
            "never comes round",
        ),
        (
            json!({"scheduleType": "cronExpression", "scheduleCronExpression": "* * * 31 4,6,9,11 *"}),
            "never comes round",
        ),
        (
            json!({"scheduleFrequency": "hourly", "scheduleOnMinute": 0, "scheduleInputMode": "form",
                "scheduleFormDefaults": "{city"}),
            "form that the schedule fills in cannot be read",
        ),
        (
            json!({"scheduleFrequency": "hourly", "scheduleOnMinute": 0, "scheduleInputMode": "form",
                "scheduleFormDefaults": "[1]"}),
            "has to be a JSON object",
        ),
    ] {
        let problem = read(settings.clone()).expect_err(&settings.to_string());
        assert!(problem.contains(part), "{settings}: {problem}");
        assert!(problem.ends_with('.') && !problem.contains(".."), "{problem}");
    }
}

/// A day that only leap years have comes round, and so does what the editor leaves empty.
#[test]
fn rare_days_and_empty_forms_are_no_fault() {
    assert_eq!(
        moments(&cron("0 0 29 2 *", "Europe/Berlin"), "2026-01-01T00:00:00Z", 1),
        ["2028-02-28T23:00Z"]
    );
    for defaults in [json!(null), json!(""), json!({}), json!("{}")] {
        let settings = json!({"scheduleFrequency": "hourly", "scheduleOnMinute": 0, "scheduleInputMode": "form",
            "scheduleFormDefaults": defaults});
        assert_eq!(read(settings).unwrap().input(), Incoming::Form(json!({})));
    }
}

#[test]
fn a_schedule_is_told_in_words() {
    let schedule = cron("30 9 * * 1", "Europe/Berlin");
    let words = schedule.in_words();
    assert!(
        words.contains("09:30") && words.contains("Monday") && words.ends_with("(Europe/Berlin)"),
        "{words}"
    );
}
