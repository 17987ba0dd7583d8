//! Connections: accepting, limits, timeouts, closing.
//!
//! `axum::serve` has neither a time limit for request heads nor one for the number of connections
//! (webhook-security anchors §0, finding 6), so hyper is driven here.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_app::App;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::front::Front;
use crate::linger::{Lingering, Unread};
use crate::seat::{Answering, Seat, Seats};
use crate::{Options, guards};

/// The largest head of a request, and the size of the buffer that bodies are read through.
const HEAD: usize = 64 << 10;

/// Serves the application on this listener until `shutdown` is done. Requests under way then have
/// [`Options::shutdown_timeout`] to end; what is open after it is cut off.
///
/// # Errors
/// `InvalidInput` if the listener is not on a loopback address; whatever the listener says about its address.
pub async fn serve<F: Future>(
    app: App,
    listener: TcpListener,
    options: Options,
    shutdown: F,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !guards::peer_is_local(address) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{address} is not a loopback address: Countersign serves this machine only"),
        ));
    }
    let mut seats = Seats::new(options.connections);
    let (header_timeout, body_timeout) = (options.header_timeout, options.body_timeout);
    let shutdown_timeout = options.shutdown_timeout;
    let front = Arc::new(Front::new(app, options));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    tracing::info!(%address, "listening");

    loop {
        let next = async {
            let (stream, peer) = listener.accept().await?;
            if !guards::peer_is_local(peer) {
                return Ok((None, stream, peer));
            }
            // One connection beyond the limit waits here for a seat, those behind it in the system's queue.
            Ok((Some(seats.take().await), stream, peer))
        };
        let accepted = tokio::select! {
            biased;
            _ = shutdown.as_mut() => break,
            accepted = next => accepted,
        };
        let (seat, stream, peer) = match accepted {
            Ok((Some(seat), stream, peer)) => (seat, stream, peer),
            Ok((None, _, peer)) => {
                tracing::warn!(%peer, "a connection from another machine was refused");
                continue;
            }
            Err::<_, io::Error>(error) => {
                // Too many open files, say, or a connection that is gone already: neither ends the server.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are small and wait for nothing.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let front = Arc::clone(&front);
        let unread = Unread::default();
        let stream = Lingering::new(stream, unread.clone(), Arc::clone(&seat), body_timeout);
        let at = Arc::clone(&seat);
        let service = service_fn(move |request| {
            let (front, unread, seat) = (Arc::clone(&front), unread.clone(), Arc::clone(&at));
            async move { Ok::<_, Infallible>(answer(&front, &unread, &seat, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(HEAD)
            // What was asked for in full is carried out and answered, also if its caller sends no more, or is gone:
            // without this an end that arrives together with the call takes the call away unseen.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            loop {
                // The connection first: what has arrived by now is taken, and then it need not give way.
                tokio::select! {
                    biased;
                    ended = connection.as_mut() => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection ended with an error");
                        }
                        break;
                    }
                    () = seat.asked_to_leave() => if seat.waits() {
                        tracing::debug!(%peer, "a connection that waited for its client gave way to a new one");
                        break;
                    },
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }

    drop(listener);
    front.close();
    if tokio::time::timeout(shutdown_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(open = connections.len(), "connections were cut off at the end");
    }
    connections.shutdown().await;
    Ok(())
}

/// Answers one request of a connection. An answer that did not wait for the whole body is the last one: where
/// the next request begins is not known.
async fn answer(
    front: &Front,
    unread: &Unread,
    seat: &Arc<Seat>,
    request: Request<Incoming>,
) -> Response<Answering> {
    let mut response = front.handle(request.map(|body| unread.watch(body, seat))).await;
    if unread.get() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Answering::new(body, seat))
}
