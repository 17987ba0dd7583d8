//! The one service that sees every request: guards, token, then webhook or management route.
//!
//! Webhook calls do not pass through the router: they are the busy road, and it has one route.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use countersign_app::{App, Error};
use countersign_domain::ErrorCode;
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, StatusCode};
use tokio::sync::{Semaphore, watch};
use tower::{Service, ServiceExt};

use crate::auth::Auth;
use crate::body::Bodies;
use crate::{Options, error, guards, routes};

/// What all routes share.
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) options: Options,
    pub(crate) bodies: Bodies,
    /// One permit for each event stream.
    pub(crate) streams: Arc<Semaphore>,
    /// Becomes true when the server closes; open streams and waits end then.
    pub(crate) closing: watch::Sender<bool>,
    auth: Auth,
}

impl Shared {
    /// Carries out a use case to its end whatever happens to the connection: a caller that hangs up does not
    /// take back what it asked for (webhook spec §8.1). What is ready at once costs no task.
    pub(crate) async fn carry_out<T, F>(&self, work: impl FnOnce(App) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut work = Box::pin(work(self.app.clone()));
        match std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            Poll::Ready(done) => done,
            Poll::Pending => tokio::spawn(work).await.map_err(|error| {
                Error::new(ErrorCode::Internal, "The request failed inside").caused_by(error)
            })?,
        }
    }
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    shared: Arc<Shared>,
    management: Router,
}

impl Front {
    pub(crate) fn new(app: App, options: Options) -> Self {
        let shared = Arc::new(Shared {
            app,
            bodies: Bodies::new(&options),
            streams: Arc::new(Semaphore::new(options.event_streams)),
            closing: watch::Sender::new(false),
            auth: Auth::default(),
            options,
        });
        Self {
            management: routes::router(Arc::clone(&shared)),
            shared,
        }
    }

    /// Ends what would otherwise stay open for ever.
    pub(crate) fn close(&self) {
        self.shared.closing.send_replace(true);
    }

    /// Answers one request.
    pub(crate) async fn handle<B>(&self, request: Request<B>) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        // A fault in one request is that request's: the caller gets an answer, the connection goes on.
        let answered = AssertUnwindSafe(self.route(request)).catch_unwind().await;
        let mut response = answered.unwrap_or_else(|_| {
            error::compatible(&Error::new(
                ErrorCode::Internal,
                "The request failed inside. The log says more.",
            ))
        });
        protect(&mut response);
        response
    }

    async fn route<B>(&self, request: Request<B>) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        match self.admit(&request) {
            Err(refused) => *refused,
            Ok(Road::Webhook) => routes::webhook::call(&self.shared, request).await,
            Ok(Road::Router) => {
                let request = request.map(Body::new);
                match self.management.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        }
    }

    /// Everything that is decided by the head of a request.
    fn admit<B>(&self, request: &Request<B>) -> Result<Road, Box<Response>> {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        guards::check(method, uri, headers, &self.shared.options.allowed_origins)
            .map_err(|error| Box::new(error::compatible(&error)))?;
        if *method == Method::OPTIONS {
            // Nothing is granted to other origins, so a preflight gets no more than this.
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Err(Box::new(response));
        }
        let Some(route) = uri.path().strip_prefix("/api/") else {
            return Ok(Road::Router);
        };
        let route = route.strip_prefix("v1/").unwrap_or_default();
        let below = |name: &str| {
            route
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if below("webhook") {
            return Ok(Road::Webhook);
        }
        if below("prediction") || route == "ping" {
            return Ok(Road::Router);
        }
        match self.shared.auth.check(headers, self.shared.app.api_token()) {
            Ok(()) => Ok(Road::Router),
            Err(refused) => Err(Box::new(error::unauthorized(&refused))),
        }
    }
}

enum Road {
    Webhook,
    Router,
}

/// Headers of every answer. A route that needs others has set them already.
fn protect(response: &mut Response) {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
}

impl Service<Request<Body>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.handle(request).await) })
    }
}
