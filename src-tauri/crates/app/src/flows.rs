//! Flows: import, replace, delete, their secrets, and the plans that are ready to run.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use countersign_domain::{DocumentHash, ErrorCode, Flow, FlowId, ResponseMode, display_line};
use countersign_flow::{
    FindingKind, Imported, Need, Plan, Refusal, ResponseMode as StartMode, SignatureKind, StartTrigger,
    StepInfo, read_import, variable_of,
};
use countersign_signature::Secret;
use countersign_store::{Changes, Store, StoreError};

use crate::app::{Inner, storage};
use crate::clear_text::{count_secrets, successor, successor_key};
use crate::connections::WHERE;
use crate::policies::{policy_key, stored_policy};
use crate::schedules::schedule_key;
use crate::settings::is_unambiguous;
use crate::view::{EventView, FlowStepView, FlowSummary, FlowView, FormView};
use crate::{App, Error};

/// How many lines are told about what a flow needs, and how long one gets.
const NEEDS: usize = 200;
const LINE: usize = 400;

/// How often a document can have given way to another one.
const SUCCESSORS: usize = 1000;

/// A flow that is ready to run.
pub(crate) struct LiveFlow {
    pub(crate) flow: Flow,
    pub(crate) plan: Plan,
}

/// The flows in memory, so that a webhook call reads no file, and the plans of documents that older runs
/// still use.
pub(crate) struct Flows {
    live: RwLock<HashMap<FlowId, Arc<LiveFlow>>>,
    plans: RwLock<HashMap<DocumentHash, Plan>>,
}

