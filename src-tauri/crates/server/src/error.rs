//! Refusals and faults as HTTP answers, in the body of Flowise plus a code (webhook spec §5).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use countersign_app::Error;
use countersign_app::view::ApprovalSummary;
use countersign_domain::ErrorCode;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::auth::Refused;

/// The body of every error answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    status_code: u16,
    success: bool,
    message: &'a str,
    /// Always `{}`, as Flowise sends it outside development.
    stack: Map<String, Value>,
    code: ErrorCode,
    /// The approval that has an answer already; only in the management API.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalSummary>,
}

/// What a management route answers when its use case refuses.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let approval = self.0.approval.as_deref().map(ApprovalSummary::in_list);
        answer(&self.0, approval)
    }
}

/// The answer of a route that Flowise has as well: its four keys and the code, nothing else.
pub(crate) fn compatible(error: &Error) -> Response {
    answer(error, None)
}

fn answer(error: &Error, approval: Option<ApprovalSummary>) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::warn!(code = ?error.code, source = ?error.source, "{error}");
    } else {
        tracing::debug!(code = ?error.code, source = ?error.source, "{error}");
    }
    let body = ErrorBody {
        status_code: status.as_u16(),
        success: false,
        message: &error.message,
        stack: Map::new(),
        code: error.code,
        approval,
    };
    let mut response = json(status, &body);
    let retry = match error.code {
        ErrorCode::StorageUnavailable | ErrorCode::ShuttingDown => Some("5"),
        ErrorCode::TooManyRequests => Some("10"),
        _ => None,
    };
    if let Some(seconds) = retry {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    response
}

/// 404 for an address that is no route, no page and no file.
pub(crate) fn nothing_here() -> Error {
    Error::new(ErrorCode::NotFound, "There is nothing under this address")
}

/// A value as a JSON answer.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => json_text(status, text),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            json_text(
                StatusCode::INTERNAL_SERVER_ERROR,
                r#"{"statusCode":500,"success":false,"message":"The answer could not be written","stack":{},"code":"internal"}"#,
            )
        }
    }
}

/// JSON text as an answer.
pub(crate) fn json_text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a management call without the right token gets: 401 in Flowise's own words for it (conformance case
/// gate-stored), which have another shape than all other errors.
pub(crate) fn unauthorized(refused: &Refused) -> Response {
    match refused {
        Refused::Unauthorized => {
            let mut response = json_text(StatusCode::UNAUTHORIZED, r#"{"error":"Unauthorized Access"}"#);
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Refused::TooMany(wait) => {
            let error = Error::new(
                ErrorCode::TooManyRequests,
                "Too many wrong tokens: wait a little, or send the right one",
            );
            let mut response = compatible(&error);
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
            response
        }
    }
}

/// 405 for a management route or a page; axum adds which methods it has.
pub(crate) fn method_not_allowed(method: &http::Method, allow: Option<&'static str>) -> Response {
    let error = Error::new(
        ErrorCode::MethodNotAllowed,
        format!("Method {method} not allowed"),
    );
    let mut response = compatible(&error);
    if let Some(allow) = allow {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}
