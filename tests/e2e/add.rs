//! One command adds a server, and it works through localhost when the command returns.

use mcpbridge_tests::authz::{ClientAuth, Iss, MetadataAt, ResourceRule};
use mcpbridge_tests::mcp::{Access, PrmAt};
use mcpbridge_tests::{AsOptions, Scenario, browser};
use serde_json::json;

async fn greets(scenario: &Scenario, server: &str) {
    let answer = scenario
        .call(server, "hello_world", json!({ "name": "World" }))
        .await;
    answer.assert_text("Hello, World!");
}

#[tokio::test]
async fn one_command_makes_a_server_usable_in_both_eras() {
    let scenario = Scenario::start().await;
    scenario.add("hello").await;
    greets(&scenario, "hello").await;
    let legacy = scenario.legacy_client("hello").await;
    legacy
        .call("server_info", json!({}))
        .await
        .assert_text("mcpbridge demo server 1.0");
    let shown = scenario.show("hello").await;
    assert_eq!(shown["state"], "active");
    assert_eq!(shown["issuer"], scenario.authz.issuer());
    assert_eq!(shown["resource"], scenario.mcp.resource());
    assert_eq!(shown["proxy_url"], scenario.daemon.mcp_url("hello"));
    let authz = &scenario.authz;
    assert_eq!(
        (
            authz.registrations(),
            authz.code_exchanges(),
            authz.refreshes()
        ),
        (1, 1, 0)
    );
    scenario.finish().await;
}

#[tokio::test]
async fn every_authorization_server_variant_is_understood() {
    let variants = [
        AsOptions {
            client_auth: ClientAuth::Basic,
            ..AsOptions::default()
        },
        AsOptions {
            client_auth: ClientAuth::Post,
            ..AsOptions::default()
        },
        AsOptions {
            issuer_path: "/tenant1".to_owned(),
            ..AsOptions::default()
        },
        AsOptions {
            metadata: MetadataAt::OidcInserted,
            ..AsOptions::default()
        },
        AsOptions {
            issuer_path: "/tenant1".to_owned(),
            metadata: MetadataAt::OidcInserted,
            ..AsOptions::default()
        },
        AsOptions {
            issuer_path: "/tenant1".to_owned(),
            metadata: MetadataAt::OidcAppended,
            ..AsOptions::default()
        },
        AsOptions {
            iss: Iss::SentUnadvertised,
            ..AsOptions::default()
        },
        AsOptions {
            iss: Iss::Absent,
            ..AsOptions::default()
        },
        AsOptions {
            revocation: false,
            ..AsOptions::default()
        },
        AsOptions {
            refresh_tokens: false,
            expires_in: false,
            ..AsOptions::default()
        },
    ];
    for options in variants {
        let scenario = Scenario::builder().authz(options).start().await;
        scenario.add("hello").await;
        greets(&scenario, "hello").await;
        scenario.finish().await;
    }
}

#[tokio::test]
async fn resource_metadata_is_found_by_header_and_by_both_well_known_paths() {
    for (prm, named) in [
        (PrmAt::Header, true),
        (PrmAt::Root, true),
        (PrmAt::Path, false),
        (PrmAt::Root, false),
    ] {
        let builder = Scenario::builder().mcp(move |mcp| {
            mcp.prm = prm;
            mcp.challenge_names_prm = named;
        });
        let scenario = builder.start().await;
        scenario.add("hello").await;
        greets(&scenario, "hello").await;
        scenario.finish().await;
    }
}

#[tokio::test]
async fn a_resource_identifier_is_sent_byte_for_byte() {
    // A slash added or dropped by URL parsing would be another resource to this server.
    let scenario = Scenario::start().await;
    scenario.add("hello").await;
    for entry in scenario.authz.journal().entries() {
        if let Some(resource) = entry.param("resource") {
            assert_eq!(resource, scenario.mcp.resource());
        }
    }
    scenario.finish().await;
}

#[tokio::test]
async fn resource_is_left_out_when_told_so() {
    let options = AsOptions {
        resource: ResourceRule::Refused,
        ..AsOptions::default()
    };
    let scenario = Scenario::builder().authz(options).start().await;
    scenario.add_with("hello", &["--resource", "none"]).await;
    greets(&scenario, "hello").await;
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    greets(&scenario, "hello").await;
    scenario.finish().await;
}

#[tokio::test]
async fn the_challenge_decides_the_scope_and_the_metadata_when_it_names_none() {
    for (scope, expected) in [(Some("tools:read"), "tools:read"), (None, "mcp extra")] {
        let options = AsOptions {
            scopes: vec!["mcp".to_owned(), "extra".to_owned()],
            ..AsOptions::default()
        };
        let builder = Scenario::builder().authz(options);
        let builder = builder.mcp(move |mcp| mcp.scope = scope.map(str::to_owned));
        let scenario = builder.start().await;
        scenario.add("hello").await;
        let asked = scenario
            .authz
            .journal()
            .of(mcpbridge_tests::authz::Endpoint::Authorize);
        assert_eq!(asked[0].param("scope"), Some(expected));
        scenario.finish().await;
    }
}

