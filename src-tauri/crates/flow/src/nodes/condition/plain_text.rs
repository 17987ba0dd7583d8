//! A text without its Markdown: what the string comparisons of a Condition look at (format §5.3).
//!
//! Each step takes one kind of mark away, in this order, and costs time that grows with the text only, because the
//! text may come from anybody. What a step does follows what Flowise's comparisons were seen to do.

use std::borrow::Cow;

use crate::js::{is_line_end, is_space, trim};

/// Longer runs of one mark are no Markdown; they are looked at as if they were this long.
const LONGEST_RUN: usize = 16;

type Step = fn(&str) -> String;

/// The text without Markdown marks and HTML tags: what a Condition compares, and what a place that shows no
/// Markdown should show.
pub fn plain_text(text: &str) -> Cow<'_, str> {
    let marks = ['*', '-', '+', '_', '=', '~', '`', '<', '[', '>', '#'];
    let numbered = || text.contains(". ") || text.contains(".\t") || text.contains(".\n");
    if !text.contains(marks) && !numbered() {
        return Cow::Borrowed(text);
    }
    let steps: [(&[char], Step); 15] = [
        (&['-', '_', '*'], rules),
        (&['*', '-', '+', '.'], list_marks),
        (&['='], underlines),
        (&['~'], tilde_fences),
        (&['`'], fenced_blocks),
        (&['<'], tags),
        (&['=', '-'], lone_underline),
        (&['['], footnotes_and_definitions),
        (&['['], images_and_links),
        (&['>'], quotes),
        (&['#'], headings),
        (&['*'], stars),
        (&['_'], underscores),
        (&['`'], code_spans),
        (&['~'], strikes),
    ];
    let mut text = text.to_owned();
    for (marks, step) in steps {
        if text.contains(marks) {
            text = step(&text);
        }
    }
    Cow::Owned(text)
}

/// Lines of three or more `-`, `_` or `*`, with the empty lines behind them.
fn rules(text: &str) -> String {
    let is_rule = |line: &str| {
        let inner = line.trim_start_matches(' ');
        let mark = inner.chars().next().filter(|c| matches!(c, '-' | '_' | '*'));
        line.len() - inner.len() <= 3
            && mark.is_some_and(|mark| {
                inner.chars().all(|c| c == mark || c == ' ' || c == '\t') && inner.matches(mark).count() >= 3
            })
    };
    let mut out = String::with_capacity(text.len());
    let mut after_rule = false;
    for line in text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        if is_rule(content) || (after_rule && content.is_empty()) {
            after_rule = true;
        } else {
            out.push_str(line);
            after_rule = false;
        }
    }
    out
}

/// Bullets and numbers at the beginning of lines, with the white space behind them.
fn list_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut line_start = true;
    while !rest.is_empty() {
        if line_start {
            let inner = rest.trim_start_matches(|c| is_space(c) && !is_line_end(c));
            let digits = inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let mark = match inner.chars().next() {
                Some('*' | '-' | '+') => 1,
                Some(_) if digits > 0 && inner[digits..].starts_with('.') => digits + 1,
                _ => 0,
            };
            let behind = inner[mark..].trim_start_matches(is_space);
            let gap = &inner[mark..inner.len() - behind.len()];
            if mark > 0 && !gap.is_empty() {
                out.push_str(&rest[..rest.len() - inner.len()]);
                rest = behind;
                line_start = gap.ends_with(is_line_end);
                continue;
            }
        }
        let line = rest.find('\n').map_or(rest.len(), |at| at + 1);
        out.push_str(&rest[..line]);
        rest = &rest[line..];
        line_start = true;
    }
    out
}

/// Runs of `=` under a heading.
fn underlines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let without = line.trim_start_matches('=');
        out.push_str(if index > 0 && line.len() - without.len() >= 2 {
            without
        } else {
            line
        });
    }
    out
}

