//! HTML of rich fields into Markdown: execution semantics §7.2.

use countersign_flow::html_to_markdown;
use serde_json::json;

use crate::support::replied;

#[test]
fn s7_2_every_recorded_vector_holds() {
    for (html, markdown) in [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<p>a<br>b</p>", "a  \nb"),
        ("<p></p>", ""),
        (
            "<p>Hi <strong>x</strong> <em>y</em> <code>z</code></p>",
            "Hi **x** _y_ `z`",
        ),
        ("<ul><li>a</li><li>b</li></ul>", "*   a\n*   b"),
        (
            "<ul><li><p>a</p></li><li><p>b</p></li></ul>",
            "*   a\n    \n*   b",
        ),
        ("<ol><li>a</li><li>b</li></ol>", "1.  a\n2.  b"),
        ("<ol start=\"4\"><li>a</li><li>b</li></ol>", "4.  a\n5.  b"),
        ("<h1>T</h1><p>x</p>", "T\n=\n\nx"),
        ("<h2>T</h2>", "T\n-"),
        ("<h3>T</h3>", "### T"),
        ("<pre><code>a\n  b\n</code></pre>", "    a\n      b"),
        ("<p>x</p><pre><code>a\nb</code></pre>", "x\n\n    a\n    b"),
        ("<blockquote><p>q</p></blockquote>", "> q"),
        ("<p><a href=\"u\">l</a></p>", "[l](u)"),
        (
            "<p><a href=\"u(1)\" title='a \"b\"'>l</a></p>",
            "[l](u\\(1\\) \"a \\\"b\\\"\")",
        ),
        ("<p>a</p><hr><p>b</p>", "a\n\n* * *\n\nb"),
        ("<table><tr><td>c</td></tr></table>", "c"),
        ("<p>&lt;id&gt; &amp;</p>", "<id> &"),
        (
            "<p><span class=\"variable\" data-type=\"mention\" data-id=\"q\">{{ $form.from }}</span> </p>",
            "{{ $form.from }}",
        ),
        ("<p>a   <span> b</span>  c </p>", "a b c"),
        ("<p>a_b *c* [d]</p>", "a_b *c* [d]"),
        ("  <P>x</P>", "x"),
        ("<p>a<strong> b </strong>c</p>", "a **b** c"),
        ("<ul><li>a<ul><li>b</li></ul></li></ul>", "*   a\n    *   b"),
        ("<p><code>a`b</code></p>", "``a`b``"),
        ("<p><img src=\"i.png\" alt=\"x\"></p>", "![x](i.png)"),
        ("<p>a<!-- c -->b</p>", "ab"),
        ("<p>unclosed <b>bold", "unclosed **bold**"),
    ] {
        assert_eq!(html_to_markdown(html).as_deref(), Some(markdown), "html {html:?}");
    }
}

#[test]
fn s7_2_other_texts_stay_as_they_are() {
    for text in [
        "plain <p>x</p>",
        "<instruction>x</instruction>",
        "<hr>",
        "<pa>x</pa>",
        "<p",
        "<",
        "",
        "<span>x</span>",
    ] {
        assert_eq!(html_to_markdown(text), None, "text {text:?}");
    }
}

#[test]
fn deep_nesting_keeps_its_text() {
    let html = format!("{}x{}", "<div>".repeat(4000), "</div>".repeat(4000));
    assert_eq!(html_to_markdown(&html).as_deref(), Some("x"));
}

/// In Flowise each of these headings doubles what stands in it, so that a short text fills the memory.
#[test]
fn headings_inside_one_another_do_not_grow_without_end() {
    let html = "<h1>x<ul><li>".repeat(40);
    let markdown = html_to_markdown(&html).unwrap();
    assert!(
        markdown.len() < 100_000,
        "{} bytes become {}",
        html.len(),
        markdown.len()
    );
    let long = "x".repeat(1001);
    let heading = html_to_markdown(&format!("<h2>{long}</h2>"));
    assert_eq!(heading, Some(format!("{long}\n{}", "-".repeat(1000))));
}

#[test]
fn a_template_is_converted_before_its_references_are_replaced() {
    let html = "<p>Dear <strong>{{ $webhook.body.who }}</strong>, see <a href=\"http://x.test\">this</a></p><ul><li>one</li></ul>";
    assert_eq!(
        replied(html, json!({"who": "Ada_B <b>"})),
        "Dear **Ada_B <b>**, see [this](http://x.test)\n\n*   one",
        "what was sent is not read as HTML"
    );
}
