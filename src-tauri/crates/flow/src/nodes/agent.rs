//! Agent (format §5.12): a language model that may call tools.
//!
//! It goes on in single steps, each of which does one thing outside: a question to the model, or a call of a tool. What
//! it has so far is kept in the run, so that a kill repeats at most the step that was under way.
//!
//! A tool can be put behind a person (semantics §11). Then each call of it is an approval of its own: yes carries out
//! that call and no other, with the arguments as the person has changed them if they did, no gives the model what the
//! person said in the place of a result. Calls of other tools are carried out first.

use std::collections::BTreeMap;

use countersign_domain::{AskedCall, Outcome as Answered};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::conversation::{AGENT, Asking, Conversation, ModelAnswer, Opening, ask, called, times, to_model};
use super::structured::Form;
use super::{At, Decision, Nature, Node, Outcome, Question, Ran, Step};
use crate::document::DocumentNode;
use crate::js;
use crate::lenient;
use crate::model::{ModelChoice, ModelMessage, ModelReply, ToolCall};
use crate::refusal::Problem;
use crate::run::RunScope;
use crate::template::{Field, Scope};
use crate::tools::{Found, Tool};

/// How often a model is asked before it is taken to turn in circles.
const ROUNDS_MAX: u32 = 50;

/// The most calls that a model may want at once.
const CALLS_MAX: usize = 64;

/// How much of what a tool gave goes to the model, in characters.
const RESULT_LIMIT: usize = 100_000;

/// A tool of an agent.
#[derive(Debug)]
struct AgentTool {
    tool: Tool,
    /// Whether each call of it is put to a person.
    gated: bool,
    /// Whether what it found stands in the record.
    shows_sources: bool,
}

/// An Agent.
#[derive(Debug)]
struct Agent {
    conversation: Conversation,
    tools: Vec<AgentTool>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let rows = |name: &str| {
        node.inputs
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut tools = Vec::new();
    for row in rows("agentTools") {
        let Some(component) = row.get("agentSelectedTool").and_then(Value::as_str) else {
            continue;
        };
        if component.is_empty() {
            continue;
        }
        let config = row.get("agentSelectedToolConfig").and_then(Value::as_object);
        tools.push(AgentTool {
            tool: Tool::read(component, config.unwrap_or(&Map::new())),
            gated: js::truthy(row.get("agentSelectedToolRequiresHumanInput")),
            shows_sources: false,
        });
    }
    for row in rows("agentKnowledgeDocumentStores") {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        if !text("documentStore").is_empty() {
            tools.push(AgentTool {
                tool: Tool::of_store(text("documentStore"), text("docStoreDescription")),
                gated: false,
                shows_sources: js::truthy(row.get("returnSourceDocuments")),
            });
        }
    }
    for row in rows("agentKnowledgeVSEmbeddings") {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        if !text("vectorStore").is_empty() {
            let why = format!(
                "The knowledge “{}” lies in the vector store {}, which is not available here; a document store that is \
                 mapped to a folder is",
                text("knowledgeName"),
                text("vectorStore")
            );
            tools.push(AgentTool {
                tool: Tool::missing(text("vectorStore"), why),
                gated: false,
                shows_sources: false,
            });
        }
    }
    // Those of the provider's own count only with the model that has them.
    let component = node.inputs.get("agentModel").and_then(Value::as_str);
    for (model, name) in [
        ("chatOpenAI", "agentToolsBuiltInOpenAI"),
        ("chatGoogleGenerativeAI", "agentToolsBuiltInGemini"),
        ("chatAnthropic", "agentToolsBuiltInAnthropic"),
    ] {
        for own in chosen(node.inputs.get(name).filter(|_| component == Some(model))) {
            let why = format!("The tool “{own}” of {model} itself is not available here");
            tools.push(AgentTool {
                tool: Tool::missing(&own, why),
                gated: false,
                shows_sources: false,
            });
        }
    }
    different_names(&mut tools);
    Ok(Box::new(Agent {
        conversation: Conversation::read(node, AGENT),
        tools,
    }))
}

/// The names in a selection of several, which is a list or the text of one.
fn chosen(value: Option<&Value>) -> Vec<String> {
    let parsed;
    let items = match value {
        Some(Value::String(text)) => {
            parsed = lenient::list(text).unwrap_or_default();
            &parsed
        }
        Some(Value::Array(items)) => items,
        _ => return Vec::new(),
    };
    items.iter().map(|item| js::text(item).into_owned()).collect()
}

/// A model calls tools by their names.
fn different_names(tools: &mut [AgentTool]) {
    for at in 1..tools.len() {
        let (earlier, later) = tools.split_at_mut(at);
        let taken = |name: &str| earlier.iter().any(|other| other.tool.name == name);
        let name = &mut later[0].tool.name;
        if taken(name) {
            let number = (2..)
                .find(|number| !taken(&format!("{name}_{number}")))
                .unwrap_or(2);
            *name = format!("{name}_{number}");
        }
    }
}

/// What it has so far.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Work {
    /// What the model made of the chat, where its memory is a summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// The messages that it began with, as the record has them; none while they are being put together.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Value>>,
    /// When the model was asked first.
    began: i64,
    /// What model and tools have said since.
    turns: Vec<ModelMessage>,
    /// The calls that the model wants now.
    calls: Vec<ToolCall>,
    /// What came of them, by their place.
    results: BTreeMap<usize, String>,
    /// The call that a person was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<usize>,
    /// How often the model was asked.
    rounds: u32,
    /// Every call so far, as the record has it.
    used: Vec<Value>,
    documents: Vec<Value>,
    input_tokens: u64,
    output_tokens: u64,
    /// The answer, where it is still to be put into its form.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<ModelReply>,
}

