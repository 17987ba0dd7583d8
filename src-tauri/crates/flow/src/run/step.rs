//! One step of a run: what is taken up next, how it is carried out and what it leaves.

use std::collections::VecDeque;
use std::sync::Arc;

use countersign_domain::{Role, Timestamp};
use futures_util::future::{Either, select};
use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value, json};

use super::child::Child;
use super::scope::{Beside, Held};
use super::{
    Advance, AnswerError, NodeFailure, Phase, Run, RunScope, STEP_LIMIT, Said, Token, UnderWay, Undone,
};
use crate::host::{Host, HostFuture, RunEvent};
use crate::nodes::{self, At, Decision, Outcome, Question, Ran, Returned, Step};
use crate::plan::Plan;
use crate::record::{Body, Called, NodeFacts, Record, RecordStatus, weight};
use crate::script::ScriptConsole;

/// How many steps are carried out side by side at most.
const SIDE_BY_SIDE: usize = 16;

/// How many bytes a run may keep: it lies in memory whole and is written at each checkpoint.
const KEPT_LIMIT: usize = 128 << 20;

/// How many steps are taken up at once at most.
const TAKEN_UP_AT_ONCE: usize = 256;

/// How one step ended, with its times.
struct Carried {
    began: Timestamp,
    ended: Timestamp,
    result: Result<Outcome, String>,
    /// What its code wrote.
    console: Vec<String>,
}

/// When a step ran.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
}

impl Run {
    /// Runs the next step, or several that do not depend on one another. `plan` must be the one that the run began
    /// with. Once the run has stopped, finished or failed, that is what every further call says.
    ///
    /// Records come in the same order as if one step had run after the other.
    pub async fn advance(&mut self, plan: &Plan, host: &dyn Host) -> Advance {
        self.step(plan, host, None).await
    }

    /// Whether the next [`Run::advance`] touches the world, so that the run has to be durable before it.
    pub fn acts_next(&self, plan: &Plan, host: &dyn Host) -> bool {
        if self.phase != Phase::Running {
            return false;
        }
        if let Some(child) = &self.child {
            return child.acts_next(plan, host);
        }
        if !self.belongs_to(plan) {
            return false;
        }
        let acts = |index: usize| plan.nodes().get(index).is_some_and(|node| node.nature.outside);
        match (&self.under_way, self.next_place(plan)) {
            (Some(under_way), _) => acts(under_way.node),
            (None, Some(place)) => acts(self.queue[place]) || self.beside(plan, place).into_iter().any(acts),
            (None, None) => false,
        }
    }

    pub(super) async fn step(&mut self, plan: &Plan, host: &dyn Host, outer: Option<&Self>) -> Advance {
        match &self.phase {
            Phase::Running => {}
            Phase::Stopped { .. } => return self.stopped(),
            Phase::Finished => return Advance::Finished,
            Phase::Failed { failure } => return Advance::Failed(failure.clone()),
        }
        if !self.belongs_to(plan) {
            return self.fail(NodeFailure {
                node_id: String::new(),
                node_label: String::new(),
                message: AnswerError::OtherPlan.to_string(),
            });
        }
        if self.child.is_some() {
            return self.step_child(plan, host).await;
        }
        if let Some(UnderWay { node, carried }) = self.under_way.take() {
            if let Some(full) = self.too_full(plan, node, Some(&carried)) {
                return self.fail(full);
            }
            return self.carry_on(plan, host, outer, node, Some(carried)).await;
        }
        let Some(place) = self.next_place(plan) else {
            self.phase = Phase::Finished;
            return Advance::Finished;
        };
        let beside = self.beside(plan, place);
        let index = self.queue.remove(place).unwrap_or_default();
        if self.steps >= STEP_LIMIT {
            return self.fail(failure(
                &plan.node(index).facts,
                "Maximum iteration limit reached".to_owned(),
            ));
        }
        if let Some(full) = self.too_full(plan, index, None) {
            return self.fail(full);
        }
        self.steps += 1;
        if beside.is_empty() {
            return self.carry_on(plan, host, outer, index, None).await;
        }
        // They are the next ones in the queue.
        self.queue.drain(..beside.len());
        self.steps += beside.len() as u32;
        let mut taken = vec![index];
        taken.extend(beside);
        self.carry_out_side_by_side(plan, host, outer, &taken).await
    }

