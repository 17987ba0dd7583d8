//! Patterns of the operation `regex`: JavaScript's syntax, with a limit on the work that one may cost.

use std::fmt::Write as _;

use fancy_regex::{Regex, RegexBuilder};

/// How often a pattern may try another way before it is given up.
const BACKTRACK_LIMIT: usize = 100_000;
/// How large a compiled pattern may become, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
/// The longest pattern.
const LONGEST_PATTERN: usize = 4096;
/// The longest text for a pattern that looks around or back; every other pattern takes linear time.
const LONGEST_HARD_TEXT: usize = 16 * 1024;

/// JavaScript's white space inside a class.
const SPACE: &str =
    r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
const BOUNDARY: &str = r"(?:(?<![A-Za-z0-9_])(?=[A-Za-z0-9_])|(?<=[A-Za-z0-9_])(?![A-Za-z0-9_]))";
const NO_BOUNDARY: &str = r"(?:(?<![A-Za-z0-9_])(?![A-Za-z0-9_])|(?<=[A-Za-z0-9_])(?=[A-Za-z0-9_]))";
const NOT_LINE_END: &str = r"[^\n\r\x{2028}\x{2029}]";

/// A pattern, compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// It uses references back or assertions, which cannot be matched in linear time.
    hard: bool,
    /// For texts of ASCII alone: the same with the engine's own word boundaries, which are the same there and take
    /// linear time.
    for_ascii: Option<Regex>,
}

impl Pattern {
    /// Compiles a stored pattern. `None` if it is not one, which holds for no text (format §5.3).
    pub(super) fn read(stored: &str) -> Option<Self> {
        if stored.len() > LONGEST_PATTERN {
            return None;
        }
        let pattern = unescape(stored);
        let exact = translate(&pattern, Boundaries::Exact)?;
        let for_ascii = if exact.bounded && !exact.hard {
            Some(compile(&translate(&pattern, Boundaries::Engine)?.text)?)
        } else {
            None
        };
        Some(Self {
            regex: compile(&exact.text)?,
            hard: exact.hard || exact.bounded,
            for_ascii,
        })
    }

    /// Whether it is found anywhere in the text. The error is a message: the limit was reached, and taking either
    /// branch then would be a guess.
    pub(super) fn matches(&self, text: &str) -> Result<bool, String> {
        let found = match &self.for_ascii {
            Some(regex) if text.is_ascii() => regex.is_match(text),
            _ if self.hard && text.len() > LONGEST_HARD_TEXT => {
                return Err("The text is too long for a pattern that looks around or back".to_owned());
            }
            _ => self.regex.is_match(text),
        };
        found.map_err(|_| "The pattern needs too many steps for this text".to_owned())
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(SIZE_LIMIT)
        .delegate_dfa_size_limit(SIZE_LIMIT)
        .build()
        .ok()
}

/// How `\b` is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boundaries {
    /// By assertions about ASCII words, as JavaScript means it.
    Exact,
    /// By the engine's `\b`, which knows the words of all languages.
    Engine,
}

/// A pattern in the syntax of the engine.
struct Translated {
    text: String,
    hard: bool,
    bounded: bool,
}

/// The editor stores `\\`, `\[`, `\]` and `\*` for `\`, `[`, `]` and `*`.
fn unescape(stored: &str) -> String {
    let mut out = String::with_capacity(stored.len());
    let mut chars = stored.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next @ ('\\' | '[' | ']' | '*')) if c == '\\' => {
                out.push(*next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// JavaScript's pattern in the syntax of the engine; `None` if JavaScript refuses it.
fn translate(pattern: &str, boundaries: Boundaries) -> Option<Translated> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 16);
    let (mut hard, mut bounded) = (false, false);
    let mut at = 0;
    // A quantifier needs something before it, and takes no second one but `?`.
    let mut repeatable = false;
    while let Some(&c) = chars.get(at) {
        match c {
            '\\' => {
                let next = *chars.get(at + 1)?;
                if next.is_ascii_digit() && next != '0' || next == 'k' {
                    hard = true;
                }
                if matches!(next, 'b' | 'B') {
                    bounded = true;
                    out.push_str(match (boundaries, next) {
                        (Boundaries::Exact, 'b') => BOUNDARY,
                        (Boundaries::Exact, _) => NO_BOUNDARY,
                        (Boundaries::Engine, 'b') => r"\b",
                        (Boundaries::Engine, _) => r"\B",
                    });
                    at += 2;
                } else {
                    at += escape(&chars[at..], &mut out, false)?;
                }
                repeatable = true;
            }
            '[' => {
                at += class(&chars[at..], &mut out)?;
                repeatable = true;
            }
            '.' => {
                out.push_str(NOT_LINE_END);
                at += 1;
                repeatable = true;
            }
            '(' => {
                out.push('(');
                at += 1;
                if chars.get(at) == Some(&'?') {
                    // How many marks belong to the opening, `(?:` or `(?<=`; a name follows `(?<` as it is.
                    let marks = match (chars.get(at + 1), chars.get(at + 2)) {
                        (Some(':'), _) => 1,
                        (Some('=' | '!'), _) => {
                            hard = true;
                            1
                        }
                        (Some('<'), Some('=' | '!')) => {
                            hard = true;
                            2
                        }
                        (Some('<'), Some(letter)) if letter.is_alphabetic() || *letter == '_' => {
                            let close = chars[at..].iter().position(|c| *c == '>')?;
                            if !chars[at + 2..at + close]
                                .iter()
                                .all(|c| c.is_alphanumeric() || *c == '_')
                            {
                                return None;
                            }
                            close
                        }
                        _ => return None,
                    };
                    out.extend(chars.get(at..=at + marks)?);
                    at += 1 + marks;
                }
                repeatable = false;
            }
            ')' => {
                out.push(')');
                at += 1;
                repeatable = true;
            }
            '*' | '+' | '?' => {
                if !repeatable {
                    return None;
                }
                out.push(c);
                at += 1;
                at += lazy(&chars[at..], &mut out);
                repeatable = false;
            }
            '{' => match counted(&chars[at..]) {
                Some(length) => {
                    if !repeatable {
                        return None;
                    }
                    out.extend(&chars[at..at + length]);
                    at += length;
                    at += lazy(&chars[at..], &mut out);
                    repeatable = false;
                }
                None => {
                    out.push_str(r"\{");
                    at += 1;
                    repeatable = true;
                }
            },
            '}' | ']' => {
                out.push('\\');
                out.push(c);
                at += 1;
                repeatable = true;
            }
            '^' | '|' => {
                out.push(c);
                at += 1;
                repeatable = false;
            }
            '$' => {
                // The engine's `$` would also do, but this cannot be changed by a flag.
                out.push_str(r"\z");
                at += 1;
                repeatable = false;
            }
            other => {
                literal(other, &mut out);
                at += 1;
                repeatable = true;
            }
        }
    }
    Some(Translated {
        text: out,
        hard,
        bounded,
    })
}