/// Lines behind `~~~`, and every `~~`.
fn tilde_fences(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("~~~") {
        let Some(end) = rest[at..].find('\n') else { break };
        out.push_str(&rest[..at]);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    out.replace("~~", "")
}

/// Blocks between ``` fences: their content stays.
fn fenced_blocks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("```") {
        let Some(line) = rest[open..].find('\n').map(|at| open + at + 1) else {
            break;
        };
        let Some(close) = rest[line..].find("```").map(|at| line + at) else {
            break;
        };
        out.push_str(&rest[..open]);
        out.push_str(trim(&rest[line..close]));
        rest = &rest[close + 3..];
    }
    out.push_str(rest);
    out
}

fn tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let Some(close) = rest[open..].find('>') else {
            break;
        };
        out.push_str(&rest[..open]);
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    out
}

/// A text that is nothing but an underline.
fn lone_underline(text: &str) -> String {
    let rest = text.trim_start_matches(['=', '-']);
    if text.len() - rest.len() >= 2 && rest.chars().all(is_space) {
        String::new()
    } else {
        text.to_owned()
    }
}

/// `[^1]`, and a definition `[name]: …` in the last line.
fn footnotes_and_definitions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line_ends = LineEnds::of(text);
    let mut done = 0;
    let mut from = 0;
    while let Some(open) = text[from..].find("[^").map(|at| from + at) {
        let inside = open + 2;
        let line_end = line_ends.after(inside);
        let first = text[inside..line_end].chars().next().map_or(0, char::len_utf8);
        let Some(close) = text[inside + first..line_end]
            .find(']')
            .map(|at| inside + first + at)
        else {
            // Nothing on this line can be closed any more.
            from = line_end.max(inside);
            continue;
        };
        if first == 0 {
            from = inside;
            continue;
        }
        out.push_str(&text[done..open]);
        done = close + 1;
        if text[done..].starts_with(": ") && line_end == text.len() {
            done = text.len();
        }
        from = done;
    }
    out.push_str(&text[done..]);
    let line = out
        .rfind(is_line_end)
        .map_or(0, |at| at + out[at..].chars().next().map_or(1, char::len_utf8));
    if let Some(open) = out[line..].find('[').map(|at| line + at)
        && out[open..].contains("]: ")
    {
        let kept = out[..open]
            .chars()
            .rev()
            .take(2)
            .take_while(|c| is_space(*c))
            .map(char::len_utf8)
            .sum::<usize>();
        out.truncate(open - kept);
    }
    out
}

/// Images become their description, links their text.
fn images_and_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line_ends = LineEnds::of(text);
    let mut done = 0;
    let mut from = 0;
    while let Some(open) = text[from..].find('[').map(|at| from + at) {
        let Some(close) = text[open..].find(']').map(|at| open + at) else {
            break;
        };
        let target = close + 1;
        let end = if text[target..].starts_with(['[', '(']) {
            let line_end = line_ends.after(target);
            let end = text[target + 1..line_end]
                .find([']', ')'])
                .map(|at| target + 1 + at);
            if end.is_none() {
                // Neither this bracket nor another before the line end has a target that is closed.
                from = line_end;
                continue;
            }
            end
        } else {
            None
        };
        let Some(end) = end else {
            // No link begins between here and the bracket that closes: they would all end at it.
            from = target;
            continue;
        };
        let image = open > done && text[..open].ends_with('!');
        out.push_str(&text[done..open - usize::from(image)]);
        out.push_str(&text[open + 1..close]);
        done = end + 1;
        from = done;
    }
    out.push_str(&text[done..]);
    out
}

fn quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let inner = line.trim_start_matches(is_space);
        let indent = line[..line.len() - inner.len()].chars().count();
        match inner.strip_prefix('>') {
            Some(quoted) if indent <= 3 => {
                out.push_str(quoted.strip_prefix(is_space).unwrap_or(quoted));
            }
            _ => out.push_str(line),
        }
    }
    out
}