    /// Why the step cannot be taken up, if the run keeps too much already. `carried` is what a step under way keeps.
    fn too_full(&self, plan: &Plan, index: usize, carried: Option<&Value>) -> Option<NodeFailure> {
        let kept = self.records.weight() + carried.map_or(0, weight);
        let message = format!(
            "The steps so far have left more than {} MiB, which is the most that one execution may keep",
            KEPT_LIMIT >> 20
        );
        (kept > KEPT_LIMIT).then(|| failure(&plan.node(index).facts, message))
    }

    /// Carries out one step, from its beginning or from where it was.
    async fn carry_on(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        outer: Option<&Self>,
        index: usize,
        carried: Option<Value>,
    ) -> Advance {
        let facts = plan.node(index).facts.clone();
        let decision = self.decision.take_if(|decision| decision.node == index);
        if carried.is_none() || decision.is_some() {
            self.tell_began(host, &facts);
        }
        let done = {
            let scope = RunScope::new(self, plan, host, outer, index);
            carry_out(&scope, decision.as_ref(), carried.as_ref()).await
        };
        let times = Times {
            began: done.began,
            ended: done.ended,
        };
        let advance = match done.result {
            Ok(outcome) => self.take_outcome(plan, host, index, outcome, decision.is_some(), times),
            Err(message) => {
                if decision.is_some() {
                    // As with what comes of an answer: a question that was answered does not wait any more.
                    self.records.take_question(&facts.id);
                }
                let undone = Undone {
                    carried,
                    decision,
                    ..Undone::new(index)
                };
                self.step_failed(plan, host, message, times, vec![undone])
            }
        };
        self.records.note_console(&facts.id, done.console);
        advance
    }

    async fn carry_out_side_by_side(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        outer: Option<&Self>,
        taken: &[usize],
    ) -> Advance {
        for index in taken {
            self.tell_began(host, &plan.node(*index).facts);
        }
        // The first one is heard at once, the others in their order.
        let held: Vec<Held> = taken.iter().map(|_| Held::default()).collect();
        let done: Vec<Carried> = {
            let run = &*self;
            let mut steps: Vec<HostFuture<'_, Carried>> = Vec::with_capacity(taken.len());
            let mut after_speaker = false;
            for (place, (index, held)) in taken.iter().zip(&held).enumerate() {
                let beside = Beside {
                    after_speaker,
                    held: (place > 0).then_some(held),
                };
                let scope = RunScope::new(run, plan, host, outer, *index).beside(beside);
                after_speaker |= plan.node(*index).nature.speaks;
                steps.push(Box::pin(async move { carry_out(&scope, None, None).await }));
            }
            stream::iter(steps).buffered(SIDE_BY_SIDE).collect().await
        };
        let mut failed = None;
        let mut a_speaker_failed = false;
        let mut undone = Vec::new();
        let mut last = Advance::Finished;
        for ((index, carried), held) in taken.iter().zip(done).zip(held) {
            let speaks = plan.node(*index).nature.speaks;
            // It ran as if the one before it had spoken. When that is tried again, this one comes behind it again.
            if speaks && a_speaker_failed {
                undone.push(Undone::new(*index));
                continue;
            }
            held.tell(host);
            let times = Times {
                began: carried.began,
                ended: carried.ended,
            };
            match carried.result {
                Ok(outcome) => {
                    last = self.take_outcome(plan, host, *index, outcome, false, times);
                    self.records
                        .note_console(&plan.node(*index).facts.id, carried.console);
                }
                // It ends this step only.
                Err(message) if plan.goes_on_after_failure(*index) => {
                    last = self.step_failed(plan, host, message, times, vec![Undone::new(*index)]);
                    self.records
                        .note_console(&plan.node(*index).facts.id, carried.console);
                }
                // The others have run, so their records stay; the failure comes last, as it ends the run.
                Err(message) => {
                    undone.push(Undone::new(*index));
                    a_speaker_failed |= speaks;
                    failed.get_or_insert((message, times, *index, carried.console));
                }
            }
        }
        match failed {
            Some((message, times, index, console)) => {
                let failed = self.step_failed(plan, host, message, times, undone);
                self.records.note_console(&plan.node(index).facts.id, console);
                failed
            }
            None => last,
        }
    }