impl Node for Agent {
    fn nature(&self) -> Nature {
        Nature {
            asks: self.gates_tools(),
            outside: true,
            ..Nature::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let mut fields = self.conversation.fields();
        let settings = self.tools.iter().flat_map(|tool| tool.tool.fields());
        fields.extend(settings.map(|field| ("agentTools", field)));
        fields
    }

    fn degraded(&self) -> Vec<String> {
        let mut degraded = self.conversation.degraded();
        degraded.extend(self.tools.iter().flat_map(|tool| tool.tool.degraded()));
        degraded
    }

    fn faults(&self) -> Vec<String> {
        self.conversation.faults()
    }

    fn differs(&self) -> Vec<(&'static str, String)> {
        let mut differs = self.conversation.differs();
        if self.gates_tools() {
            differs.push((
                "semantics §11",
                "asks a person before it runs some of its tools. Here each call is asked about by itself, yes runs that \
                 call only, and the model is told of a no; in Flowise yes runs all calls, and no takes the tool away."
                    .to_owned(),
            ));
        }
        differs
    }

    fn gates_tools(&self) -> bool {
        self.tools.iter().any(|tool| tool.gated)
    }

    fn model(&self) -> Option<&ModelChoice> {
        self.conversation.model.as_ref()
    }

    fn stores(&self) -> Vec<&str> {
        self.tools.iter().filter_map(|tool| tool.tool.store()).collect()
    }

    fn lacks(&self) -> Vec<&str> {
        self.tools.iter().filter_map(|tool| tool.tool.lacks()).collect()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        let names: Vec<&str> = self.tools.iter().map(|tool| tool.tool.name.as_str()).collect();
        if names.is_empty() {
            format!("Let the agent “{label}” work")
        } else {
            format!("Let the agent “{label}” work with {}", names.join(", "))
        }
    }

    fn answered_in_words(&self, call: Option<&AskedCall>, approve: bool) -> Option<String> {
        let tool = &call?.tool;
        Some(if approve {
            format!("Run {tool} with these arguments; the agent goes on with what it gives")
        } else {
            format!("{tool} does not run; the agent is told so, with your note, and goes on")
        })
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Waits(Box::pin(async move {
            let done = self.go_on(at).await;
            done.map_err(|error| format!("Error in Agent node: {error}"))
        }))
    }
}

impl Agent {
    /// One step further.
    async fn go_on(&self, at: At<'_>) -> Result<Outcome, String> {
        let scope = at.scope;
        if let Some(why) = self.lacks().first() {
            return Err((*why).to_owned());
        }
        let mut work: Work = match at.carried {
            Some(carried) => serde_json::from_value(carried.clone()).map_err(|error| error.to_string())?,
            None => Work::default(),
        };
        if work.messages.is_none() {
            match self.conversation.opening(&scope, work.summary.as_deref()) {
                Opening::Ready(messages) => work.messages = Some(messages),
                Opening::Summarise(messages) => {
                    work.summary = Some(self.conversation.summarise(&scope, &messages).await?);
                    return again(&work);
                }
            }
            work.began = scope.host.now().as_millis();
        }
        if let (Some(decision), Some(place)) = (at.decision, work.asked.take()) {
            match decision.outcome {
                Answered::Approve => {
                    self.carry_out(&scope, &mut work, place, Some(decision)).await;
                    return again(&work);
                }
                Answered::Reject => self.turn_down(&mut work, place, decision),
            }
        }
        if let Some(answer) = work.answer.take() {
            return self.put_into_form(&scope, work, answer).await;
        }
        let open = |gated: bool| {
            let mut places = 0..work.calls.len();
            places.find(|place| {
                !work.results.contains_key(place) && self.is_gated(&work.calls[*place]) == gated
            })
        };
        if let Some(place) = open(false) {
            self.carry_out(&scope, &mut work, place, None).await;
            return again(&work);
        }
        if let Some(place) = open(true) {
            return self.put_to_a_person(&scope, work, place);
        }
        work.take_results();
        self.ask_the_model(&scope, work).await
    }

