//! Runs inside a run: a flow that is called, and the nodes of an Iteration for one item.
//!
//! Such a run is part of the one around it and is stored with it, so a stop, a kill and a checkpoint mean the same
//! inside and outside.

use std::sync::Arc;

use countersign_domain::{DocumentHash, Role, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::step::Times;
use super::{Advance, Answer, AnswerError, Names, PastMessage, Phase, RetryError, Run, Trigger, Undone};
use crate::host::{CalledFlow, Host};
use crate::nodes::{self, Returned};
use crate::plan::Plan;
use crate::record::{Body, Called, Item, empty_state};

/// A run inside a run, with what the step around it needs when it ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Child {
    /// The node that it belongs to.
    node: usize,
    input: Value,
    began: Timestamp,
    work: Work,
    run: Run,
    /// How many records of the run the one around it has already: those until it failed and was tried again.
    #[serde(default)]
    handed_over: usize,
    /// The plan of a called flow. Not stored: the document's hash is.
    #[serde(skip)]
    plan: Option<Plan>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Work {
    /// A flow that was called.
    Flow {
        document: DocumentHash,
        question: String,
        /// Its name when it was called. Runs of older versions do not know.
        #[serde(default)]
        name: String,
    },
    /// A list, item by item.
    Items {
        items: Vec<Value>,
        at: usize,
        results: Vec<String>,
        /// The key of outside effects, without the item.
        key: String,
    },
}

impl Child {
    #[allow(
        clippy::too_many_arguments,
        reason = "it is the one place where all of these meet"
    )]
    pub(super) fn flow(
        parent: &Run,
        node: usize,
        key: String,
        input: Body,
        flow: CalledFlow,
        id: String,
        question: String,
        began: Timestamp,
    ) -> Self {
        let mut callers = parent.names.callers.clone();
        callers.push(parent.names.flow_id.clone());
        let names = Names {
            flow_id: id,
            execution_id: key,
            callers,
            ..(*parent.names).clone()
        };
        let settings = flow.plan.start();
        let trigger = Trigger {
            question: Some(question.clone()),
            ephemeral: settings.ephemeral_memory,
            persist: settings.persist_state,
            ..Trigger::default()
        };
        let run = Run::at_start(
            &flow.plan,
            Arc::new(names),
            Arc::new(trigger),
            Arc::default(),
            empty_state(),
        );
        Self {
            node,
            input: input.to_value(),
            began,
            work: Work::Flow {
                document: flow.document,
                question,
                name: flow.name,
            },
            run,
            handed_over: 0,
            plan: Some(flow.plan),
        }
    }

    /// A run for the first item. Gives the input back if there is no item, or nothing to do with one.
    pub(super) fn items(
        parent: &Run,
        plan: &Plan,
        node: usize,
        key: String,
        input: Body,
        items: Vec<Value>,
        began: Timestamp,
    ) -> Result<Self, Body> {
        let Some(body) = plan.body(node).filter(|_| !items.is_empty()) else {
            return Err(input);
        };
        let run = item_run(parent, plan, &body, node, &key, &items, 0);
        Ok(Self {
            node,
            input: input.to_value(),
            began,
            work: Work::Items {
                items,
                at: 0,
                results: Vec::new(),
                key,
            },
            run,
            handed_over: 0,
            plan: None,
        })
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.run.phase, Phase::Failed { .. })
    }

    /// Where the run inside failed, if it can be taken up again there.
    pub(super) fn failed_step(&self) -> Option<String> {
        self.run.failed_step()
    }

    /// Puts the run inside back to work.
    pub(super) fn retry(&mut self, outer: &Plan, host: &dyn Host) -> Result<(), RetryError> {
        let plan = self.plan(outer, host).ok_or(RetryError::OtherPlan)?;
        if self.has_failed() {
            self.run.retry(&plan, host)?;
        }
        Ok(())
    }

    /// The node that it belongs to.
    pub(crate) const fn node(&self) -> usize {
        self.node
    }

    /// The run inside.
    pub(crate) const fn run(&self) -> &Run {
        &self.run
    }

    /// How many records of it the run around it has already.
    pub(crate) const fn handed_over(&self) -> usize {
        self.handed_over
    }

    /// Whether it is of a flow that was called.
    pub(crate) const fn calls_a_flow(&self) -> bool {
        matches!(self.work, Work::Flow { .. })
    }

    /// The names of the flows that were called on the way to what it waits for, the first one first.
    pub(super) fn called_flows(&self) -> Vec<String> {
        let own = match &self.work {
            Work::Flow { name, .. } if !name.is_empty() => Some(name.clone()),
            _ => None,
        };
        let further = self.run.waiting().map(|stop| stop.called_flows.clone());
        own.into_iter().chain(further.unwrap_or_default()).collect()
    }

    /// The item that it is for and the Iteration, in one.
    pub(crate) fn item(&self) -> Option<(usize, &str)> {
        let item = self.run.item.as_deref().filter(|_| !self.calls_a_flow())?;
        Some((item.index, &item.parent))
    }

    /// The plan of the run inside.
    pub(crate) fn plan(&self, outer: &Plan, host: &dyn Host) -> Option<Plan> {
        match &self.work {
            Work::Items { .. } => outer.body(self.node),
            Work::Flow { document, .. } => self.plan.clone().or_else(|| host.plan(document)),
        }
    }

    pub(super) fn acts_next(&self, outer: &Plan, host: &dyn Host) -> bool {
        self.plan(outer, host)
            .is_some_and(|plan| self.run.acts_next(&plan, host))
    }

    pub(super) fn what_follows(&self, outer: &Plan, host: &dyn Host, approve: bool) -> Vec<String> {
        self.plan(outer, host)
            .map(|plan| self.run.what_follows(&plan, host, approve))
            .unwrap_or_default()
    }

    pub(super) fn answer(
        &mut self,
        outer: &Plan,
        host: &dyn Host,
        answer: Answer,
    ) -> Result<(), AnswerError> {
        let plan = self.plan(outer, host).ok_or(AnswerError::OtherPlan)?;
        let mut past = (*self.run.past).clone();
        for (role, content) in [
            (Role::User, self.run.user_message()),
            (Role::Assistant, self.run.assistant_message()),
        ] {
            past.push(PastMessage { content, role });
        }
        let answer = Answer {
            start_node_id: None,
            ..answer
        };
        self.run.answer(&plan, host, answer, past)
    }
}

