//! What notifications say.

use countersign_domain::{ApprovalId, display_line, display_text};

use crate::{Capabilities, Importance, Notice, NoticeKey, Prompt};

/// Longer summaries are cut by most servers.
const SUMMARY_LIMIT: usize = 120;
/// Longer bodies make notifications that push others off the screen.
const BODY_LIMIT: usize = 300;
const BODY_LINES: usize = 5;
const FLOW_NAME_LIMIT: usize = 60;

/// What a notification is to show, before it is known what the server can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Draft {
    /// One approval.
    Prompt { prompt: Prompt, details_hidden: bool },
    /// The rest of them.
    RollUp { count: usize, more: bool },
    /// The test prompt; the number makes each request for one differ.
    Test { round: u64 },
    /// A message; the number makes each differ.
    Message {
        summary: String,
        body: String,
        round: u64,
    },
}

impl Draft {
    /// The final texts.
    pub(super) fn notice(&self, key: NoticeKey, can: Capabilities, most_important: Importance) -> Notice {
        match self {
            Self::Prompt {
                prompt,
                details_hidden: true,
            } => Notice {
                key,
                summary: "An approval waits for your answer".into(),
                body: format!("Open Countersign to read and answer it.\n{}", short_id(prompt.id)),
                // Nobody may approve what they cannot read.
                buttons: false,
                importance: prompt.importance.min(most_important),
            },
            Self::Prompt {
                prompt,
                details_hidden: false,
            } => {
                let buttons = prompt.buttons && can.buttons;
                let mut lines = vec![format!("Flow: {}", prompt.flow_name)];
                if !prompt.body.is_empty() {
                    lines.push(prompt.body.clone());
                }
                if !prompt.buttons {
                    lines.push("Open Countersign to see the whole request and to answer.".into());
                } else if !can.buttons {
                    lines.push("Open Countersign to answer.".into());
                }
                lines.push(short_id(prompt.id));
                Notice {
                    key,
                    summary: prompt.title.clone(),
                    body: lines.join("\n"),
                    buttons,
                    importance: prompt.importance.min(most_important),
                }
            }
            Self::RollUp { count, more } => {
                let noun = if *count == 1 { "approval" } else { "approvals" };
                let more = if *more { " more" } else { "" };
                Notice {
                    key,
                    summary: format!("{count}{more} {noun} waiting"),
                    body: "Open Countersign to answer.".into(),
                    buttons: false,
                    importance: Importance::Normal.min(most_important),
                }
            }
            Self::Test { round } => Notice {
                key,
                summary: "Does this work?".into(),
                body: if can.buttons {
                    format!("Press a button to tell Countersign that it does. Test {round}.")
                } else {
                    format!(
                        "Your desktop shows no buttons at the moment, so approvals are answered in the inbox. Test {round}."
                    )
                },
                buttons: can.buttons,
                importance: Importance::Normal.min(most_important),
            },
            Self::Message { summary, body, .. } => Notice {
                key,
                summary: summary.clone(),
                body: body.clone(),
                buttons: false,
                importance: Importance::Low,
            },
        }
    }
}

/// The prompt with texts that are clean and short enough, so that no more than that is kept for each of many.
pub(super) fn cleaned(prompt: Prompt) -> Prompt {
    let title = display_line(&prompt.title, SUMMARY_LIMIT);
    Prompt {
        title: if title.is_empty() {
            "An approval waits for your answer".into()
        } else {
            title
        },
        body: lines(&prompt.body),
        flow_name: display_line(&prompt.flow_name, FLOW_NAME_LIMIT),
        ..prompt
    }
}

/// A message's texts, clean and short enough.
pub(super) fn message(summary: &str, body: &str) -> (String, String) {
    (display_line(summary, SUMMARY_LIMIT), lines(body))
}

/// A few lines without empty ones; a cut is marked with `…`.
fn lines(text: &str) -> String {
    let clean = display_text(text);
    let mut kept = Vec::new();
    let mut room = BODY_LIMIT;
    for line in clean.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if kept.len() == BODY_LINES || room == 0 {
            kept.push("…".to_owned());
            break;
        }
        let line = display_line(line, room);
        room = room.saturating_sub(line.chars().count());
        kept.push(line);
    }
    kept.join("\n")
}

/// The last digits of the id, which are its random ones: what makes two notifications of equal wording differ
/// (rule 12: Plasma refuses equal ones, Xfce may swallow the second), and what a person can look for.
fn short_id(id: ApprovalId) -> String {
    let text = id.to_string();
    format!("#{}", &text[text.len() - 8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_by_lines_and_by_characters() {
        let many = lines(&"word\n\n".repeat(50));
        assert_eq!(
            many, "word\nword\nword\nword\nword\n…",
            "five lines and a mark are left"
        );
        let long = lines(&"x".repeat(5000));
        assert_eq!(long.chars().count(), BODY_LIMIT, "a line is cut at the limit");
        assert!(long.ends_with('…'), "the cut is marked");
    }
}