fn lazy(rest: &[char], out: &mut String) -> usize {
    if rest.first() == Some(&'?') {
        out.push('?');
        1
    } else {
        0
    }
}

/// The length of `{2}`, `{2,}` or `{2,5}` at the beginning; anything else in braces is text.
fn counted(rest: &[char]) -> Option<usize> {
    let close = rest.iter().take(24).position(|c| *c == '}')?;
    let inside: String = rest[1..close].iter().collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!least.is_empty() && digits(least) && digits(most)).then_some(close + 1)
}

fn literal(c: char, out: &mut String) {
    // Everything that means something to the engine, also inside a class.
    if r"\.+*?()|[]{}^$#&-~".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

/// Translates the escape at the beginning; gives its length.
fn escape(rest: &[char], out: &mut String, in_class: bool) -> Option<usize> {
    let c = *rest.get(1)?;
    let hex = |count: usize| -> Option<char> {
        let digits: String = rest.get(2..2 + count)?.iter().collect();
        if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
    };
    match c {
        'd' => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
        'w' => out.push_str(if in_class { "A-Za-z0-9_" } else { "[A-Za-z0-9_]" }),
        's' if in_class => out.push_str(SPACE),
        's' => {
            let _ = write!(out, "[{SPACE}]");
        }
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^A-Za-z0-9_]"),
        'S' => {
            let _ = write!(out, "[^{SPACE}]");
        }
        'b' if in_class => out.push_str(r"\x08"),
        'n' | 'r' | 't' => {
            out.push('\\');
            out.push(c);
        }
        'v' => out.push_str(r"\x0B"),
        'f' => out.push_str(r"\x0C"),
        '0' => out.push_str(r"\x00"),
        '1'..='9' if !in_class => {
            let digits = rest[1..]
                .iter()
                .take(2)
                .take_while(|digit| digit.is_ascii_digit())
                .count();
            out.push('\\');
            out.extend(&rest[1..=digits]);
            return Some(1 + digits);
        }
        'k' if !in_class && rest.get(2) == Some(&'<') => {
            let close = rest.iter().position(|c| *c == '>')?;
            out.extend(&rest[..=close]);
            return Some(close + 1);
        }
        'x' | 'u' => {
            let digits = if c == 'x' { 2 } else { 4 };
            match hex(digits) {
                Some(c) => {
                    let _ = write!(out, r"\x{{{:X}}}", u32::from(c));
                    return Some(2 + digits);
                }
                None => literal(c, out),
            }
        }
        other => literal(other, out),
    }
    Some(2)
}

/// Translates the class at the beginning; gives its length.
fn class(rest: &[char], out: &mut String) -> Option<usize> {
    let negated = rest.get(1) == Some(&'^');
    let mut at = 1 + usize::from(negated);
    if rest.get(at) == Some(&']') {
        // JavaScript's `[]` holds nothing and `[^]` everything.
        out.push_str(if negated { r"[\s\S]" } else { r"(?:[^\s\S])" });
        return Some(at + 1);
    }
    out.push_str(if negated { "[^" } else { "[" });
    loop {
        match *rest.get(at)? {
            ']' => {
                out.push(']');
                return Some(at + 1);
            }
            '\\' => at += escape(&rest[at..], out, true)?,
            '-' => {
                // A range only between two characters; at an end it is itself.
                let at_end =
                    rest.get(at + 1) == Some(&']') || matches!(rest.get(at - 1), Some('[' | '^') if at <= 2);
                out.push_str(if at_end { r"\-" } else { "-" });
                at += 1;
            }
            other => {
                literal(other, out);
                at += 1;
            }
        }
    }
}
