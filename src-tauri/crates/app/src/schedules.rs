//! Flows that run by themselves: what is due, what was missed, and what is said about it.
//!
//! A run that a schedule begins and the fact that its moment was dealt with are one commit, so that a kill neither
//! loses a run nor begins one twice.

use std::sync::{Arc, Weak};
use std::time::Duration;

use countersign_domain::{
    ErrorCode, Execution, ExecutionId, ExecutionState, FlowId, Timestamp, display_line,
};
use countersign_flow::Schedule;
use countersign_store::{Changes, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::app::{Inner, storage};
use crate::execute::not_json;
use crate::flows::LiveFlow;
use crate::view::{
    EventView, MissedRuns, OverlappingRuns, ScheduleChange, ScheduleMoment, ScheduleOutcome, ScheduleView,
};
use crate::{App, Error};

/// How much later than its moment a run still counts as in time: the program looks at the clock at least this often.
const IN_TIME: Duration = Duration::from_secs(60);

/// The longest time for which the program does not look at the clock. Timers stand still while a machine sleeps.
const LOOK: Duration = Duration::from_secs(30);

/// A moment that was dealt with and lies further ahead than this is one of a clock that was wrong.
const AHEAD: Duration = Duration::from_secs(3600);

/// How many moments are told.
const RECENT: usize = 20;

/// How far missed moments are counted.
const COUNTED: u32 = 1000;

/// What is kept of a flow's schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    enabled: bool,
    missed: MissedRuns,
    overlap: OverlappingRuns,
    /// The schedule that `after` belongs to.
    identity: String,
    /// All moments up to this one are dealt with.
    after: Timestamp,
    /// The run that was begun last.
    last: Option<ExecutionId>,
    /// What was done about the last moments, the newest first.
    recent: Vec<ScheduleMoment>,
}

impl Kept {
    /// What holds now, if this was kept: the schedule of the document may have `changed` since, and so may the clock.
    fn now(before: Option<Self>, schedule: &Schedule, changed: Timestamp, now: Timestamp) -> Self {
        let identity = schedule.identity();
        let mut kept = before.unwrap_or_else(|| Self {
            enabled: true,
            missed: MissedRuns::default(),
            overlap: OverlappingRuns::default(),
            identity: String::new(),
            after: now,
            last: None,
            recent: Vec::new(),
        });
        if kept.identity != identity {
            kept.identity = identity;
            kept.after = changed.min(now);
        }
        if kept.after > now.plus(AHEAD) {
            kept.after = now;
        }
        kept
    }

    fn tell(&mut self, moment: ScheduleMoment) {
        // One line for all that were left out for the same reason, else a question that waits over a weekend would
        // push everything else out.
        if let Some(newest) = self.recent.first_mut()
            && newest.outcome == moment.outcome
            && newest.outcome != ScheduleOutcome::Started
            && newest.execution_id == moment.execution_id
        {
            newest.count = newest.count.saturating_add(moment.count);
            newest.due = moment.due;
            newest.at = moment.at;
            return;
        }
        self.recent.insert(0, moment);
        self.recent.truncate(RECENT);
    }
}

/// Under which name that lies in the store.
pub(crate) fn schedule_key(id: FlowId) -> String {
    format!("flow-schedule/{id}")
}

fn stored(store: &Store, id: FlowId) -> Result<Option<Kept>, StoreError> {
    let Some(value) = store.setting(&schedule_key(id))? else {
        return Ok(None);
    };
    Ok(serde_json::from_value(value)
        .inspect_err(|error| {
            tracing::error!(flow = %id, %error, "what is kept of a schedule cannot be read; it begins anew");
        })
        .ok())
}

/// What is to be done about a schedule now.
enum Due {
    /// Nothing.
    Nothing,
    /// The moments up to `due` are to be left out, `count` of them.
    LeaveOut {
        due: Timestamp,
        count: u32,
        outcome: ScheduleOutcome,
        waits: Option<ExecutionId>,
    },
    /// A run is to be begun for `due`; `missed` moments before it have passed.
    Start { due: Timestamp, missed: u32 },
}

