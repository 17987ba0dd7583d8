//! `continue`.

use countersign_app::view::ExecutionView;

use crate::args::Continue;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, short_id};

/// `countersign continue ID`
pub(crate) async fn run(client: &Client, arguments: &Continue, output: &Output) -> Result<Exit, Failure> {
    let id = client.execution_to_go_on(&arguments.id).await?;
    let view: ExecutionView = client
        .post(&format!("/api/v1/executions/{id}/continue"), None)
        .await?;
    output.print(&view, || {
        format!(
            "Execution {} goes on from the step at which it ended. Its result leaves as a callback if a URL is set.",
            short_id(&view.id)
        )
    });
    Ok(Exit::Done)
}