    fn take_outcome(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        index: usize,
        outcome: Outcome,
        was_asked: bool,
        times: Times,
    ) -> Advance {
        let facts = &plan.node(index).facts;
        if was_asked {
            // The record of the question gives way to what comes of the answer; earlier ones of a loop stay.
            self.records.take_question(&facts.id);
        }
        match outcome {
            Outcome::Ran(ran) => return self.finish(plan, host, index, ran, times, None),
            Outcome::Asks(question) => return self.ask(plan, index, *question, host, times),
            Outcome::Again(carried) => {
                self.under_way = Some(UnderWay { node: index, carried });
            }
            Outcome::Calls {
                input,
                flow,
                id,
                question,
            } => {
                let key = RunScope::new(self, plan, host, None, index).idempotency_key();
                self.child = Some(Box::new(Child::flow(
                    self,
                    index,
                    key,
                    input,
                    *flow,
                    id,
                    question,
                    times.began,
                )));
            }
            Outcome::Iterates { input, items } => {
                let key = RunScope::new(self, plan, host, None, index).idempotency_key();
                match Child::items(self, plan, index, key, input, items, times.began) {
                    Ok(child) => self.child = Some(Box::new(child)),
                    Err(input) => {
                        let returned = Returned::Items(Vec::new());
                        return self.take_returned(plan, host, index, input, returned, times, None);
                    }
                }
            }
        }
        Advance::Ran {
            node_id: facts.id.clone(),
        }
    }

