//! Condition: format §5.3 and the recorded operations.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{condition, failure, finished, plan, reply, start};

fn flow_with(rows: Value) -> countersign_flow::Plan {
    plan(vec![start(json!({})), condition("c0", rows)], &[("s", "c0")])
}

/// Whether a row with these values holds; the payload is that of the recordings and more.
fn holds(kind: &str, value1: Value, operation: &str, value2: Value) -> bool {
    let plan = flow_with(json!([{"type": kind, "value1": value1, "operation": operation, "value2": value2}]));
    let body =
        json!({"a": "abcd", "empty": "", "n": 7, "t": true, "nul": null, "md": "**abcd**", "status": 200});
    let run = finished(&plan, body);
    let record = serde_json::to_value(&run.records()[1]).unwrap();
    let conditions = &record["data"]["output"]["conditions"];
    let held = conditions[0].get("isFulfilled") == Some(&json!(true));
    assert_eq!(
        conditions[1]["isFulfilled"],
        json!(!held),
        "the last output is taken when no row holds"
    );
    held
}

#[test]
fn texts_are_compared_without_their_markdown() {
    let a = "{{ $webhook.body.a }}";
    for (one, operation, two, expected) in [
        (a, "contains", "bc", true),
        (a, "contains", "BC", false),
        (a, "notContains", "", false),
        (a, "notContains", "x", true),
        (a, "equal", "abcd", true),
        (a, "equal", "**abcd**", true),
        ("{{ $webhook.body.md }}", "equal", "abcd", true),
        (a, "notEqual", "abcd", false),
        (a, "startsWith", "ab", true),
        (a, "endsWith", "cd", true),
        (a, "endsWith", "ab", false),
        ("{{ $webhook.body.empty }}", "isEmpty", "", true),
        ("{{ $webhook.body.missing }}", "notEmpty", "", true),
        (a, "regex", "[", false),
        (a, "regex", "^\\w{4}$", true),
        ("10", "larger", "9", true),
        ("abc", "larger", "-1", true),
        ("*alpha*", "equal", "alpha", true),
        ("_x_", "equal", "x", true),
        ("a_b_c", "equal", "a_b_c", true),
        ("# Title", "equal", "Title", true),
        ("## Title ##", "equal", "Title", true),
        ("#tag", "equal", "#tag", true),
        ("- item", "equal", "item", true),
        ("1. item", "equal", "item", true),
        ("-5", "equal", "-5", true),
        ("[l](http://u)", "equal", "l", true),
        ("![alt](u)", "equal", "alt", true),
        ("`code`", "equal", "code", true),
        ("```\ncode\n```", "equal", "code", true),
        ("a <b>c</b>", "equal", "a c", true),
        ("> q", "equal", "q", true),
        ("~~s~~", "equal", "s", true),
        ("--", "isEmpty", "", true),
        ("---", "isEmpty", "", true),
        ("**", "equal", "**", true),
        ("a * b", "equal", "a * b", true),
        ("2*3*4", "equal", "234", true),
    ] {
        assert_eq!(
            holds("string", one.into(), operation, two.into()),
            expected,
            "{one:?} {operation} {two:?}"
        );
    }
}

/// D3.5: Flowise fails with `output.replace is not a function`.
#[test]
fn d3_5_a_raw_number_in_a_text_row_is_compared_by_its_text() {
    let raw = |path: &str| json!(format!("{{{{ startAgentflow_0.output.webhook.body.{path} }}}}"));
    assert!(holds("string", raw("status"), "equal", "200".into()));
    assert!(holds("string", raw("t"), "equal", "true".into()));
    assert!(holds("string", raw("nul"), "isEmpty", "".into()));
    assert!(holds("string", json!(200), "equal", json!(200)));
}

#[test]
fn numbers_are_read_from_the_beginning() {
    let n = json!("{{ $webhook.body.n }}");
    for (one, operation, two, expected) in [
        (n.clone(), "smaller", json!(8), true),
        (n.clone(), "smallerEqual", json!("7"), true),
        (n.clone(), "equal", json!("7.0"), true),
        (n.clone(), "notEqual", json!(7), false),
        (n.clone(), "larger", json!("6.9e0x"), true),
        (n, "largerEqual", json!(7.5), false),
        (json!("10.5abc"), "larger", json!(10), true),
        (json!("abc"), "equal", json!(""), true),
        (json!("-.5"), "smaller", json!(0), true),
        (json!("{{ $webhook.body.missing }}"), "isEmpty", json!(""), false),
        (json!(""), "notEmpty", json!(""), true),
    ] {
        assert_eq!(
            holds("number", one.clone(), operation, two.clone()),
            expected,
            "{one} {operation} {two}"
        );
    }
}

#[test]
fn booleans_are_compared_by_identity() {
    let raw = json!("{{ startAgentflow_0.output.webhook.body.t }}");
    assert!(holds("boolean", raw.clone(), "equal", json!(true)));
    assert!(
        !holds("boolean", json!("{{ $webhook.body.t }}"), "equal", json!(true)),
        "the text true is not true"
    );
    assert!(!holds("boolean", json!(""), "equal", json!(false)));
    assert!(holds("boolean", json!(""), "notEqual", json!(false)));
    assert!(holds("boolean", json!(5), "equal", json!(5.0)));
    assert!(!holds("boolean", json!([]), "equal", json!([])));
}

