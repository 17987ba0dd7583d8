//! References and their values: execution semantics §7.3 and §7.4, known gaps D3.6 to D3.8.

use std::borrow::Cow;

use countersign_domain::{Role, Timestamp};
use countersign_flow::{PastMessage, Path, Run, Scope, Template};
use serde_json::{Value, json};

use crate::support::{self, TestHost, finished, input, plan, replied, reply, start, to_rest};

/// The scope of the vectors in §7.4.
#[derive(Default)]
struct Vectors {
    question: String,
    webhook: Value,
    iteration: Option<Value>,
    output: Value,
}

impl Scope for Vectors {
    fn question(&self) -> &str {
        &self.question
    }
    fn webhook(&self) -> Option<&Value> {
        Some(&self.webhook)
    }
    fn iteration(&self) -> Option<&Value> {
        self.iteration.as_ref()
    }
    fn variable(&self, name: &str) -> Option<String> {
        (name == "V").then(|| "vv".to_owned())
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
    fn content(&self, node: &str) -> Option<Cow<'_, Value>> {
        (node == "n_0")
            .then(|| self.output.get("content").map(Cow::Borrowed))
            .flatten()
    }
    fn output(&self, node: &str, path: &Path) -> Option<Cow<'_, Value>> {
        (node == "n_0").then(|| path.get(&self.output)).flatten()
    }
}

fn vectors() -> Vectors {
    Vectors {
        question: "q".to_owned(),
        webhook: json!({"body": {"flag": false, "empty": "", "nul": null, "a": {"b": [1, {"c": "x"}]}, "a.b": "dot", "s": "añ"},
            "headers": {"x-demo": "seen"}, "query": {"l": "7"}}),
        iteration: None,
        output: json!({"content": "C1", "num": 5, "b": false, "nul": null, "obj": {"k": "v"}, "arr": [1, 2], "f": 1e21}),
    }
}

fn rendered(template: &str) -> Value {
    Template::parse(template).render(&vectors())
}

#[test]
fn s7_4_values_are_formatted_as_recorded() {
    for (template, expected) in [
        ("{{n_0}}", json!("C1")),
        ("{{ n_0.output.num }}", json!(5)),
        ("x{{n_0.output.num}}", json!("x5")),
        ("<p>{{ n_0.output.num }}</p>", json!(5)),
        ("{{n_0.output.b}}", json!(false)),
        ("{{n_0.output.nul}}", json!(null)),
        ("a{{n_0.output.nul}}", json!("anull")),
        ("{{n_0.output.obj}}", json!("{\"k\":\"v\"}")),
        ("{{n_0.output.arr[1]}}", json!(2)),
        ("{{n_0.output.f}} ", json!("1e+21 ")),
        ("{{n_0.output.missing}}", json!("{{n_0.output.missing}}")),
        ("{{never_0}}", json!("{{never_0}}")),
        ("{{ n\\_0 }}", json!("C1")),
        ("{{$webhook.body.flag}}", json!("false")),
        ("{{$webhook.body.empty}}", json!("")),
        ("{{$webhook.body.nul}}", json!("{{$webhook.body.nul}}")),
        (
            "{{ $webhook.headers.x-demo }}/{{$webhook.query.l}}",
            json!("seen/7"),
        ),
        ("{{$webhook.body.a}}", json!("{\"b\":[1,{\"c\":\"x\"}]}")),
        (
            "{{$webhook.body.a.b[1].c}}{{$webhook.body.a[\"b\"][0]}}",
            json!("x1"),
        ),
        (
            "{{$webhook.body.a.b.length}}{{$webhook.body.s.length}}{{$webhook.body.s[1]}}",
            json!("22ñ"),
        ),
        (
            "{{$webhook.body.a.b[01]}}{{$webhook}}",
            json!("{{$webhook.body.a.b[01]}}{{$webhook}}"),
        ),
        ("{{$flow.state.missing}}", json!("{{$flow.state.missing}}")),
        (
            "{{$form.x}}{{ output }}{{output.a}}{{}}",
            json!("{{$form.x}}{{ output }}{{output.a}}{{}}"),
        ),
        ("{{\"a\":\"{{question}}\"}}", json!("{{\"a\":\"{{question}}\"}}")),
        ("{{\nquestion\n}}", json!("{{\nquestion\n}}")),
        ("{{ \n {{question}}", json!("{{ \n q")),
        ("{{{question}}}", json!("q}")),
        (
            "[{{file_attachment}}{{ loop_count }}{{runtime_messages_length}}]",
            json!("[00]"),
        ),
        ("{{current_date_time}}", json!("1970-01-01T00:00:00.000Z")),
        ("a{{b", json!("a{{b")),
        ("", json!("")),
    ] {
        assert_eq!(rendered(template), expected, "template {template:?}");
    }
}