    /// Lets a node make its record of what a called flow or a list gave.
    #[allow(
        clippy::too_many_arguments,
        reason = "it is the one place where all of these meet"
    )]
    pub(super) fn take_returned(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        index: usize,
        input: Body,
        returned: Returned,
        times: Times,
        called: Option<Called>,
    ) -> Advance {
        let made = {
            let scope = RunScope::new(self, plan, host, None, index);
            plan.node(index).kind.returned(&scope, input, returned)
        };
        match made {
            Ok(ran) => self.finish(plan, host, index, ran, times, called),
            Err(message) => self.step_failed(plan, host, message, times, vec![Undone::new(index)]),
        }
    }

    /// The place in the queue of what comes next: the first node that does not have to wait for a person or for another
    /// one, else the first gate.
    fn next_place(&self, plan: &Plan) -> Option<usize> {
        let asks = |index: &usize| plan.node(*index).nature.asks;
        let ready = (0..self.queue.len()).find(|place| self.is_ready(plan, *place));
        let next = ready.or_else(|| self.queue.iter().position(asks));
        next.or_else(|| (!self.queue.is_empty()).then_some(0))
    }

    /// Whether the node at that place of the queue can run now. A gate waits for its answer. A Loop waits for what lies
    /// behind its target, so that a turn is done before the next one begins.
    fn is_ready(&self, plan: &Plan, place: usize) -> bool {
        let index = self.queue[place];
        let node = plan.node(index);
        if node.nature.asks {
            return self.decision.as_ref().map(|decision| decision.node) == Some(index);
        }
        let Some(target) = node.leads_back_to.filter(|_| self.queue.len() > 1) else {
            return true;
        };
        let behind = plan.graph().behind(target);
        let is_of_this_turn = |other: &usize| behind[*other] && plan.node(*other).leads_back_to.is_none();
        !self.queue.iter().any(is_of_this_turn)
    }

    /// Those that can run beside the node at that place of the queue, which is taken up: the next ones in the queue
    /// that change nothing but their own record and the chat, and read nothing that one before them makes.
    fn beside(&self, plan: &Plan, place: usize) -> Vec<usize> {
        let first = self.queue[place];
        let mut taken = Vec::new();
        if !plan.node(first).nature.beside {
            return taken;
        }
        let speaks = |index: usize| plan.node(index).nature.speaks;
        // The first to speak says what began the run; if it may fail and be gone on from, the next one may have to.
        let may_be_silent =
            |index: usize| speaks(index) && plan.goes_on_after_failure(index) && self.chat_is_to_be_opened();
        let mut spoken = speaks(first);
        let mut unsure = may_be_silent(first);
        let most = TAKEN_UP_AT_ONCE.min((STEP_LIMIT.saturating_sub(self.steps)) as usize);
        let others = self.queue.iter().enumerate().filter(|(at, _)| *at != place);
        for (_, next) in others {
            let node = plan.node(*next);
            let depends = |other: &usize| node.refers_to.contains(other);
            if !node.nature.beside
                || (spoken && node.reads_chat)
                || (unsure && speaks(*next))
                || taken.len() + 1 >= most
                || depends(&first)
                || taken.iter().any(depends)
                // A node that is there twice, through a Loop, runs one time after the other.
                || *next == first
                || taken.contains(next)
            {
                break;
            }
            spoken |= speaks(*next);
            unsure |= may_be_silent(*next);
            taken.push(*next);
        }
        taken
    }

    pub(super) fn fail(&mut self, failure: NodeFailure) -> Advance {
        self.phase = Phase::Failed {
            failure: failure.clone(),
        };
        Advance::Failed(failure)
    }

    /// A step failed for good: the run fails, or goes on if the operator said so. The step is the first of `undone`,
    /// which is what a retry takes up again.
    pub(super) fn step_failed(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        message: String,
        times: Times,
        undone: Vec<Undone>,
    ) -> Advance {
        let index = undone.first().map_or(0, |step| step.node);
        let facts = plan.node(index).facts.clone();
        if plan.goes_on_after_failure(index) {
            let ran = Ran::new(Body::Empty, Body::json(json!({"error": message})));
            return self.finish(plan, host, index, ran, times, None);
        }
        self.tell_ended(host, &facts, RecordStatus::Error, Some(&message));
        let mut record = Record::failed(facts.clone(), message.clone());
        record.began = Some(times.began);
        record.ended = Some(times.ended);
        record.item.clone_from(&self.item);
        self.records.push(record);
        self.undone = undone;
        self.fail(failure(&facts, message))
    }

    fn ask(
        &mut self,
        plan: &Plan,
        index: usize,
        question: Question,
        host: &dyn Host,
        times: Times,
    ) -> Advance {
        let facts = plan.node(index).facts.clone();
        let action = nodes::action(host.new_id(), &facts, &facts.label, &question.input);
        let said = Said::new(Role::Assistant, question.text.clone().into());
        self.stop_with(
            host,
            Phase::Stopped {
                node: index,
                description: question.description,
                feedback_enabled: question.feedback_enabled,
                label: None,
                call: question.call,
                carried: question.carried,
            },
            facts,
            question.input,
            question.text,
            question.output,
            action,
            Some(said),
            times,
        )
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "it is the one place where all of these meet"
    )]
    pub(super) fn stop_with(
        &mut self,
        host: &dyn Host,
        phase: Phase,
        facts: Arc<NodeFacts>,
        input: Value,
        text: String,
        more: Map<String, Value>,
        action: Value,
        said: Option<Said>,
        times: Times,
    ) -> Advance {
        if self.speaks() {
            host.event(RunEvent::Token(&text));
        }
        self.tell_ended(host, &facts, RecordStatus::Stopped, None);
        let mut output = Map::with_capacity(2 + more.len());
        output.insert("content".to_owned(), text.into());
        output.extend(more);
        output.insert("humanInputAction".to_owned(), action);
        self.records.push(Record {
            facts,
            status: RecordStatus::Stopped,
            input: Body::json(input),
            output: Body::json(Value::Object(output)),
            state: self.state.clone(),
            chat_history: said.as_ref().map(|said| Arc::new(json!([said.in_record()]))),
            error: None,
            item: self.item.clone(),
            called: None,
            console: None,
            began: Some(times.began),
            ended: Some(times.ended),
        });
        self.runtime.extend(said);
        self.phase = phase;
        self.stop = self.read_stop().map(Box::new);
        self.stopped()
    }

    fn stopped(&self) -> Advance {
        self.stop
            .as_deref()
            .map_or(Advance::Finished, |stop| Advance::Stopped(stop.clone()))
    }

    fn finish(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        index: usize,
        ran: Ran,
        times: Times,
        called: Option<Called>,
    ) -> Advance {
        let facts = plan.node(index).facts.clone();
        if let Some(state) = ran.state {
            self.state = state;
        }
        let chat_history = (!ran.said.is_empty()).then(|| {
            let history = ran.said.iter().map(Said::in_record).collect();
            Arc::new(Value::Array(history))
        });
        self.runtime.extend(ran.said);
        self.tell_ended(host, &facts, RecordStatus::Finished, None);
        let node_id = facts.id.clone();
        self.records.push(Record {
            facts,
            status: RecordStatus::Finished,
            input: ran.input,
            output: ran.output,
            state: self.state.clone(),
            chat_history,
            error: None,
            item: self.item.clone(),
            called: called.map(Arc::new),
            console: None,
            began: Some(times.began),
            ended: Some(times.ended),
        });
        if plan.node(index).leads_back_to.is_some() {
            self.last_loop = Some(index);
        }
        match ran.back_to {
            Some(target) => self.lead_back(plan, index, target),
            None => self.settle_edges(plan, index, ran.taken),
        }
        Advance::Ran { node_id }
    }

    /// Takes a Loop's turn: everything behind its target has to come again, so the edges inside wait again, and another
    /// Loop there that had its turn now has it then. What came into that part from outside stays delivered.
    fn lead_back(&mut self, plan: &Plan, from: usize, target: usize) {
        *self.turns.entry(from).or_default() += 1;
        let behind = plan.graph().behind(target);
        self.queue.retain(|queued| !behind[*queued]);
        for edge in plan.graph().edges_behind(target) {
            self.tokens[edge] = Token::Waiting;
        }
        self.queue.push_back(target);
    }

    fn settle_edges(&mut self, plan: &Plan, index: usize, taken: Option<usize>) {
        let graph = plan.graph();
        let is_gate = plan.node(index).nature.asks;
        // Edges whose source turned out dead. They are settled after those of the node that ran.
        let mut dead = VecDeque::new();
        for id in &graph.outgoing[index] {
            let edge = graph.edges[*id];
            let delivered = match (edge.output, taken) {
                (Some(output), Some(taken)) => output == taken,
                _ => true,
            };
            self.tokens[*id] = match (delivered, is_gate) {
                (true, _) => Token::Delivered,
                (false, true) => Token::NotTaken,
                (false, false) => Token::Dead,
            };
            self.settle_node(plan, edge.target, &mut dead);
        }
        while let Some(id) = dead.pop_front() {
            self.tokens[id] = Token::Dead;
            self.settle_node(plan, graph.edges[id].target, &mut dead);
        }
    }

    fn settle_node(&mut self, plan: &Plan, index: usize, dead: &mut VecDeque<usize>) {
        let graph = plan.graph();
        let mut delivered = false;
        let mut not_taken = false;
        for id in &graph.incoming[index] {
            match self.tokens[*id] {
                Token::Waiting => return,
                Token::Delivered => delivered = true,
                Token::NotTaken => not_taken = true,
                Token::Dead => {}
            }
        }
        if delivered && !(not_taken && self.is_turned_away(plan, index)) {
            self.queue.push_back(index);
        } else {
            dead.extend(&graph.outgoing[index]);
        }
    }

    /// Whether a person's answer turned the run away from a node.
    fn is_turned_away(&self, plan: &Plan, index: usize) -> bool {
        let is = |wanted: Token| move |id: usize| self.tokens[id] == wanted;
        plan.graph()
            .turns_away(index, is(Token::NotTaken), is(Token::Delivered))
    }

    /// Whether what happens in it is part of what a caller sees.
    fn speaks(&self) -> bool {
        self.names.callers.is_empty()
    }

    pub(super) fn tell_began(&self, host: &dyn Host, facts: &NodeFacts) {
        if self.speaks() {
            host.event(RunEvent::StepBegan {
                node_id: &facts.id,
                node_label: &facts.label,
            });
        }
    }

    fn tell_ended(&self, host: &dyn Host, facts: &NodeFacts, status: RecordStatus, error: Option<&str>) {
        if self.speaks() {
            host.event(RunEvent::StepEnded {
                node_id: &facts.id,
                node_label: &facts.label,
                status,
                error,
            });
        }
    }
}

