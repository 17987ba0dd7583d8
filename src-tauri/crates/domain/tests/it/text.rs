//! Text from strangers cannot hide or disguise what is asked.

use countersign_domain::{display_json, display_line, display_text};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Everything that a title must not contain (anchors: webhook security, table B "Prompt disguise").
fn disguise(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(|c| c.to_string()),
        Just("\u{202e}".to_owned()),
        Just("\u{200b}".to_owned()),
        Just("\r\n".to_owned()),
        Just("\u{1b}[2J".to_owned()),
        "[a-z ]{1,10}",
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_line_is_one_line_without_disguise_and_within_its_limit(text in hostile(), limit in 1_usize..250) {
        let line = display_line(&text, limit);
        prop_assert!(line.chars().count() <= limit, "{} characters, limit {}", line.chars().count(), limit);
        prop_assert!(!line.chars().any(disguise), "{:?}", line);
        prop_assert_eq!(line.trim(), line.as_str(), "no white space at its ends");
        prop_assert!(!line.contains("  "), "white space is collapsed: {:?}", line);
    }

    #[test]
    fn making_a_line_twice_changes_nothing_more(text in hostile(), limit in 1_usize..250) {
        let once = display_line(&text, limit);
        prop_assert_eq!(display_line(&once, limit), once.clone());
    }

    #[test]
    fn text_keeps_its_lines_and_loses_its_disguise(text in hostile()) {
        let shown = display_text(&text);
        prop_assert!(!shown.chars().any(|c| disguise(c) && c != '\n' && c != '\t'), "{:?}", shown);
        let visible = |text: &str| text.chars().filter(|c| !disguise(*c)).collect::<String>();
        prop_assert_eq!(visible(&shown), visible(&text).replace(['\u{2060}', '\u{2061}', '\u{2062}', '\u{2063}', '\u{2064}', '\u{2065}'], ""), "nothing visible is lost");
    }
}

proptest! {
    #[test]
    fn shown_json_disguises_nothing_and_is_the_value(name in hostile(), text in hostile()) {
        let value = json!({ name: [text] });
        let shown = display_json(&value);
        prop_assert!(!shown.chars().any(|c| disguise(c) && c != '\n'), "{:?}", shown);
        let read: Value = serde_json::from_str(&shown).expect("it is JSON");
        prop_assert_eq!(read, value);
    }
}

#[test]
fn a_cut_is_marked() {
    assert_eq!(display_line("abcdef", 6), "abcdef");
    assert_eq!(display_line("abcdefg", 6), "abcde…");
    assert_eq!(
        display_line("äöüäöüä", 6),
        "äöüäö…",
        "characters are counted, not bytes"
    );
    assert_eq!(display_line("pay \u{202e}001\u{202c} now", 40), "pay 001 now");
    assert_eq!(display_text("a\r\nb\tc\u{0}"), "a\nb\tc");
}
