//! The least that a server can do with a webhook: reads the body, answers fixed bytes. `script/bench` measures
//! it beside Countersign, so that figures of two machines can be compared by their ratio.
//!
//! `bare [ADDRESS] [FILE]`: listens on ADDRESS (`127.0.0.1:0`), answers the bytes of FILE as JSON. The environment
//! variables `BARE_LISTEN` and `BARE_ANSWER` (the path of the file) say the same. Prints the address when ready.

use axum::Router;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::CONTENT_TYPE;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().or_else(|| std::env::var("BARE_LISTEN").ok());
    let file = arguments.next().or_else(|| std::env::var("BARE_ANSWER").ok());
    let answer = match file {
        Some(file) => Bytes::from(std::fs::read(file)?),
        None => Bytes::from_static(br#"{"text":"ok"}"#),
    };
    let handler = move |body: Bytes| async move {
        std::hint::black_box(&body);
        ([(CONTENT_TYPE, "application/json")], answer).into_response()
    };
    let listener = tokio::net::TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    #[expect(clippy::print_stdout, reason = "whoever started this needs the address")]
    {
        println!("{}", listener.local_addr()?);
    }
    axum::serve(listener, Router::new().fallback(handler)).await
}
