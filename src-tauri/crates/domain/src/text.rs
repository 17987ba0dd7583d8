//! Text from strangers, made fit to be shown.

use serde_json::Value;

/// Whether a character could hide or disguise what is asked: control characters, direction marks,
/// invisible characters (anchors: webhook security §6.2).
pub fn disguises(c: char) -> bool {
    matches!(c,
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{061C}')
        || (c.is_control() && c != '\n' && c != '\t')
}

/// Several lines: disguising characters are removed, line ends are unified.
pub fn display_text(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| !disguises(*c))
        .collect()
}

/// One line of at most `limit` characters: white space is collapsed, a cut is marked with `…`.
pub fn display_line(text: &str, limit: usize) -> String {
    let clean = display_text(text);
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let mut cut: String = line.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A JSON value with its lines, every disguising character escaped: what is read is exactly what the value is.
pub fn display_json(value: &Value) -> String {
    let mut shown = String::new();
    // Such characters can only stand in texts and names, where JSON has escapes for all of them.
    for c in format!("{value:#}").chars() {
        if disguises(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown
}