pub(super) fn failure(facts: &NodeFacts, message: String) -> NodeFailure {
    NodeFailure {
        node_id: facts.id.clone(),
        node_label: facts.label.clone(),
        message,
    }
}

/// Carries out a step with the operator's time limit and retries.
async fn carry_out(scope: &RunScope<'_>, decision: Option<&Decision>, carried: Option<&Value>) -> Carried {
    let began = scope.host.now();
    let console = ScriptConsole::default();
    let result = attempts(scope, decision, carried, &console).await;
    Carried {
        began,
        ended: scope.host.now(),
        result,
        console: console.take(),
    }
}

async fn attempts(
    scope: &RunScope<'_>,
    decision: Option<&Decision>,
    carried: Option<&Value>,
    console: &ScriptConsole,
) -> Result<Outcome, String> {
    if let Some(refused) = scope.unresolved().or_else(|| scope.too_large()) {
        return Err(refused);
    }
    let policy = scope.policy();
    let mut left = policy.retries;
    loop {
        let at = At {
            scope: *scope,
            decision,
            carried,
            console,
        };
        let result = match scope.node().kind.run(at) {
            Step::Done(result) => result,
            Step::Waits(work) => match policy.timeout() {
                None => work.await,
                Some(limit) => match select(work, scope.host.sleep(limit)).await {
                    Either::Left((result, _)) => result,
                    Either::Right(_) => Err(format!(
                        "The step took longer than its limit of {} s",
                        limit.as_secs()
                    )),
                },
            },
        };
        match result {
            Err(_) if left > 0 => {
                left -= 1;
                scope.host.sleep(policy.retry_delay()).await;
            }
            result => return result,
        }
    }
}
