//! One adapter a route: signature, one call, error conversion.

mod approvals;
mod callbacks;
mod chatflows;
mod connections;
mod events;
mod executions;
mod health;
mod open;
mod prediction;
mod reply;
mod settings;
mod status;
mod ui;
mod variables;
pub(crate) mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use countersign_app::Error;
use countersign_domain::ErrorCode;
use http::request::Parts;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{self, Failure};
use crate::front::Shared;

type Answer = Result<Response, Failure>;

/// The identifier in the path. One that is not text in UTF-8 is refused as every other bad request is.
struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(invalid("The address is not well-formed.".to_owned())),
        }
    }
}

/// Everything but the webhooks. The token was checked before.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let v1 = Router::new()
        .route("/ping", get(health::ping))
        .route("/prediction", post(prediction::no_flow))
        .route("/prediction/{id}", post(prediction::call))
        .route("/chatflows", get(chatflows::list).post(chatflows::import))
        .route(
            "/chatflows/{id}",
            get(chatflows::show)
                .put(chatflows::replace)
                .delete(chatflows::delete),
        )
        .route(
            "/chatflows/{id}/webhook-secret",
            post(chatflows::create_secret).delete(chatflows::delete_secret),
        )
        .route(
            "/chatflows/{id}/policy",
            get(chatflows::policy).put(chatflows::set_policy),
        )
        .route("/chatflows/{id}/schedule", patch(chatflows::change_schedule))
        .route("/chatflows/{id}/move-secrets", post(chatflows::move_secrets))
        .route("/chatflows/{id}/start", post(chatflows::start))
        .route("/chatflows/{id}/dry-run", post(chatflows::dry_run))
        .route("/executions", get(executions::list))
        .route("/executions/{id}", get(executions::show))
        .route("/executions/{id}/continue", post(executions::go_on))
        .route("/executions/{id}/cancel", post(executions::cancel))
        .route("/variables", get(variables::list))
        .route("/variables/{name}", put(variables::set).delete(variables::delete))
        .route("/connections", get(connections::list))
        .route(
            "/connections/{name}",
            put(connections::set).delete(connections::delete),
        )
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::show))
        .route("/approvals/{id}/decision", post(approvals::decide))
        .route("/approvals/{id}/cancel", post(approvals::cancel))
        .route("/approvals/{id}/wait", get(approvals::wait))
        .route("/callbacks", get(callbacks::list))
        .route("/callbacks/{id}", get(callbacks::show))
        .route("/callbacks/{id}/redeliver", post(callbacks::redeliver))
        .route("/settings", get(settings::show).patch(settings::change))
        .route("/settings/test-callback", post(settings::test_callback))
        .route("/settings/test-notification", post(settings::test_notification))
        .route("/open", post(open::show))
        .route("/status", get(status::show))
        .route("/events", get(events::stream));
    Router::new()
        .nest("/api/v1", v1)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(ui::page)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn wrong_method(request: Request) -> Response {
    error::method_not_allowed(request.method(), None)
}

/// 200 with this value.
fn ok(value: &impl Serialize) -> Response {
    error::json(StatusCode::OK, value)
}

fn invalid(message: String) -> Failure {
    Failure(Error::new(ErrorCode::Invalid, message))
}

/// The query of the URL as one of the wire types.
fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    match Query::<T>::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(invalid(format!(
            "The query is not understood: {}",
            rejection.body_text()
        ))),
    }
}

/// The JSON body of a request as text.
async fn text(shared: &Shared, request: Request) -> Result<String, Failure> {
    let (parts, body) = request.into_parts();
    Ok(shared.bodies.text(&parts.headers, body).await?)
}

/// The JSON body of a request as one of the wire types.
async fn body<T: DeserializeOwned>(shared: &Shared, request: Request) -> Result<T, Failure> {
    let text = text(shared, request).await?;
    // A list would be read as the fields in their order, but an answer must name what it says.
    if !text.trim_start().starts_with('{') {
        return Err(invalid("The body must be a JSON object.".to_owned()));
    }
    serde_json::from_str(&text).map_err(|error| invalid(format!("The body is not understood: {error}")))
}

/// 204.
fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
