//! Notifications: what is shown, and what its buttons do.

use std::sync::Weak;

use countersign_domain::{
    Approval, ApprovalId, ApprovalState, ErrorCode, Outcome, QuestionHash, Surface, display_json,
};
use countersign_notify::{Broker, BrokerEvent, BrokerHandle, BrokerOptions, Notifier, Prompt};
use tokio::sync::{broadcast, mpsc};

use crate::app::{Inner, storage};
use crate::decide::{approval_id, no_such_approval};
use crate::settings::Settings;
use crate::view::{DecisionRequest, EventView, NotificationView};
use crate::{App, Error};

/// The window is to be shown: somebody clicked a notification itself, or started the program again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// The approval to show; the inbox if absent.
    pub approval: Option<ApprovalId>,
    /// The token with which the desktop lets the window come to the front.
    pub activation_token: Option<String>,
}

/// The notifier that fits the desktop this program runs on.
pub fn notifier_for_this_desktop() -> Box<dyn Notifier> {
    countersign_notify::for_this_desktop()
}

/// A notifier for a machine without a desktop: it shows nothing and says so.
pub fn headless_notifier() -> Box<dyn Notifier> {
    Box::new(countersign_notify::HeadlessNotifier::default())
}

/// A notifier for an operator who wants none: it shows nothing and says why.
pub fn switched_off_notifier() -> Box<dyn Notifier> {
    Box::new(countersign_notify::HeadlessNotifier::new(
        "Notifications were switched off when this Countersign was started (--notifications off). Questions wait in the inbox.",
    ))
}

pub(crate) fn start(
    notifier: Box<dyn Notifier>,
    settings: &Settings,
) -> (BrokerHandle, mpsc::Receiver<BrokerEvent>) {
    let options = BrokerOptions {
        enabled: !settings.notifications_disabled,
        details_hidden: settings.notification_details_hidden,
        ..BrokerOptions::default()
    };
    Broker::start(options, notifier)
}

/// Carries answers from the notifications to the one `decide`.
pub(crate) fn listen(app: &App, mut answers: mpsc::Receiver<BrokerEvent>) {
    let weak = std::sync::Arc::downgrade(&app.inner);
    tokio::spawn(async move {
        while let Some(event) = answers.recv().await {
            let Some(app) = upgrade(&weak) else { return };
            match event {
                BrokerEvent::Answered {
                    id,
                    outcome,
                    content_hash,
                } => {
                    app.answered(id, outcome, content_hash).await;
                }
                BrokerEvent::OpenRequested {
                    approval,
                    activation_token,
                } => {
                    let _ = app.inner.open_requests.send(OpenRequest {
                        approval,
                        activation_token,
                    });
                }
                BrokerEvent::StatusChanged(_) => app.inner.events.tell(EventView::Status),
                BrokerEvent::TestAnswered { approve } => {
                    app.inner
                        .events
                        .tell(EventView::NotificationTest { approved: approve });
                }
            }
        }
    });
}

fn upgrade(weak: &Weak<Inner>) -> Option<App> {
    weak.upgrade().map(|inner| App { inner })
}

pub(crate) fn present(app: &App, approval: &Approval) {
    app.inner.notifications.present(prompt(approval));
}

pub(crate) fn show_pending(app: &App, pending: &[Approval]) {
    app.inner
        .notifications
        .set_pending(pending.iter().map(prompt).collect());
}

fn prompt(approval: &Approval) -> Prompt {
    let question = &approval.question;
    // Notifications show no Markdown.
    let mut body = countersign_flow::plain_text(&question.body).into_owned();
    if let Some(call) = &question.call {
        let gap = if body.is_empty() { "" } else { "\n\n" };
        body.push_str(&format!("{gap}{}", display_json(&call.arguments)));
    }
    Prompt {
        id: approval.id,
        content_hash: approval.content_hash.clone(),
        title: question.title.clone(),
        body,
        flow_name: approval.asked_in(),
        buttons: true,
        importance: countersign_notify::Importance::Normal,
    }
}

