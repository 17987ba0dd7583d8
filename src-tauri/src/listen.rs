//! Listening for webhooks, and going on without while the port is taken.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use countersign_app::App;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long until a port that was taken is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// Serves until told to stop. While the address cannot be used, the reason is part of the status, the
/// rest of the program works, and the address is tried again.
pub(crate) async fn serve(app: App, mut stop: watch::Receiver<bool>) {
    loop {
        let address = app.listen_address();
        match bind(address).await {
            Ok((listener, bound)) => {
                tracing::info!(%bound, "listening");
                app.set_address(Some(bound), None);
                let stopped = {
                    let mut stop = stop.clone();
                    async move {
                        let _ = stop.wait_for(|stop| *stop).await;
                    }
                };
                // The window has its own way in, so no page is served but one that says so.
                let options = countersign_server::Options::default();
                if let Err(error) = countersign_server::serve(app.clone(), listener, options, stopped).await {
                    tracing::error!(%error, "the server ended");
                    app.set_address(None, Some(problem(address, &io::Error::other(error))));
                }
            }
            Err(error) => {
                tracing::warn!(%address, %error, "cannot listen");
                app.set_address(None, Some(problem(address, &error)));
            }
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    }
}

async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Why there is no listening and what to do, in words for people.
fn problem(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => format!("Port {port} is taken by another program"),
        io::ErrorKind::PermissionDenied => format!("Port {port} may not be used by this account"),
        _ => format!("Listening on {address} failed ({error})"),
    };
    format!(
        "{reason}. It is tried again by itself; or choose another port in the settings and start Countersign again."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_a_way_out() {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = first.local_addr().expect("its address");
        let error = bind(address).await.expect_err("the port is taken");
        let text = problem(address, &error);
        assert!(
            text.starts_with(&format!("Port {} is taken", address.port())),
            "the reason comes first: {text}"
        );
        assert!(text.contains("settings"), "there is a way out: {text}");
    }
}
