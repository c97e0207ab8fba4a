//! Rules as a page shows and changes them.

use super::pages::{encoded, field};
use super::*;
use crate::types::{Effect, Secret};

impl Site {
    fn default_of_shop(&self) -> Effect {
        self.registry.get("shop").unwrap().config.policy.default
    }

    fn rules_of_shop(&self) -> Vec<String> {
        let shop = self.registry.get("shop").unwrap();
        crate::policy::rules(&shop.config.policy)
            .map(|rule| format!("{rule}: {}", rule.effect()))
            .collect()
    }
}

#[tokio::test]
async fn rules_are_set_and_removed_for_patterns_and_conditions() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let small = r#"{"arguments":{"/amount":{"max":1000}}}"#;
    for fields in [
        encoded(&[("effect", "deny")]),
        encoded(&[("tool", "list_*"), ("effect", "allow")]),
        encoded(&[("tool", "pay"), ("conditions", small), ("effect", "allow")]),
    ] {
        let set = signed.answer("/ui/policies/shop/set", &fields).await;
        assert_eq!(set.headers()["location"], "/ui/policies#server-shop");
    }
    assert_eq!(site.default_of_shop(), Effect::Deny);
    let rules = site.rules_of_shop();
    assert_eq!(rules.len(), 2, "{rules:?}");
    let page = text(signed.get("/ui/policies").await).await;
    for shown in ["list_*", "pay with /amount at most 1000", "never allow"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    // As the form of the row sends it.
    let row = &page[page.find("value=\"pay\"").unwrap()..];
    let conditions = field(row, "conditions").replace("&quot;", "\"");
    let row = encoded(&[("tool", "pay"), ("conditions", &conditions)]);
    signed.answer("/ui/policies/shop/unset", &row).await;
    assert_eq!(site.rules_of_shop(), ["list_*: allow"]);
    let gone = signed.answer("/ui/policies/shop/unset", &row).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    let back = encoded(&[("tool", "pay"), ("effect", "ask"), ("back", "tools")]);
    let set = signed.answer("/ui/policies/shop/set", &back).await;
    assert_eq!(set.headers()["location"], "/ui/tools/shop");
}

#[tokio::test]
async fn what_is_no_rule_changes_nothing() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    for (fields, said) in [
        (
            encoded(&[("tool", "pay"), ("effect", "<b>")]),
            "is not a policy",
        ),
        (encoded(&[("tool", "pay")]), "is not a policy"),
        (encoded(&[("tool", "[x]"), ("effect", "deny")]), "tool: "),
        (
            encoded(&[
                ("tool", "x"),
                ("conditions", "{\"a\":1}"),
                ("effect", "deny"),
            ]),
            "conditions: ",
        ),
    ] {
        let refused = signed.answer("/ui/policies/shop/set", &fields).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{fields}");
        let page = text(refused).await;
        assert!(page.contains(said) && !page.contains("<b>"), "{page}");
    }
    let nobody = signed
        .answer("/ui/policies/nobody/set", "effect=deny")
        .await;
    assert_eq!(nobody.status(), StatusCode::NOT_FOUND);
    assert!(site.rules_of_shop().is_empty());
    assert_eq!(site.default_of_shop(), Effect::Ask);
}

#[tokio::test]
async fn loosening_asks_for_the_pin_and_tightening_does_not() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let pin = Secret::new("2468");
    let set = site
        .approvals
        .set_pin(&pin, None, crate::types::Decider::Daemon);
    set.await.unwrap();
    let looser = [("tool", "pay"), ("effect", "allow")];
    let asked = signed
        .answer("/ui/policies/shop/set", &encoded(&looser))
        .await;
    assert_eq!(asked.status(), StatusCode::FORBIDDEN);
    let page = text(asked).await;
    for shown in [
        "This lets more through",
        "pay: always allow",
        "action=\"/ui/policies/shop/set\"",
        "name=\"tool\" value=\"pay\"",
        "name=\"effect\" value=\"allow\"",
        "name=\"pin\"",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert_eq!(
        page.matches("name=\"csrf\"").count(),
        2,
        "its own, and signing out"
    );
    let with = |pin| encoded(&[looser[0], looser[1], ("pin", pin)]);
    let wrong = signed.answer("/ui/policies/shop/set", &with("1")).await;
    let page = text(wrong).await;
    assert!(
        page.contains("wrong") && !page.contains("value=\"1\""),
        "{page}"
    );
    assert!(site.rules_of_shop().is_empty());
    signed.answer("/ui/policies/shop/set", &with("2468")).await;
    assert_eq!(site.rules_of_shop(), ["pay: allow"]);
    for (act, fields) in [
        ("set", "effect=deny"),
        ("unset", "tool=pay"),
        ("options", "trusted=false"),
    ] {
        let path = format!("/ui/policies/shop/{act}");
        let done = signed.answer(&path, fields).await;
        assert_eq!(done.status(), StatusCode::SEE_OTHER, "{act}");
    }
    let trust = signed
        .answer("/ui/policies/shop/options", "trusted=true")
        .await;
    assert_eq!(trust.status(), StatusCode::FORBIDDEN);
    assert!(!site.registry.get("shop").unwrap().config.trusted);
}

#[tokio::test]
async fn no_change_is_made_by_looking_or_for_another_site() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let other = site.sign_in().await;
    let token = format!("csrf={}&effect=allow&trusted=true", signed.csrf);
    let foreign_token = format!("csrf={}&effect=allow", other.csrf);
    for path in [
        "/ui/policies/shop/set",
        "/ui/policies/shop/unset",
        "/ui/policies/shop/options",
        "/ui/tools/shop/approve",
        "/ui/servers/shop/login",
        "/ui/audit/verify",
        "/approvals/grants/aaaaaaaaaaaa/revoke",
    ] {
        let looked = signed.get(path).await;
        assert_eq!(looked.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let stranger = site.send(Method::POST, path, &form, &token).await;
        assert_eq!(stranger.status(), StatusCode::FORBIDDEN, "{path}");
        for (headers, body) in [
            (vec![], "effect=allow"),
            (vec![], foreign_token.as_str()),
            (vec![("origin", "https://evil.example")], &token),
            (vec![("sec-fetch-site", "same-site")], &token),
        ] {
            let refused = signed.post(path, &headers, body).await;
            assert_eq!(
                refused.status(),
                StatusCode::FORBIDDEN,
                "{path} {headers:?}"
            );
        }
    }
    assert_eq!(site.default_of_shop(), Effect::Ask);
    assert!(!site.registry.get("shop").unwrap().config.trusted);
}