#[test]
fn s7_4_the_item_of_an_iteration_answers_as_recorded() {
    let with = |item: Value, template: &str| {
        Template::parse(template).render(&Vectors {
            iteration: Some(item),
            ..vectors()
        })
    };
    assert_eq!(with(json!({"a": 1}), "{{$iteration}}"), "{\"a\":1}");
    assert_eq!(with(json!({"a": 1}), "{{$iteration.a}}"), "1");
    assert_eq!(with(json!({"a": 1}), "{{$iteration.zz}}"), "undefined");
    assert_eq!(
        with(json!(0), "{{$iteration}}"),
        "{{$iteration}}",
        "a falsy item leaves the reference alone"
    );
    assert_eq!(with(json!(["x"]), "{{$iteration.0}}"), "x");
    assert_eq!(with(json!("text"), "{{$iteration.any.path}}"), "text");
    assert_eq!(
        with(json!(7), "{{$iteration}}{{$iteration.a}}"),
        "7{{$iteration.a}}"
    );
    assert_eq!(rendered("{{$iteration}}"), "{{$iteration}}");
}

/// D3.6: Flowise expands `$&` and `$$` in what it inserts.
#[test]
fn d3_6_patterns_of_replacing_are_inserted_as_they_are() {
    let body = json!({"q": "cost $& $$ $1"});
    assert_eq!(
        replied("{{$webhook.body.q}} {{$vars.V}}", body),
        "cost $& $$ $1 secret"
    );
}

/// D3.7: in Flowise a token that was inserted takes the place of a later one, so a caller reads variables.
#[test]
fn d3_7_inserted_text_is_never_looked_at_again() {
    let body = json!({"q": "{{$vars.V}}"});
    assert_eq!(
        replied("{{$webhook.body.q}} {{$vars.V}}", body),
        "{{$vars.V}} secret"
    );
}

/// D3.8, without the option; with it see `steps`.
#[test]
fn d3_8_a_reference_to_a_node_that_never_ran_stays_as_it_is_written() {
    assert_eq!(
        replied("{{ neverRun_0 }} {{ neverRun_0.output.x }}", json!({})),
        "{{ neverRun_0 }} {{ neverRun_0.output.x }}"
    );
}

#[test]
fn numbers_are_written_as_javascript_writes_them() {
    let body: Value = serde_json::from_str(
        r#"{"n":[1.0,0.1,1e21,1e-7,123456789012345680000,100,-0.0,5e-324,0.30000000000000004],"big":9007199254740993}"#,
    )
    .unwrap();
    assert_eq!(
        replied(
            "{{$webhook.body.n}}|{{$webhook.body.n[0]}}|{{$webhook.body.big}}",
            body
        ),
        "[1,0.1,1e+21,1e-7,123456789012345680000,100,0,5e-324,0.30000000000000004]|1|9007199254740993",
        "an integer beyond 2^53 keeps its digits, which JavaScript would round"
    );
}

#[test]
fn s7_4_a_node_output_that_stands_alone_keeps_its_type() {
    let at = |path: &str| format!("{{{{ startAgentflow_0.output.webhook.body.{path} }}}}");
    let body = json!({"n": 5, "b": true, "z": null, "o": {"k": 1}});
    assert_eq!(replied(&at("n"), body.clone()), json!(5));
    assert_eq!(replied(&at("b"), body.clone()), json!(true));
    assert_eq!(replied(&at("z"), body.clone()), json!(null));
    assert_eq!(replied(&at("o"), body.clone()), json!("{\"k\":1}"));
    assert_eq!(replied(&format!("{} ", at("n")), body.clone()), json!("5 "));
    assert_eq!(
        replied("{{ startAgentflow_0.output.question }}", body),
        json!(" ")
    );
}

