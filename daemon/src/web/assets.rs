//! Style and script, kept by hand and built in. Their names hold a digest of what they say, so that
//! browsers keep them for good and still see the next version at once.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::types::Digest;

struct Asset {
    name: String,
    content_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, text: &'static str) -> Self {
        let digest = Digest::of(text.as_bytes()).short();
        Self {
            name: format!("{stem}.{digest}.{extension}"),
            content_type,
            text,
        }
    }
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/app.css");
    Asset::new("app", "css", "text/css; charset=utf-8", text)
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/app.js");
    Asset::new("app", "js", "text/javascript; charset=utf-8", text)
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/icon.svg");
    Asset::new("icon", "svg", "image/svg+xml", text)
});

pub(super) fn style() -> String {
    address(&STYLE)
}

pub(super) fn script() -> String {
    address(&SCRIPT)
}

pub(super) fn icon() -> String {
    address(&ICON)
}

fn address(asset: &Asset) -> String {
    format!("/ui/assets/{}", asset.name)
}

pub(super) async fn asset(Path(file): Path<String>) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let Some(asset) = all.into_iter().find(|asset| asset.name == file) else {
        return super::no_such_page().await.into_response();
    };
    let headers = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.text).into_response()
}
