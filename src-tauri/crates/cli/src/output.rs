//! Printing: aligned tables for people, JSON for programs.
//!
//! Everything a server says may come from strangers. For people it is printed without control characters, so
//! that no text can move the cursor or repaint the terminal; JSON escapes them by itself.

use std::io::Write as _;

use countersign_domain::{Clock as _, SystemClock, Timestamp, display_line};
use serde::Serialize;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Prints for programs (`json`) or for people.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether it prints for programs.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints `document` for programs, or what `for_people` makes of it.
    pub(crate) fn print(&self, document: &impl Serialize, for_people: impl FnOnce() -> String) {
        let printed = if self.json {
            serde_json::to_string(document)
                .map_err(std::io::Error::other)
                .and_then(|text| line(&text))
        } else {
            line(for_people().trim_end_matches('\n'))
        };
        self.printed(printed);
    }

    /// Ends the command unless what it had to say was written. A reader that has gone away, as in
    /// `countersign list | head -1`, is no failure.
    pub(crate) fn printed(&self, printed: std::io::Result<()>) {
        let exit = match printed {
            Ok(()) => return,
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Err(error) => {
                let failure = Failure::failed(format!("The answer cannot be written: {error}."));
                self.failure(&failure);
                failure.exit()
            }
        };
        std::process::exit(i32::from(exit.status()));
    }

    /// Prints why the command failed, on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        match serde_json::to_string(failure) {
            Ok(text) if self.json => complain(&text),
            _ => complain(&format!("countersign: {}", failure.message())),
        }
    }

    /// Prints a remark for people, on standard error.
    pub(crate) fn remark(&self, text: &str) {
        if !self.json {
            complain(text);
        }
    }
}

fn line(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

fn complain(text: &str) {
    // If nobody reads standard error there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Rows under headings, two spaces between columns, the last column as long as it is.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut written = String::new();
        for (width, cell) in widths.iter().zip(row) {
            written.push_str(cell);
            written.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(written.trim_end());
        text.push('\n');
    }
    text
}

/// What is said under a list that was cut: how many more there are, if that is known, and how to see them.
pub(crate) fn more(shown: usize, in_all: Option<u32>) -> String {
    let left = in_all.map(|all| u32::try_from(shown).map_or(0, |shown| all.saturating_sub(shown)));
    match left {
        Some(left) if left > 0 => {
            let all = shown.saturating_add(left as usize);
            format!("\n{left} more; --limit {all} shows them too.\n")
        }
        _ => format!(
            "\nThere are more; --limit {} shows more of them.\n",
            shown.saturating_mul(4)
        ),
    }
}

/// One line of at most `limit` characters, safe for a terminal; a dash if there is none.
pub(crate) fn cell(text: &str, limit: usize) -> String {
    let shown = display_line(text, limit);
    if shown.is_empty() { "-".to_owned() } else { shown }
}

/// The end of an id. Ids begin with the time, so that the end is what tells them apart.
pub(crate) fn short_id(id: &str) -> String {
    let clean = display_line(id, 64);
    clean
        .chars()
        .skip(clean.chars().count().saturating_sub(8))
        .collect()
}

/// How long ago an RFC 3339 time was, or how far ahead it lies.
pub(crate) fn relative(time: &str) -> String {
    let Ok(moment) = serde_json::from_value::<Timestamp>(Value::String(time.to_owned())) else {
        return cell(time, 40);
    };
    let now = SystemClock.now();
    if moment > now {
        return format!("in {}", amount(moment.since(now).as_secs()));
    }
    match now.since(moment).as_secs() {
        0..=4 => "just now".to_owned(),
        seconds => format!("{} ago", amount(seconds)),
    }
}

/// A duration in its largest unit.
fn amount(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=89 => (seconds, "second"),
        90..=5_399 => ((seconds + 30) / 60, "minute"),
        5_400..=129_599 => ((seconds + 1_800) / 3_600, "hour"),
        _ => ((seconds + 43_200) / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{amount, cell, short_id, table};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["é1".to_owned(), "yes".to_owned()],
            vec!["longer".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["ID", "STATE"], &rows),
            "ID      STATE\né1      yes\nlonger\n"
        );
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(cell("a\u{1b}[2Jb\r\nc\u{202e}d\u{9b}31m", 40), "a[2Jb cd31m");
        assert_eq!(cell(" \n", 40), "-");
    }

    #[test]
    fn durations_are_told_in_their_largest_unit() {
        for (seconds, told) in [
            (1, "1 second"),
            (89, "89 seconds"),
            (90, "2 minutes"),
            (3_600, "60 minutes"),
            (7_200, "2 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(amount(seconds), told, "{seconds} s");
        }
    }

    #[test]
    fn the_end_of_an_id_stands_for_it() {
        assert_eq!(short_id("0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f"), "2c3d4e5f");
        assert_eq!(short_id("abc"), "abc");
    }
}