/// The document of a flow or run is missing or does not run any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the storage failed")]
    Store(#[from] StoreError),
    #[error("the document {} is missing", .0.as_str())]
    Missing(DocumentHash),
    #[error("the document cannot run")]
    Refused(#[from] Refusal),
}

impl Flows {
    pub(crate) fn load(store: &Store) -> Result<Self, DocumentError> {
        let flows = Self {
            live: RwLock::default(),
            plans: RwLock::default(),
        };
        for flow in store.flows()? {
            match flows.plan(store, &flow.document) {
                Ok(plan) => {
                    let policy = stored_policy(store, flow.id)?;
                    flows.put(flow, plan.with_policy(policy));
                }
                // One flow that does not run must not keep the others from running; it stays in the store.
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::error!(flow = %flow.id, name = flow.name, error, "a flow cannot run");
                }
            }
        }
        Ok(flows)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    pub(crate) fn get(&self, id: FlowId) -> Option<Arc<LiveFlow>> {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<LiveFlow>> {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn put(&self, flow: Flow, plan: Plan) {
        let live = Arc::new(LiveFlow { flow, plan });
        self.live
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(live.flow.id, live);
    }

    fn remove(&self, id: FlowId) {
        self.live
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    /// The text of a document, or of the one that has taken its place.
    fn document(&self, store: &Store, hash: &DocumentHash) -> Result<String, DocumentError> {
        let mut at = hash.clone();
        for _ in 0..SUCCESSORS {
            if let Some(text) = store.document(&at)? {
                return Ok(text);
            }
            match successor(store, &at)? {
                Some(next) => at = next,
                None => break,
            }
        }
        Err(DocumentError::Missing(hash.clone()))
    }

    /// Lets a plan stand for a document.
    pub(crate) fn keep_plan(&self, document: &DocumentHash, plan: &Plan) {
        self.plans
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(document.clone(), plan.clone());
    }

    /// The plan of a document, from memory or from the store.
    pub(crate) fn plan(&self, store: &Store, hash: &DocumentHash) -> Result<Plan, DocumentError> {
        if let Some(plan) = self
            .plans
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(hash)
        {
            return Ok(plan.clone());
        }
        let plan = Plan::parse(&self.document(store, hash)?)?;
        self.plans
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hash.clone(), plan.clone());
        Ok(plan)
    }
}

impl App {
    /// All flows with their documents, newest first.
    ///
    /// # Errors
    /// The storage failed.
    pub fn flows(&self) -> Result<Vec<FlowView>, Error> {
        let stored = self.inner.store.flows().map_err(storage)?;
        stored.iter().map(|flow| self.view_of(flow)).collect()
    }

    /// The same without the documents, none of which is read for it. So what is wrong with a document that was damaged
    /// since the start is said where it is shown.
    ///
    /// # Errors
    /// The storage failed.
    pub fn flow_summaries(&self) -> Result<Vec<FlowSummary>, Error> {
        let stored = self.inner.store.flows().map_err(storage)?;
        stored.iter().map(|flow| self.summary_of(flow)).collect()
    }

    /// One flow.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for an id that is none, [`ErrorCode::NotFound`] for an unknown one.
    pub fn flow(&self, id: &str) -> Result<FlowView, Error> {
        let flow = self.stored_flow(id)?;
        self.view_of(&flow)
    }

    /// Imports a flow: the plain file that Flowise exports, the API form `{"name", "flowData"}`, or one
    /// flow of a bulk export. The text is kept unchanged. `name` wins over a name inside.
    ///
    /// # Errors
    /// [`ErrorCode::FlowRefused`] with everything that keeps the flow from running here.
    pub async fn import_flow(&self, text: &str, name: Option<&str>) -> Result<FlowView, Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let (imported, plan) = read(text)?;
        let now = self.inner.clock.now();
        let name = chosen_name(name, imported.name.as_deref()).unwrap_or_else(|| "Untitled flow".to_owned());
        let flow = Flow {
            id: FlowId::from_uuid(self.inner.ids.random()),
            name,
            document: DocumentHash::of(&imported.flow_data),
            created_at: now,
            updated_at: now,
        };
        self.store_flow(flow, &imported.flow_data, plan).await
    }

    /// Replaces a flow's document, its name, or both. Runs that are under way keep what they began with.
    ///
    /// # Errors
    /// As for [`App::import_flow`], and [`ErrorCode::NotFound`].
    pub async fn replace_flow(
        &self,
        id: &str,
        text: Option<&str>,
        name: Option<&str>,
    ) -> Result<FlowView, Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let mut flow = self.stored_flow(id)?;
        let document = match text {
            Some(text) => {
                let (imported, plan) = read(text)?;
                if let Some(name) = chosen_name(name, imported.name.as_deref()) {
                    flow.name = name;
                }
                flow.document = DocumentHash::of(&imported.flow_data);
                Some((imported.flow_data, plan))
            }
            None => {
                if let Some(name) = chosen_name(name, None) {
                    flow.name = name;
                }
                None
            }
        };
        flow.updated_at = self.inner.clock.now();
        let (text, plan) = match document {
            Some(document) => document,
            None => {
                let text = self.document_of(&flow)?;
                let plan = self.inner.plan(&flow.document)?;
                (text, plan)
            }
        };
        self.store_flow(flow, &text, plan).await
    }

    async fn store_flow(&self, flow: Flow, text: &str, plan: Plan) -> Result<FlowView, Error> {
        let mut changes = Changes::new();
        changes.put_document(text);
        changes.put_flow(&flow);
        // It may be one that another has taken the place of; now it is back, and is what it says.
        changes.delete_setting(&successor_key(&flow.document));
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.inner.flows.keep_plan(&flow.document, &plan);
        let policy = stored_policy(&self.inner.store, flow.id).map_err(storage)?;
        self.inner.flows.put(flow.clone(), plan.with_policy(policy));
        self.inner.events.tell(EventView::Flows);
        self.view_of(&flow)
    }

    /// Deletes a flow. Its approvals that wait can still be answered: they keep their document.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown flow.
    pub async fn delete_flow(&self, id: &str) -> Result<(), Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let flow = flow_id(id)?;
        match self.inner.store.flow(flow) {
            // What is damaged can be deleted too.
            Ok(Some(_)) | Err(StoreError::Damaged { .. }) => {}
            Ok(None) => return Err(no_such_flow(id)),
            Err(error) => return Err(storage(error)),
        }
        let mut changes = Changes::new();
        changes.delete_flow(flow);
        changes.delete_setting(&policy_key(flow));
        changes.delete_setting(&schedule_key(flow));
        // Who answers a waiting approval by webhook still has to sign.
        if self.inner.store.pending_count_of_flow(flow) == 0 {
            changes.delete_setting(&webhook_secret_key(flow));
        }
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.inner.flows.remove(flow);
        self.inner.events.tell(EventView::Flows);
        Ok(())
    }

    /// Creates a new secret with which senders sign, and returns it this once: 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown flow.
    pub async fn create_webhook_secret(&self, id: &str) -> Result<String, Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let flow = self.stored_flow(id)?;
        let mut bytes = [0_u8; 32];
        self.inner.ids.fill(&mut bytes);
        let secret = hex::encode(bytes);
        let key = webhook_secret_key(flow.id);
        let mut changes = Changes::new();
        changes.put_setting(&key, &self.inner.seal(&key, &secret)?.into());
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.inner.events.tell(EventView::Flows);
        Ok(secret)
    }

    /// Removes that secret.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown flow.
    pub async fn delete_webhook_secret(&self, id: &str) -> Result<(), Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let flow = self.stored_flow(id)?;
        let mut changes = Changes::new();
        changes.delete_setting(&webhook_secret_key(flow.id));
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.inner.events.tell(EventView::Flows);
        Ok(())
    }

    pub(crate) fn stored_flow(&self, id: &str) -> Result<Flow, Error> {
        let stored = self.inner.store.flow(flow_id(id)?).map_err(storage)?;
        stored.ok_or_else(|| no_such_flow(id))
    }

    /// The flow of this id, ready to run.
    pub(crate) fn live_flow(&self, id: &str) -> Result<Arc<LiveFlow>, Error> {
        self.inner
            .flows
            .get(flow_id(id)?)
            .ok_or_else(|| self.inner.not_live(id))
    }

    pub(crate) fn document_of(&self, flow: &Flow) -> Result<String, Error> {
        self.inner
            .flows
            .document(&self.inner.store, &flow.document)
            .map_err(no_document)
    }

    /// What will not work although the flow could be imported.
    fn problems_of(&self, id: FlowId, plan: &Plan, has_webhook_secret: bool) -> Vec<String> {
        let start = plan.start();
        let mut problems = Vec::new();
        if start.signature.is_some() && start.trigger == StartTrigger::WebhookTrigger && !has_webhook_secret {
            problems.push(
                "Every call is refused until it has a secret for its signatures. Create one here.".to_owned(),
            );
        }
        if start.trigger == StartTrigger::Unknown {
            problems.push("Its Start does not say what begins a run, so nothing can start it.".to_owned());
        }
        if let Some(Err(problem)) = &start.schedule {
            problems.push(format!(
                "It never runs by itself: {}",
                display_line(problem, LINE)
            ));
        }
        if let Some(url) = start.callback_url.as_deref().filter(|url| !url.trim().is_empty())
            && let Some(problem) = self.inner.callback_url_problem(url)
        {
            let then = if start.response_mode == StartMode::Async {
                "Its callbacks cannot be delivered."
            } else {
                "The default of the settings is used instead."
            };
            let why = match problem.strip_prefix("Invalid callbackUrl: ") {
                Some(rest) => format!("it {rest}"),
                None => problem,
            };
            let why = why.trim_end_matches('.');
            problems.push(format!("Its callback URL cannot be used: {why}. {then}"));
        }
        let callback_secret = match start.callback_secret.as_deref() {
            Some(text) => match variable_of(text) {
                Some(name) => self.inner.variable(name),
                None => Some(text.to_owned()),
            },
            None => None,
        };
        if callback_secret.is_some_and(|secret| !is_unambiguous(&secret)) {
            problems.push(
                "What follows whsec_ in its callback secret is not base64, so receivers would take another key from it \
                 than Countersign. Correct it in the Start node, or set the secret in the settings instead."
                    .to_owned(),
            );
        }
        let needs = plan.needs();
        let missing = needs
            .iter()
            .filter_map(|(label, need)| self.inner.missing(label, *need));
        problems.extend(missing.take(NEEDS).map(|line| display_line(&line, LINE)));
        for (label, need) in &needs {
            if matches!(need, Need::Flow(called) if FlowId::from_url(called).is_ok_and(|called| called == id))
            {
                let line =
                    format!("“{label}” calls this flow itself, so it fails whenever a run comes to it.");
                problems.push(display_line(&line, LINE));
            }
        }
        for finding in plan.findings() {
            if is_problem(finding.kind) {
                problems.push(finding.message.clone());
            }
        }
        problems
    }

    /// A flow whose document cannot be read is shown all the same, with what is wrong: it can be replaced and deleted,
    /// and hides no other.
    fn view_of(&self, flow: &Flow) -> Result<FlowView, Error> {
        let text = readable(self.inner.flows.document(&self.inner.store, &flow.document))?;
        let mut summary = self.summary_of(flow)?;
        let flow_data = text.unwrap_or_else(|problem| {
            // Where it goes on with what is in memory, nothing else has said it yet.
            if !summary.problems.contains(&problem) {
                summary.problems.insert(0, problem);
            }
            String::new()
        });
        Ok(FlowView { summary, flow_data })
    }

    fn summary_of(&self, flow: &Flow) -> Result<FlowSummary, Error> {
        match readable(self.inner.flows.plan(&self.inner.store, &flow.document))? {
            Ok(plan) => self.summary_of_plan(flow, &plan),
            Err(problem) => self.summary_without_plan(flow, problem),
        }
    }

    fn summary_without_plan(&self, flow: &Flow, problem: String) -> Result<FlowSummary, Error> {
        Ok(FlowSummary {
            id: flow.id.to_string(),
            name: flow.name.clone(),
            kind: "AGENTFLOW".to_owned(),
            webhook_url: self.webhook_url(flow.id),
            method: None,
            response_mode: ResponseMode::Sync,
            signature: None,
            has_webhook_secret: self.has_webhook_secret(flow.id)?,
            callback_url: None,
            steps: Vec::new(),
            nodes: Vec::new(),
            starts_by: StartTrigger::Unknown.into(),
            form: None,
            schedule: None,
            problems: vec![problem],
            notes: Vec::new(),
            clear_text_secrets: 0,
            pending: self.pending_of(flow.id),
            created_date: flow.created_at.to_string(),
            updated_date: flow.updated_at.to_string(),
        })
    }

    fn webhook_url(&self, id: FlowId) -> String {
        let base = match self.inner.bound_address() {
            Some(address) => address.to_string(),
            None => self.listen_address().to_string(),
        };
        format!("http://{base}/api/v1/webhook/{id}")
    }

    fn has_webhook_secret(&self, id: FlowId) -> Result<bool, Error> {
        let kept = self
            .inner
            .store
            .setting(&webhook_secret_key(id))
            .map_err(storage)?;
        Ok(kept.is_some())
    }

    fn pending_of(&self, id: FlowId) -> u32 {
        u32::try_from(self.inner.store.pending_count_of_flow(id)).unwrap_or(u32::MAX)
    }

    fn summary_of_plan(&self, flow: &Flow, plan: &Plan) -> Result<FlowSummary, Error> {
        let start = plan.start();
        let steps = plan.steps();
        let has_webhook_secret = self.has_webhook_secret(flow.id)?;
        Ok(FlowSummary {
            id: flow.id.to_string(),
            name: flow.name.clone(),
            kind: "AGENTFLOW".to_owned(),
            webhook_url: self.webhook_url(flow.id),
            method: start.method.clone(),
            response_mode: response_mode(plan),
            signature: start.signature.as_ref().map(|signature| {
                match signature.kind {
                    SignatureKind::HmacSha256 => "hmac-sha256",
                    SignatureKind::PlainToken => "plain-token",
                }
                .to_owned()
            }),
            has_webhook_secret,
            callback_url: self.inner.operator_callback_url(plan),
            steps: steps
                .iter()
                .map(|step| format!("{}: {}", step.kind, step.label))
                .collect(),
            nodes: steps
                .into_iter()
                .map(|StepInfo { id, label, kind, .. }| FlowStepView { id, label, kind })
                .collect(),
            starts_by: start.trigger.into(),
            form: (start.trigger == StartTrigger::FormInput).then(|| FormView::read(&start.form)),
            schedule: self
                .inner
                .schedule_view(flow.id, flow.updated_at, start.schedule.as_ref())?,
            problems: self.problems_of(flow.id, plan, has_webhook_secret),
            notes: notes_of(plan),
            clear_text_secrets: u32::try_from(count_secrets(plan)).unwrap_or(u32::MAX),
            pending: self.pending_of(flow.id),
            created_date: flow.created_at.to_string(),
            updated_date: flow.updated_at.to_string(),
        })
    }
}

