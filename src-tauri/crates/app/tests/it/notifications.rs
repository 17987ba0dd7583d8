//! From a notification to the decision and back.

use countersign_app::Surface;
use countersign_domain::ApprovalState;
use countersign_notify::{Answer, Closed, FakeNotifier, NoticeKey};
use countersign_testkit::flows::FlowOptions;
use serde_json::json;

use crate::support::{call, import_gate, pending, start_with, until};

#[tokio::test]
async fn a_button_decides_through_the_same_door_and_the_notification_goes() {
    let dir = tempfile::tempdir().unwrap();
    let desktop = FakeNotifier::new();
    let app = start_with(dir.path(), Box::new(desktop.clone())).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let approval = pending(&app).remove(0);
    let id = approval.id.parse().unwrap();
    until("the notification", || {
        desktop.find(NoticeKey::Approval(id)).is_some()
    })
    .await;

    assert!(desktop.answer(id, Answer::Reject));
    until("the decision", || pending(&app).is_empty()).await;
    let decided = app.approval(&approval.id).unwrap().summary;
    assert_eq!(decided.state, ApprovalState::Rejected);
    let decision = decided.decision.unwrap();
    assert_eq!(
        (decision.surface, decision.person.as_deref()),
        (Surface::Notification, Some("mika"))
    );
    until("the withdrawal", || {
        desktop.find(NoticeKey::Approval(id)).is_none()
    })
    .await;
}

#[tokio::test]
async fn closing_a_notification_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let desktop = FakeNotifier::new();
    let app = start_with(dir.path(), Box::new(desktop.clone())).await;
    let flow = import_gate(&app, &FlowOptions::sync()).await;
    call(&app, &flow.summary.id, json!({ "item": "v1" }))
        .await
        .unwrap();
    let id = pending(&app).remove(0).id.parse().unwrap();
    until("the notification", || {
        desktop.find(NoticeKey::Approval(id)).is_some()
    })
    .await;

    assert!(desktop.close(NoticeKey::Approval(id), Closed::Dismissed));
    until("the close", || desktop.find(NoticeKey::Approval(id)).is_none()).await;
    assert_eq!(pending(&app).len(), 1);
}