impl App {
    /// Begins the runs whose moment has come, and gives back when the next one will be. The program does this by
    /// itself; calling it at other times does no harm.
    pub async fn run_due_schedules(&self) -> Option<Timestamp> {
        if self.ready().is_err() {
            return None;
        }
        let mut next: Option<Timestamp> = None;
        for live in self.inner.flows.all() {
            if let Some(Ok(schedule)) = &live.plan.start().schedule {
                match self.run_due(&live, schedule).await {
                    Ok(Some(moment)) => next = Some(next.map_or(moment, |next| next.min(moment))),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(flow = %live.flow.id, %error, source = ?error.source, "a schedule could not be kept");
                    }
                }
            }
        }
        next
    }

    async fn run_due(&self, live: &Arc<LiveFlow>, schedule: &Schedule) -> Result<Option<Timestamp>, Error> {
        let id = live.flow.id;
        let _alone = self.inner.changing.lock().await;
        // It may have been replaced or deleted while others were looked at.
        if !self
            .inner
            .flows
            .get(id)
            .is_some_and(|now| Arc::ptr_eq(&now, live))
        {
            return Ok(None);
        }
        let now = self.inner.clock.now();
        let before = stored(&self.inner.store, id).map_err(storage)?;
        let mut kept = Kept::now(before.clone(), schedule, live.flow.updated_at, now);
        if !kept.enabled {
            return Ok(None);
        }
        let moment = |due: Timestamp, outcome, count, execution: Option<ExecutionId>| ScheduleMoment {
            due: due.to_string(),
            at: now.to_string(),
            outcome,
            count,
            execution_id: execution.map(|id| id.to_string()),
        };
        match self.inner.due(schedule, &kept, now).map_err(storage)? {
            // From where it counts is kept, else it would begin to count anew at each look.
            Due::Nothing if before.is_none_or(|before| before.after != kept.after) => {
                self.inner.keep(id, &kept).await?;
            }
            Due::Nothing => {}
            Due::LeaveOut {
                due,
                count,
                outcome,
                waits,
            } => {
                kept.after = due;
                kept.tell(moment(due, outcome, count, waits));
                self.inner.keep(id, &kept).await?;
                self.inner.events.tell(EventView::Flows);
            }
            Due::Start { due, missed } => {
                kept.after = due;
                let begun = self.begin_unattended(live.clone(), schedule.input())?;
                if missed > 0 {
                    kept.tell(moment(due, ScheduleOutcome::Missed, missed, None));
                }
                kept.last = Some(begun.execution.id);
                kept.tell(moment(due, ScheduleOutcome::Started, 1, kept.last));
                self.run_behind(begun, changes_of(id, &kept)?).await?;
                self.inner.events.tell(EventView::Flows);
            }
        }
        Ok(schedule.next_after(kept.after.max(now)))
    }

    /// Says whether a flow's schedule counts, and what becomes of moments that were missed or that come while the last
    /// run still waits. Moments that passed while it did not count are not made up for.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown flow; [`ErrorCode::Invalid`] for one that has no schedule.
    pub async fn change_flow_schedule(
        &self,
        id: &str,
        change: ScheduleChange,
    ) -> Result<ScheduleView, Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let flow = self.stored_flow(id)?;
        let plan = self.inner.plan(&flow.document)?;
        let read = plan.start().schedule.as_ref();
        let Some(Ok(schedule)) = read else {
            let why = match read {
                Some(Err(problem)) => format!("The schedule of this flow cannot be used: {problem}"),
                _ => "This flow is not begun by a schedule.".to_owned(),
            };
            return Err(Error::new(
                ErrorCode::Invalid,
                format!("{why} Nothing was changed."),
            ));
        };
        let now = self.inner.clock.now();
        let before = stored(&self.inner.store, flow.id).map_err(storage)?;
        let mut kept = Kept::now(before, schedule, flow.updated_at, now);
        if let Some(enabled) = change.enabled {
            if enabled && !kept.enabled {
                kept.after = now;
            }
            kept.enabled = enabled;
        }
        kept.missed = change.missed.unwrap_or(kept.missed);
        kept.overlap = change.overlap.unwrap_or(kept.overlap);
        self.inner.keep(flow.id, &kept).await?;
        self.inner.events.tell(EventView::Flows);
        Ok(view(schedule, kept, now))
    }

    /// Keeps looking at the clock as long as the application is there.
    pub(crate) fn watch_the_clock(&self) {
        let weak = Arc::downgrade(&self.inner);
        let mut events = self.subscribe();
        tokio::spawn(async move {
            loop {
                let Some((next, now)) = look(&weak).await else {
                    return;
                };
                let until = next.map(|next| next.since(now).min(LOOK).max(Duration::from_millis(1)));
                let change = async {
                    // A listener that fell behind may have missed a change of the flows.
                    while !matches!(events.recv().await, Ok(EventView::Flows) | Err(_)) {}
                };
                match until {
                    Some(until) => drop(tokio::time::timeout(until, change).await),
                    // Without a schedule there is nothing to look for until a flow comes.
                    None => change.await,
                }
            }
        });
    }
}

