//! What the editor of Flowise stores of a text: HTML that becomes Markdown.

#![no_main]

use countersign_flow::html_to_markdown;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = html_to_markdown(text);
    let inside = format!("<p>{text}");
    if let Some(markdown) = html_to_markdown(&inside) {
        // Lists and quotations indent each line, down to the deepest level.
        assert!(
            markdown.len() <= 512 * inside.len() + 4096,
            "{} bytes become {}",
            inside.len(),
            markdown.len()
        );
        assert_eq!(
            html_to_markdown(&inside).as_deref(),
            Some(&*markdown),
            "it comes out the same each time"
        );
    }
});