    fn tool(&self, name: &str) -> Option<&AgentTool> {
        self.tools.iter().find(|tool| tool.tool.name == name)
    }

    /// Whether a person has to be asked before it is made. Nobody is asked about one that no tool takes: all that can come
    /// of it is the error that the model hears.
    fn is_gated(&self, call: &ToolCall) -> bool {
        Tool::takes(&call.arguments) && self.tool(&call.name).is_some_and(|tool| tool.gated)
    }

    /// Carries out a call, with the arguments of the decision that allowed it if that changed them. What goes wrong is
    /// told to the model, which may know another way.
    async fn carry_out(
        &self,
        scope: &RunScope<'_>,
        work: &mut Work,
        place: usize,
        decision: Option<&Decision>,
    ) {
        let Some(call) = work.calls.get(place).cloned() else {
            return;
        };
        let changed = decision.and_then(|decision| Some((decision, decision.arguments.as_ref()?)));
        let arguments = changed.map_or(&call.arguments, |(_, arguments)| arguments);
        let key = format!("{}:{}.{place}", scope.idempotency_key(), work.rounds);
        let (result, shows_sources) = match self.tool(&call.name) {
            Some(own) => (own.tool.call(scope, arguments, key).await, own.shows_sources),
            None => {
                let names: Vec<&str> = self.tools.iter().map(|tool| tool.tool.name.as_str()).collect();
                let why = format!(
                    "There is no tool “{}”; there are: {}",
                    call.name,
                    names.join(", ")
                );
                (Err(why), false)
            }
        };
        let mut used = Map::new();
        used.insert("tool".to_owned(), call.name.into());
        used.insert("toolInput".to_owned(), arguments.clone());
        if changed.is_some() {
            used.insert("requestedToolInput".to_owned(), call.arguments.clone());
        }
        let told = match result {
            Ok(Found { content, documents }) => {
                let text = match &content {
                    Value::Array(_) | Value::Object(_) => js::pretty_json(&content),
                    other => js::text(other).into_owned(),
                };
                let text = shortened(text);
                used.insert("toolOutput".to_owned(), text.clone().into());
                if shows_sources {
                    work.documents.extend(documents);
                }
                text
            }
            Err(error) => {
                used.insert("toolOutput".to_owned(), "".into());
                used.insert("error".to_owned(), error.clone().into());
                format!("Error: {error}")
            }
        };
        let told = match changed {
            Some((decision, arguments)) => format!("{}\n{told}", changed_words(decision, arguments)),
            None => told,
        };
        work.used.push(Value::Object(used));
        work.results.insert(place, told);
    }

