//! The user interface for a browser, from the folder that the build writes.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use countersign_app::Error;
use countersign_domain::ErrorCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY};
use http::{HeaderValue, Method, StatusCode};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::error;
use crate::front::Shared;

/// Everything from this server, nothing inline, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const MISSING: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Countersign</title>\n\
    <h1>Countersign runs</h1>\n\
    <p>The user interface was not built, so there is nothing to show here. Build it with \
    <code>npm --prefix ui ci &amp;&amp; npm --prefix ui run build</code> and start again.\n\
    <p>Webhooks and the management API work without it.\n</html>\n";

/// Whatever no other route has: a file of the user interface, its page, or 404.
pub(super) async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.uri().path().starts_with("/api/") {
        return nothing_here();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return error::method_not_allowed(request.method(), Some("GET, HEAD"));
    }
    let path = request.uri().path().to_owned();
    let found = match &shared.options.dist {
        Some(dist) => file(dist, request).await,
        None => None,
    };
    let mut response = match found {
        Some(response) => response,
        // The pages of the user interface are told apart behind `#`, so there is one address for all.
        None if path == "/" => missing(),
        None => return nothing_here(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("x-frame-options"),
        HeaderValue::from_static("DENY"),
    );
    // The build names files in `assets` by their content; all others are asked for again.
    let cache = match path.starts_with("/assets/") && response.status().is_success() {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// A file of the user interface, if there is one at this path.
async fn file(dist: &Path, request: Request) -> Option<Response> {
    let found = serve(&ServeDir::new(dist), request).await;
    (found.status() != StatusCode::NOT_FOUND).then_some(found)
}

fn nothing_here() -> Response {
    error::compatible(&Error::new(
        ErrorCode::NotFound,
        "There is nothing under this address",
    ))
}

async fn serve(folder: &ServeDir, request: Request) -> Response {
    match folder.clone().oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

fn missing() -> Response {
    (
        StatusCode::OK,
        [(CONTENT_TYPE, "text/html; charset=utf-8")],
        MISSING,
    )
        .into_response()
}