/// A run of an Iteration's nodes for one item.
fn item_run(
    parent: &Run,
    plan: &Plan,
    body: &Plan,
    node: usize,
    key: &str,
    items: &[Value],
    at: usize,
) -> Run {
    let names = Names {
        execution_id: format!("{key}:{at}"),
        ..(*parent.names).clone()
    };
    let mut run = Run::at_start(
        body,
        Arc::new(names),
        parent.trigger.clone(),
        parent.past.clone(),
        parent.state.clone(),
    );
    run.item = Some(Arc::new(Item {
        index: at,
        value: items.get(at).cloned().unwrap_or_default(),
        is_first: at == 0,
        is_last: at + 1 == items.len(),
        session_id: parent.names.session_id.clone(),
        parent: plan.node(node).facts.id.clone(),
    }));
    run
}

impl Run {
    /// Takes the run inside one step further, and comes back to this one when it ends.
    pub(super) async fn step_child(&mut self, plan: &Plan, host: &dyn Host) -> Advance {
        let Some(mut child) = self.child.take() else {
            return Advance::Finished;
        };
        let Some(inside) = child.plan(plan, host) else {
            let times = Times {
                began: child.began,
                ended: host.now(),
            };
            let message = "The document of the flow that was called is not there any more".to_owned();
            let mut undone = Undone::new(child.node);
            undone.child = Some(child);
            return self.step_failed(plan, host, message, times, vec![undone]);
        };
        if child.run.was_just_answered() {
            self.tell_began(host, &plan.node(child.node).facts);
        }
        // A called flow sees nothing of its caller; the nodes of an Iteration see the steps around it.
        let outer = matches!(child.work, Work::Items { .. }).then_some(&*self);
        let advance = Box::pin(child.run.step(&inside, host, outer)).await;
        if child.plan.is_none() && matches!(child.work, Work::Flow { .. }) {
            child.plan = Some(inside.clone());
        }
        match advance {
            Advance::Ran { .. } => {
                let node_id = plan.node(child.node).facts.id.clone();
                self.child = Some(child);
                Advance::Ran { node_id }
            }
            Advance::Stopped(stop) => {
                let facts = plan.node(child.node).facts.clone();
                let label = format!("{} › {}", facts.label, stop.node_label);
                let id = stop
                    .action
                    .get("id")
                    .and_then(Value::as_str)
                    .and_then(|id| id.parse().ok())
                    .unwrap_or_default();
                let times = Times {
                    began: child.began,
                    ended: host.now(),
                };
                let input = child.input.clone();
                let action = nodes::action(id, &facts, &label, &input);
                let phase = Phase::Stopped {
                    node: child.node,
                    description: stop.description,
                    feedback_enabled: stop.feedback_enabled,
                    label: Some(label),
                    call: stop.call,
                    carried: None,
                };
                self.child = Some(child);
                let more = serde_json::Map::new();
                self.stop_with(host, phase, facts, input, stop.text, more, action, None, times)
            }
            Advance::Finished => self.child_ended(plan, host, *child, None),
            Advance::Failed(failure) => self.child_ended(plan, host, *child, Some(failure.message)),
        }
    }

