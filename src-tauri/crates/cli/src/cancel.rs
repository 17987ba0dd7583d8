//! `cancel`.

use countersign_app::view::ApprovalView;

use crate::args::Cancel;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, short_id};

/// `countersign cancel ID`
pub(crate) async fn run(client: &Client, arguments: &Cancel, output: &Output) -> Result<Exit, Failure> {
    let id = client.approval_id(&arguments.id).await?;
    let view: ApprovalView = client
        .post(&format!("/api/v1/approvals/{id}/cancel"), None)
        .await?;
    output.print(&view, || {
        format!(
            "Taken back: {}\nExecution {} is cancelled; its receiver hears of it if a URL is set.",
            cell(&view.summary.title, 200),
            short_id(&view.summary.execution_id)
        )
    });
    Ok(Exit::Done)
}
