//! `cancel`.

use countersign_app::view::{ApprovalView, ExecutionView};

use crate::args::Cancel;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, short_id};

/// `countersign cancel ID`
pub(crate) async fn run(client: &Client, arguments: &Cancel, output: &Output) -> Result<Exit, Failure> {
    let id = client.approval_id(&arguments.id).await?;
    let approval: ApprovalView = client.get(&format!("/api/v1/approvals/{id}")).await?;
    let execution = &approval.summary.execution_id;
    let view: ExecutionView = client
        .post(&format!("/api/v1/executions/{execution}/cancel"), None)
        .await?;
    output.print(&view, || {
        format!(
            "Taken back: {}. Execution {} is cancelled; its receiver hears of it if a URL is set.",
            cell(&approval.summary.title, 200),
            short_id(&view.id)
        )
    });
    Ok(Exit::Done)
}
