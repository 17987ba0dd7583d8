//! The user interface for a browser.

use axum::body::Body;
use countersign_server::Options;

use crate::support::{House, request};

async fn get(house: &House, path: &str) -> crate::support::Answer {
    house.send(request("GET", path, &[], Body::empty())).await
}

#[tokio::test]
async fn pages_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let dist = dir.path().join("dist");
    std::fs::create_dir_all(dist.join("assets")).unwrap();
    std::fs::write(dist.join("index.html"), "<!doctype html><title>Inbox</title>").unwrap();
    std::fs::write(dist.join("assets/app-1a2b.js"), "export {}").unwrap();
    std::fs::write(dir.path().join("secret.txt"), "secret").unwrap();
    let house = House::with(Options {
        dist: Some(dist),
        ..Options::default()
    })
    .await;

    for path in ["/", "/index.html", "/?approval=1"] {
        let page = get(&house, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text.contains("<title>Inbox"), "{path}: {page:?}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(page.header("cache-control"), "no-cache", "{path}");
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
    }
    let script = get(&house, "/assets/app-1a2b.js").await;
    assert_eq!(script.text, "export {}");
    assert!(script.header("content-type").contains("javascript"), "{script:?}");
    assert!(script.header("cache-control").contains("immutable"), "{script:?}");

    // What is not there is not the page: a monitor that asks for figures must not take it for them.
    for path in ["/metrics", "/openapi.json", "/approvals/01890000", "/flows"] {
        let answer = get(&house, path).await;
        assert_eq!(answer.refusal().0, 404, "{path}");
    }
    let long = format!("/{}", "x".repeat(300));
    for path in [
        "/assets",
        "/assets/",
        "//assets",
        "/index.html/x",
        "/%00",
        "/%ff",
        "/healthz/",
        "/api",
        &long,
    ] {
        let answer = get(&house, path).await;
        assert_eq!(answer.refusal().0, 404, "{path}");
    }
    for path in [
        "/assets/gone.js",
        "/favicon.ico",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
    ] {
        let answer = get(&house, path).await;
        assert_eq!(answer.refusal().0, 404, "{path}: {answer:?}");
        assert!(!answer.text.contains("secret"), "{path}");
    }
    let head = house.send(request("HEAD", "/", &[], Body::empty())).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    let post = house.send(request("POST", "/", &[], Body::empty())).await;
    assert_eq!((post.refusal().0, post.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn without_a_build_it_says_how() {
    let empty = tempfile::tempdir().unwrap();
    for dist in [None, Some(empty.path().to_owned())] {
        let house = House::with(Options {
            dist,
            ..Options::default()
        })
        .await;
        let page = get(&house, "/").await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text.contains("npm --prefix ui run build"), "{page:?}");
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'"),
            "{page:?}"
        );
        assert_eq!(get(&house, "/favicon.ico").await.status, 404);
    }
}

#[tokio::test]
async fn without_pages_it_is_said_where_the_inbox_is() {
    let house = House::with(Options::default()).await;
    let page = get(&house, "/").await;
    assert!(
        page.text.contains("was not built") && page.text.contains("npm"),
        "a host for the browser: {page:?}"
    );
    // Whoever hears of these requests has a window, as the desktop app.
    let window = house.app.open_requests();
    let page = get(&house, "/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("desktop app") && page.text.contains("countersign serve"),
        "{page:?}"
    );
    assert!(!page.text.contains("npm"), "nothing is to be built: {page:?}");
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self'")
    );
    drop(window);
    assert!(get(&house, "/").await.text.contains("was not built"));
}
