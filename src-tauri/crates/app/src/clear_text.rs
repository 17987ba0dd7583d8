//! Secrets that stand in a flow's document in clear text: on request they become secret variables, and the document
//! reads those.
//!
//! The document is another one then, with another hash, and the old one is removed. Runs that name the old one go on with
//! the new one, which does the same: all that is different is where its secrets come from. A note in the store leads from
//! one to the other.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::{DocumentHash, ExecutionState, Flow, FlowId, display_line};
use countersign_flow::{ClearText, FindingKind, Need, Plan, clear_text_secrets, with_references};
use countersign_store::{Changes, Store, StoreError};

use crate::app::{Inner, storage};
use crate::policies::stored_policy;
use crate::register::NAME_LIMIT;
use crate::view::{EventView, MovedSecretView, MovedSecretsView};
use crate::{App, Error};

/// How much of a variable's name is made of the names of the flow, the step and the place, each, in characters.
const NAME_PART: usize = 28;

/// How long a line gets that other people's texts are part of.
const LINE: usize = 400;

/// How many waiting runs are looked at for secrets of earlier documents.
const RUNS: usize = 1000;

/// Under which name the document that has taken the place of another lies in the store.
pub(crate) fn successor_key(document: &DocumentHash) -> String {
    format!("document-successor/{}", document.as_str())
}

/// The document that has taken the place of this one.
pub(crate) fn successor(store: &Store, document: &DocumentHash) -> Result<Option<DocumentHash>, StoreError> {
    let noted = store.setting(&successor_key(document))?;
    Ok(noted.and_then(|hash| serde_json::from_value(hash).ok()))
}

impl App {
    /// Moves the secrets that stand in a flow's document in clear text into the vault: each becomes a secret variable,
    /// and the document reads that in its place. The rest of the document stays byte for byte. Also for flows that
    /// were imported from the same file. If nothing stands there, nothing changes.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](countersign_domain::ErrorCode::NotFound) for an unknown flow;
    /// [`ErrorCode::Invalid`](countersign_domain::ErrorCode::Invalid) if a secret cannot be a variable; an error of
    /// the vault or of the storage. Then nothing was changed.
    pub async fn move_flow_secrets(&self, id: &str) -> Result<MovedSecretsView, Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let flow = self.stored_flow(id)?;
        let text = self.document_of(&flow)?;
        let mut found = clear_text_secrets(&text);
        found.retain(|secret| secret.by_hand.is_none());
        let named = self.inner.name_secrets(&flow.name, found)?;
        let (named, text, plan) = reading(&text, named)?;
        let sharing = if named.is_empty() {
            Vec::new()
        } else {
            self.keep_secrets(&flow, &named, &text, plan).await?
        };
        let left = self.what_is_left(flow.id, &text, &sharing)?;
        Ok(MovedSecretsView {
            moved: named
                .into_iter()
                .map(|(secret, variable)| MovedSecretView {
                    step: secret.step,
                    place: secret.place,
                    variable,
                })
                .collect(),
            left,
        })
    }

    /// Keeps the secrets, the document that reads them and the way to it in one commit, in which the old document goes.
    /// Answers the names of other flows that had the same document.
    async fn keep_secrets(
        &self,
        flow: &Flow,
        named: &[(ClearText, String)],
        text: &str,
        plan: Plan,
    ) -> Result<Vec<String>, Error> {
        let inner = &self.inner;
        let mut variables = BTreeMap::new();
        for (secret, name) in named {
            if !inner.has_variable(name) {
                variables.insert(name.clone(), inner.secret_variable(name, &secret.value)?);
            }
        }
        inner.variables.check_room_for(variables.len())?;
        let old = &flow.document;
        let new = DocumentHash::of(text);
        let mut flows = inner.store.flows().map_err(storage)?;
        flows.retain(|flow| flow.document == *old);
        let mut changes = Changes::new();
        changes.put_document(text);
        changes.delete_document(old);
        let note = serde_json::to_value(&new).map_err(crate::execute::not_json)?;
        changes.put_setting(&successor_key(old), &note);
        // A document that was imported again has no other in its place any more.
        changes.delete_setting(&successor_key(&new));
        for flow in &mut flows {
            flow.document = new.clone();
            changes.put_flow(flow);
        }
        let variables = variables.into_iter().collect();
        inner.variables.put_all(&inner.store, variables, changes).await?;
        // Runs that name the old document go on with this one.
        for document in [old, &new] {
            inner.flows.keep_plan(document, &plan);
        }
        let mut sharing = Vec::new();
        for changed in flows {
            if changed.id != flow.id {
                sharing.push(changed.name.clone());
            }
            let policy = stored_policy(&inner.store, changed.id).map_err(storage)?;
            inner.flows.put(changed, plan.with_policy(policy));
        }
        inner.events.tell(EventView::Flows);
        inner.events.tell(EventView::Settings);
        Ok(sharing)
    }

    /// What of such secrets is still here, and what else has changed, for people.
    fn what_is_left(&self, id: FlowId, document: &str, sharing: &[String]) -> Result<Vec<String>, Error> {
        let mut left = Vec::new();
        for name in sharing {
            left.push(format!(
                "The flow “{name}” was imported from the same file; it reads the same variables now."
            ));
        }
        for secret in clear_text_secrets(document) {
            let why = secret
                .by_hand
                .unwrap_or("By this document no reference would be replaced there.");
            left.push(display_line(
                &format!("{} of “{}” stays where it is. {why}", secret.place, secret.step),
                LINE,
            ));
        }
        let runs = self.inner.runs_on_documents_with_secrets(id)?;
        if runs > 0 {
            left.push(format!(
                "{runs} of its runs that are not done began with an earlier version of the document, in which secrets stand \
                 too. That version is kept, because they go on with it."
            ));
        }
        Ok(left)
    }
}

