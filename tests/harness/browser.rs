//! A scripted browser: follows redirects, agrees on a consent page, ends on the product's callback.

use url::Url;

use crate::client;

#[derive(Debug)]
pub struct Page {
    pub status: u16,
    /// Every URL visited, the last one included.
    pub visited: Vec<Url>,
    pub body: String,
}

impl Page {
    pub fn url(&self) -> &Url {
        self.visited.last().unwrap()
    }
}

/// Opens `url` and follows redirects to their end.
///
/// # Panics
/// When a server on the way cannot be reached or redirects without end.
pub async fn visit(url: &str) -> Page {
    follow(client::http().get(url), Url::parse(url).unwrap()).await
}

/// Opens `url` and presses "Allow" if there is a consent page.
pub async fn consent(url: &str) -> Page {
    let page = visit(url).await;
    if !page.body.contains("<form") {
        return page;
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for input in page.body.split("<input ").skip(1) {
        form.append_pair(&attribute(input, "name"), &attribute(input, "value"));
    }
    form.append_pair("decision", "allow");
    let action = page.url().join(&attribute(&page.body, "action")).unwrap();
    let post = client::http()
        .post(action.clone())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish());
    let mut end = follow(post, action).await;
    end.visited = [page.visited, end.visited].concat();
    end
}

/// Opens `url` and stops before the redirect to the product: what a person copies out of the address bar
/// of a browser on another machine.
pub async fn redirect_url(url: &str) -> Url {
    let response = client::http().get(url).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap();
    Url::parse(location).unwrap()
}

async fn follow(mut request: reqwest::RequestBuilder, mut url: Url) -> Page {
    let mut visited = Vec::new();
    loop {
        let response = request.send().await.unwrap();
        visited.push(url.clone());
        assert!(visited.len() < 10, "redirects without end: {visited:?}");
        let location = response
            .headers()
            .get("location")
            .filter(|_| response.status().is_redirection());
        match location {
            Some(location) => {
                url = url.join(location.to_str().unwrap()).unwrap();
                request = client::http().get(url.clone());
            }
            None => {
                let status = response.status().as_u16();
                let body = response.text().await.unwrap();
                return Page {
                    status,
                    visited,
                    body,
                };
            }
        }
    }
}

/// The value of the first attribute `name` in `tag`.
fn attribute(tag: &str, name: &str) -> String {
    let marker = format!("{name}=\"");
    let Some(start) = tag.find(&marker) else {
        return String::new();
    };
    let value = tag[start + marker.len()..]
        .split('"')
        .next()
        .unwrap_or_default();
    value
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&amp;", "&")
}