#[test]
fn s7_3_the_flow_and_the_chat_can_be_referred_to() {
    let nodes = vec![
        start(json!({"startState": [{"key": "note", "value": "n1"}, {"key": "bare"}]})),
        reply(
            "d0",
            "{{$flow.chatId}} {{$flow.sessionId}} {{$flow.chatflowId}} {{$flow.chatflowid}} {{$flow.apiMessageId}} \
             {{$flow.state.note}}[{{$flow.state.bare}}] {{$flow.state}} {{$flow.runtimeChatHistoryLength}} {{$flow.input}}",
        ),
        reply(
            "d1",
            "{{chat_history}}|{{directReplyAgentflow_0.output.content}}|{{$flow.chatHistory}}",
        ),
    ];
    let plan = plan(nodes, &[("s", "d0"), ("d0", "d1")]);
    let message = |role, content: &str| PastMessage {
        role,
        content: content.to_owned(),
    };
    let mut input = input(json!({}));
    input.past_history = vec![
        message(Role::User, "hi"),
        message(Role::User, "  "),
        message(Role::Assistant, "ho"),
    ];
    let mut run = Run::begin(&plan, input);
    to_rest(&mut run, &plan, &TestHost::new());
    let first =
        "chat-1 chat-1 flow-1 flow-1 message-1 n1[] {\"note\":\"n1\",\"bare\":\"\"} 0 {{$flow.input}}";
    assert_eq!(
        run.records()[1].content().unwrap(),
        first,
        "a state row without a value is an empty text (D3.9)"
    );
    assert_eq!(
        run.final_text(),
        format!(
            "Human: hi\nAssistant: ho|{first}|[{{\"content\":\"hi\",\"role\":\"user\"}},{{\"content\":\"  \",\"role\":\"user\"}},{{\"content\":\"ho\",\"role\":\"assistant\"}}]"
        )
    );
}

#[test]
fn s7_1_only_fields_that_accept_variables_are_templates() {
    let text = "<p>{{ $webhook.body.a }}</p>";
    let with = |params: Value| {
        let mut node = reply("d0", text);
        match params {
            Value::Null => {
                node["data"].as_object_mut().unwrap().remove("inputParams");
            }
            params => node["data"]["inputParams"] = params,
        }
        finished(
            &plan(vec![start(json!({})), node], &[("s", "d0")]),
            json!({"a": 1}),
        )
        .final_text()
    };
    assert_eq!(
        with(json!([{"name": "directReplyMessage", "acceptVariable": true}])),
        "1"
    );
    assert_eq!(with(json!([{"name": "directReplyMessage"}])), text);
    assert_eq!(
        with(json!([{"name": "directReplyMessage", "acceptVariable": "true"}])),
        text
    );
    assert_eq!(with(json!([])), text);
    assert_eq!(
        with(Value::Null),
        "1",
        "without definitions the built-in knowledge counts"
    );
}

#[test]
fn the_texts_of_recorded_values_come_out() {
    let body = json!({"n": 3.5, "zero": 0, "no": false, "nil": null, "list": ["a", {"b": 1}], "o": {"p": {"q": "deep!"}},
        "html": "<b>x</b>", "inject": "{{ question }}"});
    let plan = support::plan(
        vec![
            start(json!({"webhookDefaultInput": "asked: {{ $webhook.body.n }} {{ question }}{{$vars.V}}"})),
            reply(
                "d0",
                "num={{ $webhook.body.n }}|zero={{ $webhook.body.zero }}|no={{ $webhook.body.no }}|nil={{ $webhook.body.nil }}|\
                 list={{ $webhook.body.list }}|item={{ $webhook.body.list[1] }}|deep={{ $webhook.body.o.p.q }}|q={{ question }}|\
                 html={{ $webhook.body.html }}|esc={{ $webhook.body.inject }}",
            ),
        ],
        &[("s", "d0")],
    );
    let run = finished(&plan, body);
    assert_eq!(
        run.question(),
        Some("asked: 3.5 {{ question }}{{$vars.V}}"),
        "only $webhook counts in the question"
    );
    assert_eq!(
        run.final_text(),
        "num=3.5|zero=0|no=false|nil={{ $webhook.body.nil }}|list=[\"a\",{\"b\":1}]|item={\"b\":1}|deep=deep!|\
         q=asked: 3.5 {{ question }}{{$vars.V}}|html=<b>x</b>|esc={{ question }}"
    );
}