#[test]
fn patterns_have_the_syntax_of_javascript() {
    for (text, pattern, expected) in [
        ("beta", "^b.+a$", true),
        ("xbeta\n", "a$", false),
        ("a/b", "a\\/b", true),
        ("١", "^\\d$", false),
        ("é", "^\\w$", false),
        ("a b", "a\\sb", true),
        ("x foo y", "\\bfoo\\b", true),
        ("xfoo", "\\bfoo\\b", false),
        ("éa", "\\ba", true),
        ("éa", "é\\Ba", false),
        ("ba", "b\\Ba(?=$)", true),
        ("a b", "\\bb\\b(?!c)", true),
        ("a\nb", "a.b", false),
        ("a\nb", "a[^]b", true),
        ("a{,2}", "^a{,2}$", true),
        ("aa", "^a{1,2}$", true),
        ("a@b.test", "^[\\w.-]+@[\\w-]+\\.[a-z]{2,}$", true),
        ("A", "(?i)a", false),
        ("aaa", "a++", false),
        ("abab", "^(ab)\\1$", true),
        ("foobar", "foo(?=bar)", true),
        ("foobar", "(?<!foo)bar", false),
        ("2026-01", "^(\\d{4})-\\d\\d$", true),
        ("A", "\\u0041", true),
        ("x[y]", "^x\\\\[y\\\\]$", true),
        ("a&&b", "^[a&&b]+$", true),
        ("[", "^[[]$", true),
        ("zz", "\\z", true),
        ("", "", true),
        ("x", "(", false),
    ] {
        assert_eq!(
            holds("string", text.into(), "regex", pattern.into()),
            expected,
            "{text:?} against {pattern:?}"
        );
    }
}

#[test]
fn a_pattern_that_explodes_fails_the_run_in_time() {
    let row = |pattern: &str| {
        flow_with(
            json!([{"type": "string", "value1": "{{ $webhook.body.x }}", "operation": "regex", "value2": pattern}]),
        )
    };
    let begun = Instant::now();
    let (_, failed) = failure(
        &row("^(a|aa)+\\1$(?=x)"),
        json!({"x": format!("{}!", "a".repeat(2000))}),
    );
    assert!(failed.message.contains("too many steps"), "{}", failed.message);
    let (_, failed) = failure(&row("(?=b)b"), json!({"x": "a".repeat(100_000)}));
    assert!(failed.message.contains("too long"), "{}", failed.message);
    // Word boundaries in a long text, and what takes JavaScript exponential time, are no trouble.
    finished(&row("\\bb\\b"), json!({"x": "a ".repeat(100_000)}));
    finished(&row("^(a+)+$"), json!({"x": format!("{}!", "a".repeat(100_000))}));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn marks_without_end_cost_linear_time() {
    let plan = flow_with(
        json!([{"type": "string", "value1": "{{ $webhook.body.x }}", "operation": "isEmpty", "value2": ""}]),
    );
    let begun = Instant::now();
    for piece in [
        "*a ", "_a ", "[", "[^", "`", "``` a", "![a](", "<a", "* a\n", "*", "_", "~", "[a] ", "**a*", "[^x",
        "\n- ", "]([",
    ] {
        let text = piece.repeat(100_000 / piece.len());
        finished(&plan, json!({"x": text}));
    }
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn the_first_row_that_holds_wins_and_the_record_is_that_of_flowise() {
    let rows = json!([
        {"type": "string", "value1": "{{ $webhook.body.kind }}", "operation": "equal", "value2": "alpha"},
        {"type": "number", "value1": "{{ $webhook.body.size }}", "operation": "larger", "value2": 10},
    ]);
    let plan = plan(
        vec![
            start(json!({})),
            condition("c0", rows),
            reply("d0", "alpha"),
            reply("d1", "big"),
            reply("d2", "else"),
        ],
        &[("s", "c0"), ("c0.0", "d0"), ("c0.1", "d1"), ("c0.2", "d2")],
    );
    let run = finished(&plan, json!({"kind": "x", "size": 11}));
    assert_eq!(run.final_text(), "big");
    let record = serde_json::to_string(&run.records()[1]).unwrap();
    assert!(
        record.contains(
            "\"input\":{\"conditions\":{\"0\":{\"type\":\"string\",\"value1\":\"x\",\"operation\":\"equal\",\"value2\":\"alpha\"},\
             \"1\":{\"type\":\"number\",\"value1\":\"11\",\"operation\":\"larger\",\"value2\":10}}},\
             \"output\":{\"conditions\":[{\"type\":\"string\",\"value1\":\"x\",\"operation\":\"equal\",\"value2\":\"alpha\"},\
             {\"type\":\"number\",\"value1\":\"11\",\"operation\":\"larger\",\"value2\":10,\"isFulfilled\":true},\
             {\"type\":\"string\",\"value1\":\"\",\"operation\":\"equal\",\"value2\":\"\",\"isFulfilled\":false}]},\"state\":{}}"
        ),
        "{record}"
    );
    assert_eq!(
        finished(&plan, json!({"kind": "alpha", "size": 99})).final_text(),
        "alpha"
    );
    assert_eq!(finished(&plan, json!({})).final_text(), "else");
}

#[test]
fn what_cannot_be_compared_fails_the_run() {
    let message = |rows: Value| failure(&flow_with(rows), json!({})).1.message;
    assert!(
        message(json!([{"type": "string", "value1": "a", "operation": "bogus", "value2": "a"}]))
            .contains("bogus")
    );
    assert!(!message(json!("")).is_empty());
    assert!(!message(json!(null)).is_empty());
    assert!(!message(json!([5])).is_empty());
    let text = json!([{"type": "string", "value1": "a", "operation": "equal", "value2": "a"}]).to_string();
    finished(&flow_with(json!(text)), json!({}));
}
