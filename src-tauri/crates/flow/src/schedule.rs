//! When a flow with a schedule runs by itself (format §5.1).

use countersign_domain::Timestamp;
use croner::Cron;
use croner::parser::{CronParser, Year};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::run::Incoming;

/// 2000-01-01: from here on every day of the calendar comes within the years that are looked through.
const LONG_AGO: Timestamp = Timestamp::from_millis(946_684_800_000);

/// The moments at which a flow runs: a cron pattern in a time zone, perhaps until some day.
///
/// A moment that falls into the hour that is left out in spring comes right after it; one in the hour that comes
/// twice in autumn comes once, unless the pattern repeats within the hour.
#[derive(Debug, Clone)]
pub struct Schedule {
    pattern: Cron,
    zone: TimeZone,
    zone_name: String,
    /// The first moment that is too late.
    end: Option<Timestamp>,
    input: Incoming,
}

impl Schedule {
    /// Reads the settings of a Start node.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub(crate) fn read(inputs: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| {
            inputs
                .get(name)
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        let pattern = match text("scheduleType") {
            Some("cronExpression") => text("scheduleCronExpression")
                .ok_or("The schedule has no cron expression.")?
                .to_owned(),
            _ => picked(inputs)?,
        };
        // Five fields, or six with seconds; a seventh would be a year, which Flowise does not know.
        let pattern = CronParser::builder()
            .year(Year::Disallowed)
            .build()
            .parse(&pattern)
            .map_err(|error| {
                let error = error.to_string();
                let error = error.trim_end_matches('.');
                format!("The cron expression “{pattern}” cannot be used: {error}.")
            })?;
        let zone_name = text("scheduleTimezone").unwrap_or("UTC").to_owned();
        let zone = TimeZone::get(&zone_name).map_err(|_| {
            format!("There is no time zone “{zone_name}”. Time zones are named like Europe/Berlin or UTC.")
        })?;
        let end = text("scheduleEndDate")
            .map(|end| end_of(end, &zone))
            .transpose()?;
        let schedule = Self {
            pattern,
            zone,
            zone_name,
            end,
            input: input(inputs)?,
        };
        if schedule.comes_round() {
            Ok(schedule)
        } else {
            Err(format!(
                "The cron expression “{}” names a day that no year has, so it never comes round.",
                schedule.pattern.as_str()
            ))
        }
    }

    /// Whether the pattern fits any moment at all, its end aside.
    fn comes_round(&self) -> bool {
        let from = self.local(LONG_AGO);
        from.is_none_or(|from| self.pattern.find_next_occurrence(&from, true).is_ok())
    }

    /// The first moment after this one; none if the schedule has ended or never comes round.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let next = self
            .pattern
            .find_next_occurrence(&self.local(moment)?, false)
            .ok()?;
        self.in_time(&next)
    }

    /// The last moment that is not after this one, and none that was too late for the schedule.
    pub fn last_until(&self, moment: Timestamp) -> Option<Timestamp> {
        let moment = self.end.map_or(moment, |end| {
            moment.min(Timestamp::from_millis(end.as_millis() - 1))
        });
        let last = self
            .pattern
            .find_previous_occurrence(&self.local(moment)?, true)
            .ok()?;
        self.in_time(&last)
    }

    /// What a run that the schedule begins is given.
    pub fn input(&self) -> Incoming {
        self.input.clone()
    }

    /// The schedule for people: when, and in which time zone.
    pub fn in_words(&self) -> String {
        let when = self.pattern.describe();
        let when = when.trim_end_matches('.');
        match self
            .end
            .and_then(|end| self.local(Timestamp::from_millis(end.as_millis() - 1)))
        {
            Some(last) => format!("{when} ({}), until {}", self.zone_name, last.date()),
            None => format!("{when} ({})", self.zone_name),
        }
    }

    /// What makes it another schedule if it changes.
    pub fn identity(&self) -> String {
        let end = self.end.map(|end| end.to_string()).unwrap_or_default();
        format!("{} {} {end}", self.pattern.as_str(), self.zone_name)
    }

    fn local(&self, moment: Timestamp) -> Option<jiff::Zoned> {
        let moment = jiff::Timestamp::from_millisecond(moment.as_millis()).ok()?;
        Some(moment.to_zoned(self.zone.clone()))
    }

    fn in_time(&self, moment: &jiff::Zoned) -> Option<Timestamp> {
        let moment = Timestamp::from_millis(moment.timestamp().as_millisecond());
        self.end.is_none_or(|end| moment < end).then_some(moment)
    }
}