    fn child_ended(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        mut child: Child,
        error: Option<String>,
    ) -> Advance {
        let times = Times {
            began: child.began,
            ended: host.now(),
        };
        let text = child.run.final_text();
        if let Some(message) = &error
            && let Work::Items { at, .. } = child.work
            && plan.policy(child.node).stop_on_item_error
        {
            let message = format!("Item {}: {message}", at + 1);
            self.state = child.run.state.clone();
            let fresh = child.run.records.iter().skip(child.handed_over).cloned();
            self.records.extend(fresh);
            child.handed_over = child.run.records.len();
            let mut undone = Undone::new(child.node);
            undone.child = Some(Box::new(child));
            return self.step_failed(plan, host, message, times, vec![undone]);
        }
        match child.work {
            Work::Flow {
                document, question, ..
            } => {
                let input = Body::json(child.input);
                let returned = Returned::Flow {
                    question,
                    result: error.map_or(Ok(text), Err),
                };
                let called = Called {
                    document: Some(document),
                    records: child.run.records.into_list(),
                };
                self.take_returned(plan, host, child.node, input, returned, times, Some(called))
            }
            Work::Items {
                items,
                at,
                mut results,
                key,
            } => {
                self.state = child.run.state.clone();
                let fresh = child.run.records.into_list().into_iter().skip(child.handed_over);
                self.records.extend(fresh);
                match error {
                    Some(message) => results.push(format!("Error in iteration {}: {message}", at + 1)),
                    None if text.is_empty() => {}
                    None => results.push(text),
                }
                let next = at + 1;
                let body = plan.body(child.node).filter(|_| next < items.len());
                let Some(body) = body else {
                    let input = Body::json(child.input);
                    let returned = Returned::Items(results);
                    return self.take_returned(plan, host, child.node, input, returned, times, None);
                };
                let run = item_run(self, plan, &body, child.node, &key, &items, next);
                let node_id = plan.node(child.node).facts.id.clone();
                self.child = Some(Box::new(Child {
                    node: child.node,
                    input: child.input,
                    began: child.began,
                    work: Work::Items {
                        items,
                        at: next,
                        results,
                        key,
                    },
                    run,
                    handed_over: 0,
                    plan: None,
                }));
                Advance::Ran { node_id }
            }
        }
    }
}