impl Inner {
    /// The plan of a document, as an error for people if there is none.
    pub(crate) fn plan(&self, hash: &DocumentHash) -> Result<Plan, Error> {
        self.flows.plan(&self.store, hash).map_err(no_document)
    }

    /// What is said of a flow that is not ready to run.
    pub(crate) fn not_live(&self, id: &str) -> Error {
        let stored = FlowId::from_url(id).map(|id| self.store.flow(id));
        match stored {
            Ok(Ok(Some(flow))) => match self.plan(&flow.document) {
                Err(error) => error,
                Ok(_) => no_such_flow(id),
            },
            Ok(Err(error)) => storage(error),
            Ok(Ok(None)) | Err(_) => no_such_flow(id),
        }
    }

    /// What a step needs and does not have here, and what to do about it, for people.
    fn missing(&self, label: &str, need: Need<'_>) -> Option<String> {
        let flow_is_here = |id: &str| FlowId::from_url(id).is_ok_and(|id| self.flows.get(id).is_some());
        Some(match need {
            Need::Flow(id) if !flow_is_here(id) => format!(
                "“{label}” calls the flow {id}, which is not here. Import that flow, choose it in the step by its id \
                 here, and import this one again."
            ),
            Need::Credential(id) if !self.has_credential(id) => format!(
                "“{label}” uses the credential {id}, and no export contains credentials. Set one {WHERE} and list {id} \
                 among what it serves. Until then the step fails."
            ),
            Need::Variable(name) if !self.has_variable(name) => format!(
                "“{label}” reads the variable {name}, which is not set. Set it in the settings; until then the text \
                 stays as it is written."
            ),
            Need::Model(component) if self.model_connection(component).is_none() => format!(
                "“{label}” asks the language model {component}, and no connection serves it. Set one {WHERE} and list \
                 {component} among what it serves; until then the step fails."
            ),
            Need::Store(store) if self.store_folder(store).is_none() => format!(
                "“{label}” looks into the document store {store}, and no folder stands for it. Map one {WHERE}; until \
                 then the step fails."
            ),
            Need::Missing(why) => format!("“{label}” will fail. {why}."),
            _ => return None,
        })
    }