/// The pattern that the editor's picker stands for: minute, hour, day of month, month, day of week.
fn picked(inputs: &Map<String, Value>) -> Result<String, String> {
    let frequency = inputs
        .get("scheduleFrequency")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let list = |name: &str, missing: &str| {
        let list = words(inputs.get(name)).join(",");
        if list.is_empty() {
            Err(missing.to_owned())
        } else {
            Ok(list)
        }
    };
    match frequency {
        "hourly" => {
            let minute = list(
                "scheduleOnMinute",
                "The schedule does not say at which minute of the hour.",
            )?;
            Ok(format!("{minute} * * * *"))
        }
        "daily" | "weekly" | "monthly" => {
            let (hour, minute) = time_of_day(inputs.get("scheduleOnTime"))?;
            let (mut day, mut weekday) = ("*".to_owned(), "*".to_owned());
            match frequency {
                "weekly" => {
                    weekday = list(
                        "scheduleOnDayOfWeek",
                        "The schedule does not say on which days of the week.",
                    )?;
                }
                "monthly" => {
                    day = list(
                        "scheduleOnDayOfMonth",
                        "The schedule does not say on which days of the month.",
                    )?;
                }
                _ => {}
            }
            Ok(format!("{minute} {hour} {day} * {weekday}"))
        }
        "" => Err("The schedule does not say how often it comes round.".to_owned()),
        other => Err(format!(
            "The schedule comes round “{other}”; hourly, daily, weekly and monthly are known."
        )),
    }
}

/// A number, a comma-separated text, or a list; also a list that was written as text.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Number(number)) => vec![number.to_string()],
        Some(Value::Array(items)) => items.iter().flat_map(|item| words(Some(item))).collect(),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(list @ Value::Array(_)) => words(Some(&list)),
            _ => text
                .split(',')
                .map(|word| word.trim().to_owned())
                .filter(|word| !word.is_empty())
                .collect(),
        },
        _ => Vec::new(),
    }
}

fn time_of_day(value: Option<&Value>) -> Result<(u8, u8), String> {
    let text = value.and_then(Value::as_str).unwrap_or_default().trim();
    let parsed = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
        (hour < 24 && minute < 60).then_some((hour, minute))
    });
    parsed.ok_or_else(|| format!("The schedule's time “{text}” is no time of day such as 09:30."))
}

/// The first moment after an end: after that day where it is a day, else that moment.
fn end_of(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let wrong = || format!("The schedule ends “{text}”, which is no date such as 2027-01-31.");
    let moment = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment,
        Err(_) => {
            let day: Date = text.parse().map_err(|_| wrong())?;
            let next = day.tomorrow().map_err(|_| wrong())?;
            next.to_zoned(zone.clone()).map_err(|_| wrong())?.timestamp()
        }
    };
    Ok(Timestamp::from_millis(moment.as_millisecond()))
}

/// What a run is given. The error says what is wrong with it, for people.
fn input(inputs: &Map<String, Value>) -> Result<Incoming, String> {
    Ok(match inputs.get("scheduleInputMode").and_then(Value::as_str) {
        Some("none") => Incoming::Message(" ".to_owned()),
        Some("form") => {
            let wrong = |why: String| format!("The form that the schedule fills in cannot be read: {why}.");
            let given = match inputs.get("scheduleFormDefaults") {
                None | Some(Value::Null) => Value::Object(Map::new()),
                Some(Value::String(text)) if text.trim().is_empty() => Value::Object(Map::new()),
                Some(Value::String(text)) => {
                    serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?
                }
                Some(value) => value.clone(),
            };
            if !given.is_object() {
                return Err(wrong(
                    "it has to be a JSON object with a value for each field".to_owned(),
                ));
            }
            Incoming::Form(given)
        }
        _ => Incoming::Message(
            inputs
                .get("scheduleDefaultInput")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        ),
    })
}