#[tokio::test]
async fn a_client_registered_by_hand_is_used_with_its_secret() {
    let options = AsOptions {
        client_auth: ClientAuth::Basic,
        registration: false,
        ..AsOptions::default()
    };
    let scenario = Scenario::builder().authz(options).start().await;
    let redirect = format!("{}/callback", scenario.daemon.base_url());
    let client = scenario
        .authz
        .preregister("by-hand", ClientAuth::Basic, &[&redirect]);
    let url = scenario.mcp.url();
    let arguments = ["add", "hello", &url, "--no-browser", "--policy", "allow"];
    let more = ["--client-id", "by-hand", "--client-secret-stdin"];
    let mut adding = scenario.ctl.spawn(&[&arguments[..], &more].concat());
    adding.write(&format!("{}\n", client.secret.unwrap())).await;
    let url = adding.authorization_url().await;
    assert_eq!(browser::consent(&url).await.status, 200);
    adding.wait().await.success();
    greets(&scenario, "hello").await;
    assert_eq!(scenario.show("hello").await["client_id"], "by-hand");
    assert_eq!(scenario.authz.registrations(), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn a_client_metadata_document_goes_before_registration() {
    let options = AsOptions {
        cimd: true,
        ..AsOptions::default()
    };
    let scenario = Scenario::builder().authz(options).start().await;
    let document = "https://client.example/mcp-bridge.json";
    scenario
        .add_with("hello", &["--client-metadata-url", document])
        .await;
    greets(&scenario, "hello").await;
    assert_eq!(scenario.show("hello").await["client_id"], document);
    assert_eq!(scenario.authz.registrations(), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn without_any_way_to_register_the_user_is_asked_for_a_client_id() {
    let options = AsOptions {
        registration: false,
        ..AsOptions::default()
    };
    let scenario = Scenario::builder().authz(options).start().await;
    let url = scenario.mcp.url();
    let output = scenario
        .ctl
        .run(&["add", "hello", &url, "--no-browser"])
        .await;
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("--client-id"), "{}", output.stderr);
    scenario.finish().await;
}

#[tokio::test]
async fn the_redirect_url_can_be_pasted() {
    let scenario = Scenario::start().await;
    let url = scenario.mcp.url();
    let arguments = ["add", "hello", &url, "--no-browser", "--policy", "allow"];
    let mut adding = scenario.ctl.spawn(&arguments);
    let url = adding.authorization_url().await;
    let redirect = browser::redirect_url(&url).await;
    adding.write(&format!("{redirect}\n")).await;
    adding.wait().await.success();
    greets(&scenario, "hello").await;
    scenario.finish().await;
}

#[tokio::test]
async fn json_output_is_one_event_per_line() {
    let scenario = Scenario::start().await;
    let url = scenario.mcp.url();
    let arguments = [
        "--json",
        "add",
        "hello",
        &url,
        "--no-browser",
        "--policy",
        "allow",
    ];
    let mut adding = scenario.ctl.spawn(&arguments);
    let consent_url = loop {
        let line = adding.line().await.expect("an event with the URL");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "authorization_required" {
            break event["url"].as_str().unwrap().to_owned();
        }
    };
    browser::consent(&consent_url).await;
    let events = adding.wait().await.success().json_lines();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["server"]["state"]),
        (&json!("completed"), &json!("active"))
    );
    scenario.finish().await;
}

#[tokio::test]
async fn adds_of_the_same_server_share_one_login() {
    let scenario = Scenario::start().await;
    let url = scenario.mcp.url();
    let arguments = ["add", "hello", &url, "--no-browser", "--policy", "allow"];
    let (mut one, mut two) = (
        scenario.ctl.spawn(&arguments),
        scenario.ctl.spawn(&arguments),
    );
    let (first, second) = (one.authorization_url().await, two.authorization_url().await);
    assert_eq!(first, second);
    browser::consent(&first).await;
    one.wait().await.success();
    two.wait().await.success();
    let authz = &scenario.authz;
    assert_eq!((authz.registrations(), authz.code_exchanges()), (1, 1));
    scenario.finish().await;
}

#[tokio::test]
async fn a_login_goes_on_when_the_command_that_started_it_is_gone() {
    let scenario = Scenario::start().await;
    let url = scenario.mcp.url();
    let arguments = ["add", "hello", &url, "--no-browser", "--policy", "allow"];
    let mut adding = scenario.ctl.spawn(&arguments);
    let url = adding.authorization_url().await;
    adding.interrupt();
    adding.wait().await;
    browser::consent(&url).await;
    scenario.await_state("hello", "active").await;
    greets(&scenario, "hello").await;
    scenario.finish().await;
}

#[tokio::test]
async fn a_fixed_header_or_bearer_works_without_oauth_and_stays_in_the_vault() {
    let builder = Scenario::builder().mcp(|mcp| {
        mcp.access = Access::Header("authorization", "Bearer static-aB3dE6gH9jK2".to_owned());
    });
    let scenario = builder.start().await;
    scenario.secrets.remember("bearer", "static-aB3dE6gH9jK2");
    scenario
        .add_static("bearer", &["--bearer-stdin"], "static-aB3dE6gH9jK2\n")
        .await;
    greets(&scenario, "bearer").await;
    // A header on the command line is the user's choice; it must not come back out of the product.
    let header = "Authorization: Bearer static-aB3dE6gH9jK2";
    scenario
        .add_static("header", &["--header", header], "")
        .await;
    greets(&scenario, "header").await;
    let shown = scenario.show("bearer").await;
    assert_eq!(
        (&shown["auth"], &shown["state"]),
        (&json!("static"), &json!("active"))
    );
    assert_eq!(scenario.authz.journal().entries().len(), 0, "no OAuth");
    scenario.finish().await;
}

#[tokio::test]
async fn a_server_without_authentication_needs_no_login() {
    for options in [&["--no-auth"][..], &[]] {
        let scenario = Scenario::builder()
            .mcp(|mcp| mcp.access = Access::Open)
            .start()
            .await;
        scenario.add_static("open", options, "").await;
        greets(&scenario, "open").await;
        assert_eq!(scenario.authz.journal().entries().len(), 0);
        scenario.finish().await;
    }
}
