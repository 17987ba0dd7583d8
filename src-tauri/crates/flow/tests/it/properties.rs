//! Properties that hold for every input.

use countersign_domain::{Outcome, Timestamp};
use countersign_flow::{Advance, Plan, Run, Scope, Template, html_to_markdown};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, block_on, chat, check, condition, finished, flow, gate, id, input, plan, records,
    reply, start, to_rest,
};

struct Fixed<'a> {
    question: &'a str,
    webhook: Value,
}

impl Scope for Fixed<'_> {
    fn question(&self) -> &str {
        self.question
    }
    fn webhook(&self) -> Option<&Value> {
        Some(&self.webhook)
    }
    fn variable(&self, _name: &str) -> Option<String> {
        Some("SECRET".to_owned())
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

/// Texts full of what means something to templates, HTML and Markdown.
fn spiky() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{".to_owned()),
        Just("}}".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("\n".to_owned()),
        Just("question".to_owned()),
        Just("{{question}}".to_owned()),
        Just("{{$vars.V}}".to_owned()),
        Just("$webhook.body".to_owned()),
        Just("$&".to_owned()),
        Just("<p>".to_owned()),
        Just("</p>".to_owned()),
        Just("<ul><li>".to_owned()),
        Just("<b>".to_owned()),
        Just("<table><tr>".to_owned()),
        Just("&lt;".to_owned()),
        Just("*".to_owned()),
        Just("_".to_owned()),
        Just("[a](".to_owned()),
        Just("`".to_owned()),
        Just(" ".to_owned()),
        Just("ß\u{2028}".to_owned()),
        Just(".output.".to_owned()),
        Just("[0]".to_owned()),
        Just("<template>x".to_owned()),
        Just("<select><option>".to_owned()),
        Just("<pre><code>".to_owned()),
        Just("<a href='x'>".to_owned()),
        "\\PC{0,4}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Question,
    Body,
    Unknown,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        "[a-z *_\n.]{1,6}".prop_map(Piece::Text),
        Just(Piece::Question),
        Just(Piece::Body),
        Just(Piece::Unknown),
    ];
    prop::collection::vec(piece, 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_template_panics(template in spiky(), question in spiky()) {
        let scope = Fixed { question: &question, webhook: json!({"body": &question}) };
        let _ = Template::parse(&template).render(&scope);
        let _ = html_to_markdown(&format!("<p>{template}"));
    }

    /// Each reference is replaced once by its value, whatever that value looks like.
    #[test]
    fn nothing_inserted_is_expanded(pieces in pieces(), question in spiky(), body in spiky()) {
        let (mut template, mut expected) = (String::new(), String::new());
        for piece in &pieces {
            match piece {
                Piece::Text(text) => {
                    template.push_str(text);
                    expected.push_str(text);
                }
                Piece::Question => {
                    template.push_str("{{ question }}");
                    expected.push_str(&question);
                }
                Piece::Body => {
                    template.push_str("{{$webhook.body}}");
                    expected.push_str(&body);
                }
                Piece::Unknown => {
                    template.push_str("{{ never_0 }}");
                    expected.push_str("{{ never_0 }}");
                }
            }
        }
        let scope = Fixed { question: &question, webhook: json!({"body": &body}) };
        prop_assert_eq!(Template::parse(&template).render_text(&scope), expected);
    }

    /// The comparison takes any text, and treats what was sent like what was written.
    #[test]
    fn a_text_equals_itself_in_a_condition(text in spiky()) {
        prop_assume!(!text.contains("{{") && html_to_markdown(&text).is_none());
        let plan = plan(vec![start(json!({})), check("c0", "{{ $webhook.body.x }}", &text), reply("d0", "same")], &[("s", "c0"), ("c0.0", "d0")]);
        prop_assert_eq!(finished(&plan, json!({"x": &text})).final_text(), "same");
    }

    /// A pattern from anybody never panics and never hangs.
    #[test]
    fn any_pattern_is_taken(pattern in "[a-c\\\\\\[\\](){}|?*+^$.,=!<>:0-3kwdsbu-]{0,16}", text in "[a-c0-3 ]{0,12}") {
        let row = json!([{"type": "string", "value1": "{{$webhook.body.x}}", "operation": "regex", "value2": "{{$webhook.body.p}}"}]);
        let plan = plan(vec![start(json!({})), condition("c0", row)], &[("s", "c0")]);
        let mut run = Run::begin(&plan, input(json!({"x": text, "p": pattern})));
        let rest = to_rest(&mut run, &plan, &TestHost::new());
        prop_assert!(matches!(rest, Advance::Finished | Advance::Failed(_)));
    }

    /// A damaged document is refused or runs; it never panics.
    #[test]
    fn no_document_panics(at in 0.0..1.0_f64, length in 0_usize..40, inserted in "[\\[\\]{}\",:a-z0-9]{0,6}") {
        let text = flow(
            vec![start(json!({})), gate("h0", "ok {{question}}?"), check("c0", "a", "b"), reply("d0", "<p>x</p>")],
            &[("s", "h0"), ("h0.0", "c0"), ("c0.1", "d0")],
        );
        let at = (text.len() as f64 * at) as usize;
        let damaged = format!("{}{inserted}{}", &text[..at], &text[(at + length).min(text.len())..]);
        if let Ok(plan) = Plan::parse(&damaged) {
            let mut run = Run::begin(&plan, input(json!({})));
            to_rest(&mut run, &plan, &TestHost::new());
        }
    }
}

/// A random flow: each node after Start is a reply, a Condition or a gate with edges from earlier ones.
#[derive(Debug, Clone)]
struct Graph {
    /// The kind of each node behind Start, and for deciding ones which output is taken.
    kinds: Vec<(u8, bool)>,
    /// Source, output, target; the sources and targets count Start as 0.
    edges: Vec<(usize, usize, usize)>,
}

fn graphs() -> impl Strategy<Value = Graph> {
    prop::collection::vec((0_u8..4, any::<bool>()), 1..10).prop_flat_map(|kinds| {
        let count = kinds.len();
        let first = (0..count)
            .map(|index| (0..=index, 0_usize..2))
            .collect::<Vec<_>>();
        let more = prop::collection::vec((0..count, 0_usize..2, 0..count), 0..count * 2);
        (Just(kinds), first, more).prop_map(|(kinds, first, more)| {
            let first = first
                .into_iter()
                .enumerate()
                .map(|(index, (source, output))| (source, output, index + 1));
            let more = more
                .into_iter()
                .map(|(one, output, other)| (one.min(other), output, one.max(other) + 1));
            Graph {
                kinds,
                edges: first.chain(more).collect(),
            }
        })
    })
}

impl Graph {
    fn short(&self, index: usize) -> String {
        match index.checked_sub(1) {
            None => "s".to_owned(),
            Some(place) => format!(
                "{}{place}",
                ["d", "d", "c", "h"][usize::from(self.kinds[place].0)]
            ),
        }
    }

    fn decides(&self, index: usize) -> bool {
        index > 0 && self.kinds[index - 1].0 >= 2
    }

    fn plan(&self) -> Plan {
        let mut nodes = vec![start(json!({}))];
        for (place, (kind, yes)) in self.kinds.iter().enumerate() {
            let short = self.short(place + 1);
            nodes.push(match kind {
                2 => check(&short, "a", if *yes { "a" } else { "b" }),
                3 => gate(&short, "ok?"),
                _ => reply(&short, &format!("r{place}")),
            });
        }
        let edges: Vec<_> = self
            .edges
            .iter()
            .map(|(source, output, target)| {
                let from = self.short(*source);
                (
                    if self.decides(*source) {
                        format!("{from}.{output}")
                    } else {
                        from
                    },
                    self.short(*target),
                )
            })
            .collect();
        plan(
            nodes,
            &edges
                .iter()
                .map(|(from, to)| (from.as_str(), to.as_str()))
                .collect::<Vec<_>>(),
        )
    }

    /// Which nodes lie behind a node, itself included.
    fn behind(&self, node: usize) -> Vec<bool> {
        let mut behind = vec![false; self.kinds.len() + 1];
        behind[node] = true;
        // Edges lead from lower to higher numbers only.
        for index in node + 1..behind.len() {
            behind[index] = self
                .edges
                .iter()
                .any(|(source, _, target)| *target == index && behind[*source]);
        }
        behind
    }

    /// Which nodes must run, found without tokens: a node runs if one of its edges comes from a node that runs, by
    /// the output that it takes; but one that hangs on the other output of a gate only if something behind that gate
    /// leads to it.
    fn expected(&self) -> Vec<bool> {
        let mut runs = vec![false; self.kinds.len() + 1];
        runs[0] = true;
        for index in 1..runs.len() {
            let incoming = self.edges.iter().filter(|(_, _, target)| *target == index);
            let taken = |source: usize, output: usize| {
                !self.decides(source) || (output == 0) == self.kinds[source - 1].1
            };
            let (led, turned): (Vec<_>, Vec<_>) = incoming
                .filter(|(source, _, _)| runs[*source])
                .partition(|(source, output, _)| taken(*source, *output));
            let is_gate = |node: usize| node > 0 && self.kinds[node - 1].0 == 3;
            let turned_away = turned
                .iter()
                .filter(|(source, _, _)| is_gate(*source))
                .any(|(gate, _, _)| {
                    let behind = self.behind(*gate);
                    led.iter().all(|(source, _, _)| !behind[*source])
                });
            runs[index] = !led.is_empty() && !turned_away;
        }
        runs
    }

    fn outcome(&self, node_id: &str) -> Outcome {
        let place: usize = node_id.rsplit_once('_').unwrap().1.parse().unwrap();
        if self.kinds[place].1 {
            Outcome::Approve
        } else {
            Outcome::Reject
        }
    }

    /// Runs it to its end, answering every gate; `store` writes and reads the run between all steps.
    fn run(&self, plan: &Plan, store: bool) -> Run {
        let host = TestHost::new();
        let again =
            |run: &Run| -> Run { serde_json::from_str(&serde_json::to_string(run).unwrap()).unwrap() };
        let mut run = Run::begin(plan, input(json!({"x": 1})));
        let mut past = Vec::new();
        block_on(async {
            loop {
                if store {
                    run = again(&run);
                }
                match run.advance(plan, &host).await {
                    Advance::Ran { .. } => {}
                    Advance::Stopped(stop) => {
                        past.extend(chat(&run));
                        if store {
                            run = again(&run);
                        }
                        run.answer(
                            plan,
                            &host,
                            answer(self.outcome(&stop.node_id), Some("note")),
                            past.clone(),
                        )
                        .unwrap();
                    }
                    Advance::Finished => return,
                    Advance::Failed(failure) => panic!("{failure}"),
                }
            }
        });
        run
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every node that can be reached runs exactly once and after everything that leads to it, every other never;
    /// and storing the run between any two steps changes nothing.
    #[test]
    fn random_graphs_run_each_node_once(graph in graphs()) {
        let plan = graph.plan();
        let through = graph.run(&plan, false);
        let expected = graph.expected();
        let ran: Vec<&str> = through.records().iter().map(|record| record.node_id()).collect();
        for (index, must_run) in expected.iter().enumerate() {
            let id = id(&graph.short(index));
            let times = ran.iter().filter(|ran| **ran == id).count();
            prop_assert_eq!(times, usize::from(*must_run), "{} in {:?}", id, ran);
        }
        let place = |index: usize| ran.iter().position(|ran| *ran == id(&graph.short(index)));
        for (source, _, target) in &graph.edges {
            if expected[*source] && expected[*target] {
                prop_assert!(place(*source) < place(*target), "{} before {} in {:?}", source, target, ran);
            }
        }
        let stored = graph.run(&plan, true);
        prop_assert_eq!(records(&stored), records(&through));
        prop_assert_eq!(serde_json::to_string(&stored).unwrap(), serde_json::to_string(&through).unwrap());
    }
}