    /// A person said no: the model hears it in the place of a result.
    fn turn_down(&self, work: &mut Work, place: usize, decision: &Decision) {
        let Some(call) = work.calls.get(place) else {
            return;
        };
        let note = note_of(decision);
        let told = match &note {
            Some(note) => format!("A person did not allow this call, and it was not made. They say: {note}"),
            None => "A person did not allow this call, and it was not made.".to_owned(),
        };
        work.used.push(json!({
            "tool": call.name,
            "toolInput": call.arguments,
            "toolOutput": "",
            "error": note.map_or_else(|| "Rejected".to_owned(), |note| format!("Rejected: {note}")),
        }));
        work.results.insert(place, told);
    }

    fn put_to_a_person(&self, scope: &RunScope<'_>, mut work: Work, place: usize) -> Result<Outcome, String> {
        let call = work.calls[place].clone();
        let said = match work.turns.last() {
            Some(ModelMessage::Assistant { content, .. }) => content.as_str(),
            _ => "",
        };
        let shown = js::pretty_json(&json!({"name": call.name, "args": call.arguments, "id": call.id}));
        let text = format!("{said}\nAttempting to use tool:\n```json\n{shown}\n```");
        let mut description = format!("Run the tool “{}”?", call.name);
        if !js::trim(said).is_empty() {
            description.push_str("\n\n");
            description.push_str(js::trim(said));
        }
        let input = json!({
            "messages": work.messages,
            "tool": call.name,
            "toolInput": call.arguments,
        });
        let mut output = Map::new();
        let used = Value::from(work.used.clone());
        if scope.is_last() && !work.used.is_empty() {
            scope.tell_fact("usedTools", &used);
        }
        if scope.is_last() && !work.documents.is_empty() {
            scope.tell_fact("sourceDocuments", &work.documents.clone().into());
        }
        output.insert("usedTools".to_owned(), used);
        output.insert("calledTools".to_owned(), json!([call]));
        output.insert("availableTools".to_owned(), self.available());
        output.insert("isWaitingForHumanInput".to_owned(), true.into());
        work.asked = Some(place);
        Ok(Outcome::Asks(Box::new(Question {
            text,
            description,
            feedback_enabled: true,
            input,
            output,
            call: Some(AskedCall {
                tool: call.name,
                arguments: call.arguments,
            }),
            carried: Some(as_value(&work)?),
        })))
    }

    async fn ask_the_model(&self, scope: &RunScope<'_>, mut work: Work) -> Result<Outcome, String> {
        if work.rounds >= ROUNDS_MAX {
            return Err(format!(
                "The model was asked {ROUNDS_MAX} times and still wants more tools to be called"
            ));
        }
        let model = self.conversation.chosen()?;
        let form = Form::read(&self.conversation.structured(scope))?;
        let mut messages = to_model(work.messages.as_deref().unwrap_or_default());
        messages.extend(work.turns.iter().cloned());
        let streams = self.conversation.streams(scope, form.as_ref());
        let asking = Asking {
            messages,
            tools: self.tools.iter().map(|tool| tool.tool.definition()).collect(),
            stream: streams,
            key: &format!("model.{}", work.rounds),
            ..Asking::default()
        };
        let reply = ask(model, scope, asking).await?;
        work.rounds += 1;
        work.count(&reply);
        if reply.tool_calls.len() > CALLS_MAX {
            return Err(format!(
                "The model wants more than {CALLS_MAX} tools to be called at once"
            ));
        }
        if reply.tool_calls.is_empty() {
            if form.is_some() {
                work.answer = Some(reply);
                return again(&work);
            }
            return Ok(Outcome::Ran(self.ran(scope, work, reply, None, streams)?));
        }
        scope.tell_fact("calledTools", &called(&reply.tool_calls));
        work.turns.push(ModelMessage::Assistant {
            content: reply.content,
            tool_calls: reply.tool_calls.clone(),
        });
        work.calls = reply.tool_calls;
        again(&work)
    }