/// One look at the clock; nothing once the application is gone.
async fn look(weak: &Weak<Inner>) -> Option<(Option<Timestamp>, Timestamp)> {
    let app = App {
        inner: weak.upgrade()?,
    };
    if app.is_closing() {
        return None;
    }
    Some((app.run_due_schedules().await, app.inner.clock.now()))
}

impl Inner {
    async fn keep(&self, id: FlowId, kept: &Kept) -> Result<(), Error> {
        self.store.commit(changes_of(id, kept)?).await.map_err(storage)
    }

    fn due(&self, schedule: &Schedule, kept: &Kept, now: Timestamp) -> Result<Due, StoreError> {
        let Some(due) = schedule.last_until(now).filter(|due| *due > kept.after) else {
            return Ok(Due::Nothing);
        };
        let mut count = 0;
        let mut moment = kept.after;
        while let Some(next) = schedule.next_after(moment).filter(|next| *next <= due) {
            (moment, count) = (next, count + 1);
            if count >= COUNTED {
                break;
            }
        }
        let leave_out = |outcome, waits| Due::LeaveOut {
            due,
            count: count.max(1),
            outcome,
            waits,
        };
        if kept.missed == MissedRuns::Skip && now.since(due) > IN_TIME {
            return Ok(leave_out(ScheduleOutcome::Missed, None));
        }
        if kept.overlap == OverlappingRuns::Skip
            && let Some(last) = kept.last
            && self.store.execution(last)?.as_ref().is_some_and(is_under_way)
        {
            return Ok(leave_out(ScheduleOutcome::Overlapped, Some(last)));
        }
        Ok(Due::Start {
            due,
            missed: count.saturating_sub(1),
        })
    }

    /// What people see of a schedule.
    pub(crate) fn schedule_view(
        &self,
        id: FlowId,
        changed: Timestamp,
        schedule: Option<&Result<Schedule, String>>,
    ) -> Result<Option<ScheduleView>, Error> {
        Ok(match schedule {
            Some(Ok(schedule)) => {
                let now = self.clock.now();
                let before = stored(&self.store, id).map_err(storage)?;
                Some(view(schedule, Kept::now(before, schedule, changed, now), now))
            }
            Some(Err(_)) | None => None,
        })
    }
}

fn is_under_way(execution: &Execution) -> bool {
    matches!(
        execution.state,
        ExecutionState::InProgress | ExecutionState::Stopped
    )
}

fn changes_of(id: FlowId, kept: &Kept) -> Result<Changes, Error> {
    let mut changes = Changes::new();
    changes.put_setting(&schedule_key(id), &serde_json::to_value(kept).map_err(not_json)?);
    Ok(changes)
}

fn view(schedule: &Schedule, kept: Kept, now: Timestamp) -> ScheduleView {
    let next = kept
        .enabled
        .then(|| schedule.next_after(kept.after.max(now)))
        .flatten();
    ScheduleView {
        when: display_line(&schedule.in_words(), 300),
        enabled: kept.enabled,
        missed: kept.missed,
        overlap: kept.overlap,
        next: next.map(|next| next.to_string()),
        recent: kept.recent,
    }
}
