//! The user interface for a browser, from the folder that the build writes.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, Method, StatusCode, Uri};
use tower_http::services::ServeDir;

use crate::error;
use crate::front::Shared;

/// Everything from this server, nothing inline, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The one address of all pages of the user interface: it tells them apart behind `#`.
const PAGE: &str = "/";

/// What is served at `/` by a host without pages that has a window.
const IN_THE_WINDOW: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Countersign</title>\n\
    <h1>Countersign runs as the desktop app</h1>\n\
    <p>Its inbox is its window. If you do not see it, start Countersign again: that shows it.\n\
    <p>For the inbox in a browser, quit the app and run <code>countersign serve</code>.\n\
    <p>Webhooks and the management API are served here.\n</html>\n";

/// And by one that has none.
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Countersign</title>\n\
    <h1>Countersign runs</h1>\n\
    <p>The user interface was not built, so there is nothing to show here. Build it with \
    <code>npm --prefix ui ci &amp;&amp; npm --prefix ui run build</code> and start again.\n\
    <p>Webhooks and the management API work without it.\n</html>\n";

/// Whatever no other route has: a file of the user interface, its page, or 404.
pub(super) async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("/api/") {
        return error::compatible(&error::nothing_here());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return error::method_not_allowed(request.method(), Some("GET, HEAD"));
    }
    let found = match &shared.options.dist {
        Some(dist) => file(dist, request).await,
        None => None,
    };
    let mut response = match found {
        Some(response) => response,
        None if path == PAGE => no_pages(shared.app.has_window()),
        None => return error::compatible(&error::nothing_here()),
    };
    // The build names files in `assets` by their content; all others are asked for again.
    let cache = match path.starts_with("/assets/") && response.status().is_success() {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, cache),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A file of the user interface, if there is one at this path. A folder is none, and neither is a name that no
/// file can have.
async fn file(dist: &Path, mut request: Request) -> Option<Response> {
    if request.uri().path() == PAGE {
        *request.uri_mut() = Uri::from_static("/index.html");
    }
    let mut folder = ServeDir::new(dist).append_index_html_on_directories(false);
    match folder.try_call(request).await {
        Ok(found) => (found.status() != StatusCode::NOT_FOUND).then(|| found.map(Body::new)),
        Err(error) => {
            tracing::debug!(%error, "a file of the user interface could not be read");
            None
        }
    }
}

fn no_pages(has_window: bool) -> Response {
    (
        StatusCode::OK,
        [(CONTENT_TYPE, "text/html; charset=utf-8")],
        if has_window { IN_THE_WINDOW } else { NOT_BUILT },
    )
        .into_response()
}