impl Inner {
    pub(crate) fn notification_view(&self) -> NotificationView {
        let status = self.notifications.status();
        NotificationView {
            available: status.available,
            server: status.name,
            buttons: status.buttons,
            reply: status.reply,
            note: status.note,
        }
    }
}

impl App {
    /// A button was pressed. The press is a wish; if it does not become a decision, the person is told why.
    async fn answered(&self, id: ApprovalId, outcome: Outcome, content_hash: Option<QuestionHash>) {
        let request = DecisionRequest {
            outcome,
            feedback: None,
            arguments: None,
            content_hash: content_hash.map(|hash| hash.as_str().to_owned()),
        };
        let person = self.inner.config.person.clone();
        let Err(error) = self
            .decide(&id.to_string(), request, Surface::Notification, person)
            .await
        else {
            return;
        };
        tracing::info!(approval = %id, %error, "an answer from a notification did not count");
        match self.inner.store.approval(id) {
            Ok(Some(approval)) if approval.state == ApprovalState::Pending => {
                self.inner
                    .notifications
                    .tell("Your answer was not kept", &error.to_string());
                present(self, &approval);
            }
            _ => {
                self.inner.notifications.withdraw(id);
                self.inner
                    .notifications
                    .tell("Your answer did not count", &error.to_string());
            }
        }
    }

    /// Hears of clicks on notifications and of [`App::open`], so that the window can come up. Who hears has a window.
    pub fn open_requests(&self) -> broadcast::Receiver<OpenRequest> {
        self.inner.open_requests.subscribe()
    }

    /// Whether there is a window that could be shown, as the desktop has and `countersign serve` has not.
    pub fn has_window(&self) -> bool {
        self.inner.open_requests.receiver_count() > 0
    }

    /// Asks the window to come up at an approval, or at the inbox.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown approval, [`ErrorCode::NoWindow`] where there is none,
    /// [`ErrorCode::ShuttingDown`] while the program closes.
    pub fn open(&self, approval: Option<&str>) -> Result<(), Error> {
        if self.is_closing() {
            return Err(Error::new(
                ErrorCode::ShuttingDown,
                "Countersign is closing and shows no window any more. Start it again when it has ended.",
            ));
        }
        let approval = match approval {
            Some(id) => {
                let id = approval_id(id)?;
                let known = self.inner.store.approval(id).map_err(storage)?;
                known
                    .map(|known| Some(known.id))
                    .ok_or_else(|| no_such_approval(id))?
            }
            None => None,
        };
        let request = OpenRequest {
            approval,
            activation_token: None,
        };
        match self.inner.open_requests.send(request) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(
                ErrorCode::NoWindow,
                "This Countersign runs without a window (countersign serve), so there is none to show. Its inbox is a page for the browser.",
            )),
        }
    }

    /// Shows a notification with both buttons, to try them out. Its answer decides nothing.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] if no notification server answers or notifications are switched off.
    pub async fn test_notification(&self) -> Result<(), Error> {
        if self.inner.settings().notifications_disabled {
            return Err(Error::new(
                ErrorCode::Invalid,
                "Notifications are switched off. Switch them on and try again.",
            ));
        }
        let status = self.inner.notifications.status();
        if !status.available {
            let why = status
                .note
                .unwrap_or_else(|| "No notification server answers.".to_owned());
            return Err(Error::new(
                ErrorCode::Invalid,
                format!("{why} Approvals still appear in the inbox."),
            ));
        }
        self.inner.notifications.test_prompt();
        Ok(())
    }

    pub(crate) fn apply_notification_settings(&self) {
        let settings = self.inner.settings();
        self.inner
            .notifications
            .set_enabled(!settings.notifications_disabled);
        self.inner
            .notifications
            .set_details_hidden(settings.notification_details_hidden);
    }
}