impl Inner {
    /// A name for the variable of each secret. The same secret has the same one, and so has one that is kept already.
    fn name_secrets(&self, flow: &str, found: Vec<ClearText>) -> Result<Named, Error> {
        let mut named: Named = Vec::with_capacity(found.len());
        for secret in found {
            let known = named.iter().find(|(other, _)| other.value == secret.value);
            let name = match known {
                Some((_, name)) => name.clone(),
                None => self.free_name(flow, &secret, &named)?,
            };
            named.push((secret, name));
        }
        Ok(named)
    }

    fn free_name(
        &self,
        flow: &str,
        secret: &ClearText,
        taken: &[(ClearText, String)],
    ) -> Result<String, Error> {
        let parts = [flow, &secret.step, &secret.place].map(name_part);
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let stem = parts.join("-");
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let fits = |name: &String| {
            let free = !self.has_variable(name) && taken.iter().all(|(_, other)| other != name);
            free || self.is_secret_variable(name, &secret.value)
        };
        let name = std::iter::once(stem.clone())
            .chain(numbered)
            .take(NAME_LIMIT * 100)
            .find(fits);
        name.ok_or_else(|| {
            Error::invalid(format!(
                "There are too many variables whose names begin with {stem}. Nothing was changed."
            ))
        })
    }

    /// How many runs of a flow that are not done began with an earlier document in which secrets stand in clear text.
    fn runs_on_documents_with_secrets(&self, id: FlowId) -> Result<usize, Error> {
        let mut count = 0;
        let mut seen: BTreeMap<String, bool> = BTreeMap::new();
        for state in [ExecutionState::Stopped, ExecutionState::InProgress] {
            let query = countersign_store::ExecutionQuery {
                flow: Some(id),
                state: Some(state),
                limit: RUNS,
                ..countersign_store::ExecutionQuery::default()
            };
            for execution in self.store.executions(&query).map_err(storage)?.items {
                let key = execution.document.as_str().to_owned();
                let with_secrets = *seen.entry(key).or_insert_with(|| {
                    let plan = self.flows.plan(&self.store, &execution.document);
                    plan.is_ok_and(|plan| count_secrets(&plan) > 0)
                });
                count += usize::from(with_secrets);
            }
        }
        Ok(count)
    }
}

/// Secrets, each with the variable that holds it.
type Named = Vec<(ClearText, String)>;

/// How many secrets stand in the document of a plan in clear text and can be moved.
pub(crate) fn count_secrets(plan: &Plan) -> usize {
    let findings = plan.findings().iter();
    findings
        .filter(|finding| finding.kind == FindingKind::ClearTextSecret)
        .count()
}

/// The document with references to these variables, without those that its steps would not replace.
fn reading(text: &str, mut named: Named) -> Result<(Named, String, Plan), Error> {
    loop {
        let changed = with_references(text, &named);
        let plan = Plan::parse(&changed).map_err(|refusal| {
            Error::new(
                countersign_domain::ErrorCode::Internal,
                "The flow could not be changed. Nothing was changed.",
            )
            .caused_by(refusal)
        })?;
        let needs = plan.needs();
        let read: BTreeSet<(&str, &str)> = needs
            .iter()
            .filter_map(|(label, need)| match need {
                Need::Variable(name) => Some((*label, *name)),
                _ => None,
            })
            .collect();
        let is_read = |(secret, name): &(ClearText, String)| read.contains(&(&*secret.step, name));
        if named.iter().all(is_read) {
            return Ok((named, changed, plan));
        }
        named.retain(is_read);
    }
}

/// A name as part of the name of a variable: letters, digits and `-`.
fn name_part(text: &str) -> String {
    let mut part = String::new();
    for letter in text.chars() {
        if letter.is_alphanumeric() {
            part.extend(letter.to_lowercase());
        } else if !part.ends_with('-') && !part.is_empty() {
            part.push('-');
        }
    }
    let part: String = part.chars().take(NAME_PART).collect();
    part.trim_matches('-').to_owned()
}