fn headings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(heading(line).unwrap_or(line));
    }
    out
}

fn heading(line: &str) -> Option<&str> {
    let inner = line.trim_start_matches(is_space);
    let behind = inner.trim_start_matches('#');
    if !(1..=6).contains(&(inner.len() - behind.len())) {
        return None;
    }
    let title = behind.trim_start_matches(is_space);
    if title.is_empty() {
        return Some("");
    }
    if !behind[..behind.len() - title.len()].ends_with(' ') {
        return None;
    }
    let open = title.trim_end_matches('#');
    Some(if open.len() < title.len() {
        open.strip_suffix(' ').unwrap_or(title)
    } else {
        title
    })
}

/// A run of one mark: its place, and from where it can close something (a mark behind white space cannot).
struct Run {
    start: usize,
    end: usize,
    closes_from: usize,
}

fn runs(text: &str, mark: char) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(mark).map(|at| from + at) {
        let end = start + (text[start..].len() - text[start..].trim_start_matches(mark).len());
        let after_text = text[..start].chars().next_back().is_some_and(|c| !is_space(c));
        runs.push(Run {
            start,
            end,
            closes_from: if after_text { start } else { start + 1 },
        });
        from = end;
    }
    runs
}

/// The place of the next line end, looked up in ascending order.
struct LineEnds<'a> {
    text: &'a str,
    next: usize,
}

impl<'a> LineEnds<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            next: text.find(is_line_end).unwrap_or(text.len()),
        }
    }

    fn after(&mut self, at: usize) -> usize {
        if self.next < at {
            self.next = self.text[at..]
                .find(is_line_end)
                .map_or(self.text.len(), |found| at + found);
        }
        self.next
    }
}

/// `*x*`, `**x**` and so on, wherever they stand.
fn stars(text: &str) -> String {
    let runs = runs(text, '*');
    let mut line_ends = LineEnds::of(text);
    // For each length the next run that can close it; they only move forward.
    let mut closing = [0_usize; LONGEST_RUN + 1];
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut index = 0;
    let mut at = runs.first().map_or(0, |run| run.start);
    while let Some(run) = runs.get(index) {
        if at >= run.end {
            index += 1;
            at = runs.get(index).map_or(at, |next| next.start.max(at));
            continue;
        }
        let longest = (run.end - at).min(LONGEST_RUN);
        let found = (1..=longest).rev().find_map(|length| {
            let content = at + length;
            let first = text[content..].chars().next().filter(|c| !is_space(*c))?;
            if content < run.end && content + 1 + length <= run.end {
                return Some((content, content + 1, length));
            }
            let next = &mut closing[length];
            *next = (*next).max(index + 1);
            while runs
                .get(*next)
                .is_some_and(|run| run.end < run.closes_from + length)
            {
                *next += 1;
            }
            let close = runs.get(*next)?.closes_from;
            (close >= content + first.len_utf8() && close <= line_ends.after(content))
                .then_some((content, close, length))
        });
        match found {
            Some((content, close, length)) => {
                out.push_str(&text[done..at]);
                out.push_str(&text[content..close]);
                done = close + length;
                at = done;
                while runs.get(index).is_some_and(|run| run.end <= at) {
                    index += 1;
                }
                at = runs.get(index).map_or(at, |run| run.start.max(at));
            }
            None => at += 1,
        }
    }
    out.push_str(&text[done..]);
    out
}