    /// The secret with which senders of this flow sign.
    pub(crate) fn webhook_secret(&self, id: FlowId) -> Result<Option<Secret>, Error> {
        let key = webhook_secret_key(id);
        self.sealed_setting(&key)
    }

    /// A secret, sealed for this key.
    pub(crate) fn seal(&self, key: &str, secret: &str) -> Result<String, Error> {
        self.vault.seal(key, secret).map_err(|error| {
            Error::new(
                ErrorCode::Internal,
                error.advice("The secret cannot be kept. Nothing was changed."),
            )
            .caused_by(error)
        })
    }

    /// A secret from the settings.
    pub(crate) fn sealed_setting(&self, key: &str) -> Result<Option<Secret>, Error> {
        let Some(sealed) = self.store.setting(key).map_err(storage)? else {
            return Ok(None);
        };
        let text = sealed.as_str().unwrap_or_default();
        self.vault.open_sealed(key, text).map(Some).map_err(|error| {
            Error::new(
                ErrorCode::Internal,
                error.advice("A stored secret cannot be read. Set it again in the settings."),
            )
            .caused_by(error)
        })
    }
}

/// The id of a flow as a caller wrote it; the refusal is in Flowise's words.
pub(crate) fn flow_id(text: &str) -> Result<FlowId, Error> {
    FlowId::from_url(text).map_err(|_| Error::new(ErrorCode::Invalid, "Invalid Chatflow ID"))
}