    /// Has the answer put into the form that the node describes.
    async fn put_into_form(
        &self,
        scope: &RunScope<'_>,
        mut work: Work,
        answer: ModelReply,
    ) -> Result<Outcome, String> {
        let model = self.conversation.chosen()?;
        let Some(form) = Form::read(&self.conversation.structured(scope))? else {
            return Ok(Outcome::Ran(self.ran(scope, work, answer, None, false)?));
        };
        let content = format!(
            "Put the following answer into the form that is asked for. Add nothing to it.\n\n{}",
            answer.content
        );
        let asking = Asking {
            messages: vec![ModelMessage::User { content }],
            answer_schema: Some(form.schema()),
            key: "form",
            ..Asking::default()
        };
        let reply = ask(model, scope, asking).await?;
        work.count(&reply);
        let parsed = form.parse(&reply.content)?;
        Ok(Outcome::Ran(self.ran(scope, work, reply, Some(parsed), false)?))
    }

    fn available(&self) -> Value {
        let tools = self.tools.iter().map(|tool| {
            let definition = tool.tool.definition();
            json!({
                "name": definition.name,
                "description": definition.description,
                "schema": definition.parameters,
                "toolNode": {"label": tool.tool.component, "name": tool.tool.component},
            })
        });
        tools.collect()
    }

    fn ran(
        &self,
        scope: &RunScope<'_>,
        work: Work,
        mut reply: ModelReply,
        parsed: Option<Map<String, Value>>,
        was_told: bool,
    ) -> Result<Ran, String> {
        if work.input_tokens + work.output_tokens > 0 {
            reply.usage = Some(json!({
                "input_tokens": work.input_tokens,
                "output_tokens": work.output_tokens,
                "total_tokens": work.input_tokens + work.output_tokens,
            }));
        }
        let mut more = Map::new();
        for (name, list) in [("usedTools", work.used), ("sourceDocuments", work.documents)] {
            if !list.is_empty() {
                more.insert(name.to_owned(), list.into());
            }
        }
        more.insert("availableTools".to_owned(), self.available());
        let messages = work.messages.unwrap_or_default();
        let time = times(work.began, scope.host.now().as_millis());
        let answered = ModelAnswer {
            reply,
            parsed,
            time,
            was_told,
            more,
        };
        self.conversation.ran(scope, &messages, answered)
    }
}

impl Work {
    /// What came of the calls becomes part of the conversation, in the order in which the model wanted them.
    fn take_results(&mut self) {
        let results = std::mem::take(&mut self.results);
        let calls = std::mem::take(&mut self.calls);
        for (call, content) in calls.into_iter().zip(results.into_values()) {
            self.turns.push(ModelMessage::Tool {
                call_id: call.id,
                name: call.name,
                content,
            });
        }
    }

    fn count(&mut self, reply: &ModelReply) {
        let tokens = |name: &str| {
            let usage = reply.usage.as_ref();
            usage
                .and_then(|usage| usage.get(name)?.as_u64())
                .unwrap_or_default()
        };
        self.input_tokens += tokens("input_tokens");
        self.output_tokens += tokens("output_tokens");
    }
}

/// What a person said with their answer.
fn note_of(decision: &Decision) -> Option<String> {
    let note = decision.feedback.as_ref().filter(|note| js::truthy(Some(note)));
    note.map(|note| js::text(note).into_owned())
}

/// What the model is told in front of the result of a call whose arguments a person has changed.
///
/// The message in which the model wanted the call stays as it was. Providers take a conversation in which the model's own
/// turns are what it said (some sign them), and a model that read other arguments there as its own would take them for
/// its own idea; one that is told nothing would report what it had asked for as done.
fn changed_words(decision: &Decision, arguments: &Value) -> String {
    let arguments = shortened(arguments.to_string());
    let note = note_of(decision).map_or_else(String::new, |note| format!(" They say: {note}"));
    format!(
        "A person changed the arguments before allowing this call. It was not made with your arguments but with \
         {arguments}.{note} What it gave:"
    )
}

fn as_value(work: &Work) -> Result<Value, String> {
    serde_json::to_value(work).map_err(|error| error.to_string())
}

fn again(work: &Work) -> Result<Outcome, String> {
    Ok(Outcome::Again(as_value(work)?))
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(RESULT_LIMIT) {
        None => text,
        Some((end, _)) => format!("{}…\n(The rest is left out.)", &text[..end]),
    }
}