/// `_x_` and so on between words.
fn underscores(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let runs = runs(text, '_');
    let mut line_ends = LineEnds::of(text);
    let mut closing = [0_usize; LONGEST_RUN + 1];
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (index, run) in runs.iter().enumerate() {
        if run.start < done {
            continue;
        }
        let before = text[..run.start].chars().next_back();
        // What a match has used up cannot stand in front of the next one.
        let opens = match before {
            None => true,
            Some(c) => !word(c) && run.start - c.len_utf8() >= done,
        };
        if !opens {
            continue;
        }
        let ends_word = |run: &Run| text[run.end..].chars().next().is_none_or(|c| !word(c));
        let longest = (run.end - run.start).min(LONGEST_RUN);
        let found = (1..=longest).rev().find_map(|length| {
            let content = run.start + length;
            let first = text[content..].chars().next().filter(|c| !is_space(*c))?;
            if content < run.end && content + 1 + length <= run.end && ends_word(run) {
                return Some((content, run.end - length, run.end, length));
            }
            let next = &mut closing[length];
            *next = (*next).max(index + 1);
            while runs
                .get(*next)
                .is_some_and(|run| run.end < run.closes_from + length || !ends_word(run))
            {
                *next += 1;
            }
            let closer = runs.get(*next)?;
            let close = closer.end - length;
            (close >= content + first.len_utf8() && close <= line_ends.after(content))
                .then_some((content, close, closer.end, length))
        });
        if let Some((content, close, end, _)) = found {
            out.push_str(&text[done..run.start]);
            out.push_str(&text[content..close]);
            let after = text[end..].chars().next();
            out.extend(after);
            done = end + after.map_or(0, char::len_utf8);
        }
    }
    out.push_str(&text[done..]);
    out
}

/// ```` ```x``` ```` and `` `x` `` on one line.
fn code_spans(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line_ends = LineEnds::of(text);
    let mut done = 0;
    let mut from = 0;
    while let Some(open) = text[from..].find("```").map(|at| from + at) {
        let run = text[open..]
            .bytes()
            .take(LONGEST_RUN)
            .take_while(|byte| *byte == b'`')
            .count();
        let line_end = line_ends.after(open);
        let found = (3..=run).rev().find_map(|length| {
            let inside = open + length;
            text[inside..line_end]
                .find(&"`".repeat(length))
                .map(|at| (inside, inside + at, length))
        });
        if let Some((inside, close, length)) = found {
            out.push_str(&text[done..open]);
            out.push_str(&text[inside..close]);
            done = close + length;
            from = done;
        } else {
            // Three marks do not occur again on this line, so nothing before its end can match.
            from = line_end.max(open + run);
        }
    }
    out.push_str(&text[done..]);
    between(&out, '`', 1)
}

fn strikes(text: &str) -> String {
    between(text, '~', 0)
}

/// Takes away pairs of a mark on one line with at least `least` characters between them.
fn between(text: &str, mark: char, least: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line_ends = LineEnds::of(text);
    let mut done = 0;
    let mut from = 0;
    while let Some(open) = text[from..].find(mark).map(|at| from + at) {
        let inside = open + mark.len_utf8();
        let line_end = line_ends.after(inside);
        let skipped: usize = text[inside..line_end]
            .chars()
            .take(least)
            .map(char::len_utf8)
            .sum();
        match text[inside + skipped..line_end]
            .find(mark)
            .map(|at| inside + skipped + at)
        {
            Some(close) if skipped > 0 || least == 0 => {
                out.push_str(&text[done..open]);
                out.push_str(&text[inside..close]);
                done = close + mark.len_utf8();
                from = done;
            }
            _ => from = inside,
        }
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use fancy_regex::Regex;
    use proptest::prelude::*;

    use super::{stars, underscores};

    static STARS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([\*]+)(\S)(.*?\S)??\1").unwrap());
    static UNDERSCORES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(^|[^A-Za-z0-9_])([_]+)(\S)(.*?\S)??\2(\z|[^A-Za-z0-9_])").unwrap());

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The hand-written steps do what the patterns say that they replace.
        #[test]
        fn emphasis_is_found_where_the_pattern_finds_it(text in "[*_ab \n.]{0,14}") {
            prop_assert_eq!(stars(&text), STARS.replace_all(&text, "$2$3").into_owned());
            prop_assert_eq!(
                underscores(&text),
                UNDERSCORES.replace_all(&text, "${1}${3}${4}${5}").into_owned()
            );
        }
    }
}