/// A document is missing, damaged or does not run any more, for people.
fn no_document(error: DocumentError) -> Error {
    match error {
        DocumentError::Store(error) if !matches!(error, StoreError::Damaged { .. }) => storage(error),
        other => Error::new(
            ErrorCode::Internal,
            "The document of this flow cannot be read any more. Import the flow again; approvals that wait are kept.",
        )
        .caused_by(other),
    }
}

/// What was read, or what is wrong with it, for people. An error only if nothing can be read at all.
fn readable<T>(found: Result<T, DocumentError>) -> Result<Result<T, String>, Error> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(DocumentError::Store(error)) if !matches!(error, StoreError::Damaged { .. } | StoreError::Read(_)) => {
            Err(storage(error))
        }
        Err(DocumentError::Refused(refusal)) => Ok(Err(format!(
            "This version cannot run its document: {refusal} Replace it or delete it."
        ))),
        Err(_) => Ok(Err(
            "Its document cannot be read any more, because the data folder is damaged. Replace it with its file, or delete \
             it."
                .to_owned(),
        )),
    }
}

/// There is nothing under this id, in Flowise's words.
pub(crate) fn no_such_flow(id: &str) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("Chatflow {id} not found in the database!"),
    )
}

/// What is good to know about a flow that works.
/// What will not work; everything else that is found is good to know.
const fn is_problem(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::UnknownStep | FindingKind::AlwaysFails)
}

fn notes_of(plan: &Plan) -> Vec<String> {
    plan.findings()
        .iter()
        .filter(|finding| !is_problem(finding.kind))
        .map(|finding| finding.message.clone())
        .collect()
}

/// How a caller of this flow gets the result.
pub(crate) fn response_mode(plan: &Plan) -> ResponseMode {
    match plan.start().response_mode {
        StartMode::Async => ResponseMode::Async,
        // A stream has its caller on the line, so nothing goes on for it after a restart.
        StartMode::Sync | StartMode::Stream => ResponseMode::Sync,
    }
}

fn webhook_secret_key(id: FlowId) -> String {
    format!("webhook-secret/{id}")
}

fn chosen_name(given: Option<&str>, inside: Option<&str>) -> Option<String> {
    given
        .into_iter()
        .chain(inside)
        .map(|name| countersign_domain::display_line(name, 200))
        .find(|name| !name.is_empty())
}

fn read(text: &str) -> Result<(Imported, Plan), Error> {
    let refused = |refusal: Refusal| Error::new(ErrorCode::FlowRefused, refusal.to_string());
    let imported = read_import(text).map_err(refused)?;
    let plan = Plan::parse(&imported.flow_data).map_err(refused)?;
    Ok((imported, plan))
}
