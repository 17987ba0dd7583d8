//! The user interface for a browser, from the folder that the build writes.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use countersign_app::Error;
use countersign_domain::ErrorCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY};
use http::{HeaderValue, Method, StatusCode, Uri};
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

/// Whatever no other route has: a file of the user interface, one of its pages, or 404.
pub(super) async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.uri().path().starts_with("/api/") {
        return error::compatible(&Error::new(
            ErrorCode::NotFound,
            "There is nothing under this address",
        ));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return error::method_not_allowed(request.method(), Some("GET, HEAD"));
    }
    let path = request.uri().path().to_owned();
    let mut response = match &shared.options.dist {
        Some(dist) => file(dist, request).await,
        None => missing(&path),
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

async fn file(dist: &Path, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let folder = ServeDir::new(dist);
    let mut index = Request::new(Body::empty());
    *index.method_mut() = request.method().clone();
    *index.uri_mut() = Uri::from_static("/index.html");
    let found = serve(&folder, request).await;
    if found.status() != StatusCode::NOT_FOUND || is_file_name(&path) {
        return found;
    }
    // Addresses inside the user interface, `/approvals/…`, are all its one page.
    let index = serve(&folder, index).await;
    if index.status() == StatusCode::NOT_FOUND {
        missing(&path)
    } else {
        index
    }
}

async fn serve(folder: &ServeDir, request: Request) -> Response {
    match folder.clone().oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

fn is_file_name(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|last| last.contains('.'))
}

fn missing(path: &str) -> Response {
    let status = if is_file_name(path) {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], MISSING).into_response()
}
