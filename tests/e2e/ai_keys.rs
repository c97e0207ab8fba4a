//! Whose key goes to which model API, and that none goes anywhere else.

use std::path::Path;

use mcpbridge_tests::ai::{FakeAi, Kind};
use mcpbridge_tests::terminal::Terminal;
use mcpbridge_tests::{bins, wait};
use reqwest::Method;
use serde_json::{Value, json};

use crate::ai_pass::{World, error_of, sent};

/// A client token of ours that everything is searched for in the end.
pub(crate) async fn token(world: &World, name: &str) -> String {
    let added = world
        .scenario
        .ctl
        .run_quietly(&["client", "add", name])
        .await;
    let token = added.success().stdout.trim_end().to_owned();
    world.scenario.secrets.remember("client token", &token);
    token
}

pub(crate) async fn set_key(world: &World, vendor: &str, key: &str) {
    let set = ["key", "set", vendor, "--stdin"];
    let set = world.scenario.ctl.run_with_input(&set, key).await.success();
    assert!(!set.stdout.contains(key) && !set.stderr.contains(key));
}

#[tokio::test]
async fn a_clients_own_key_reaches_its_vendor_and_nobody_else() {
    let world = World::start().await;
    let (openai, anthropic) = (world.openai.key(), world.anthropic.key());
    // Both keys in every request: each vendor gets its own alone.
    let both = world
        .request(Method::POST, "/openai/v1/files")
        .bearer_auth(openai)
        .header("x-api-key", anthropic);
    assert_eq!(sent(both.body("{}")).await.status(), 200);
    let own = world.request(Method::POST, "/anthropic/v1/files");
    let own = own.header("x-api-key", anthropic).header("api-key", openai);
    assert_eq!(sent(own.body("{}")).await.status(), 200);
    let newer = world.post("/anthropic/v1/files").body("{}");
    assert_eq!(sent(newer).await.status(), 200, "as Bearer");
    let none = sent(world.request(Method::POST, "/openai/v1/files")).await;
    let (status, said) = error_of("openai", none).await;
    assert_eq!(
        (status, said.as_str()),
        (401, "Incorrect API key provided.")
    );
    assert!(!world.openai.received(anthropic) && !world.anthropic.received(openai));
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_held_key_serves_clients_with_a_token_which_stays_here() {
    let mut world = World::start().await;
    let (openai, anthropic) = (
        world.openai.key().to_owned(),
        world.anthropic.key().to_owned(),
    );
    set_key(&world, "openai", &openai).await;
    set_key(&world, "anthropic", &anthropic).await;
    let token = token(&world, "agent").await;
    world.scenario.daemon.restart().await;
    for api in ["openai", "anthropic"] {
        let path = format!("/{api}/v1/files");
        let post = || world.request(Method::POST, &path).body("{}");
        for allowed in [
            post().bearer_auth(&token),
            post().header("x-api-key", &token),
            post().header("x-mcpbridge-token", &token),
            post()
                .header("x-mcpbridge-token", &token)
                .bearer_auth("sk-own"),
            post().bearer_auth(&token).header("x-note", &token),
        ] {
            assert_eq!(sent(allowed).await.status(), 200);
        }
        for (refused, reason) in [
            (post(), "mcpbridgectl client add NAME"),
            (post().bearer_auth("sk-own"), "mcpbridgectl client add NAME"),
            (post().bearer_auth(&openai), "mcpbridgectl client add NAME"),
            (post().bearer_auth("mcpb_made-up"), "not one of this bridge"),
            (
                post().header("x-mcpbridge-token", "sk-own"),
                "not one of this bridge",
            ),
            (
                post().bearer_auth(format!("{token} x")),
                "exactly one client token",
            ),
        ] {
            let (status, said) = error_of(api, sent(refused).await).await;
            assert_eq!(status, 401);
            assert!(said.contains(reason), "{said}");
            for secret in [&token, &openai, &anthropic] {
                assert!(!said.contains(secret.as_str()));
            }
        }
    }
    world
        .scenario
        .ctl
        .run(&["client", "revoke", "agent"])
        .await
        .success();
    let revoked = world
        .request(Method::POST, "/openai/v1/files")
        .bearer_auth(&token);
    assert_eq!(error_of("openai", sent(revoked).await).await.0, 401);
    for vendor in [&world.openai, &world.anthropic] {
        assert_eq!(vendor.requests().len(), 5);
        assert!(!vendor.received(&token) && !vendor.received("sk-own"));
    }
    assert!(!world.openai.received(&anthropic) && !world.anthropic.received(&openai));
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_token_that_is_required_goes_beside_the_clients_own_key() {
    let world = World::with(|config, _| config["require_client_token"] = json!(true)).await;
    let token = token(&world, "agent").await;
    let (status, said) = error_of("openai", sent(world.post("/openai/v1/files")).await).await;
    assert_eq!(status, 401);
    assert!(said.contains("mcpbridgectl client add NAME"), "{said}");
    let beside = world
        .post("/openai/v1/files")
        .header("X-MCPBridge-Token", &token);
    assert_eq!(sent(beside.body("{}")).await.status(), 200);
    // Alone it stands for a key that nobody has.
    let alone = world
        .request(Method::POST, "/openai/v1/files")
        .bearer_auth(&token);
    let (status, said) = error_of("openai", sent(alone).await).await;
    assert_eq!(status, 401);
    assert!(
        said.contains("mcpbridgectl key set openai --stdin"),
        "{said}"
    );
    assert!(!world.openai.received(&token));
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_model_of_another_vendor_is_asked_there_and_without_the_clients_key() {
    let local = FakeAi::start(Kind::OpenAi, None, 0).await;
    let url = local.url();
    let world = World::with(|_, ai| {
        ai["vendors"]["local"] = json!({ "url": url, "api": "openai", "needs_key": false });
        ai["vendors"]["far"] = json!({ "url": "https://far.example/v1", "api": "openai" });
        ai["models"] = json!({ "llama*": "local", "far-*": "far", "claude-*": "anthropic" });
    })
    .await;
    let embed = |model: &str| {
        let body = json!({ "model": model, "input": "x" });
        world.post("/openai/v1/embeddings").json(&body)
    };
    assert_eq!(sent(embed("llama3")).await.status(), 200);
    assert_eq!(local.requests().len(), 1);
    assert!(!local.received(world.openai.key()));
    let (status, said) = error_of("openai", sent(embed("far-1")).await).await;
    assert_eq!(status, 401);
    assert!(said.contains("mcpbridgectl key set far --stdin"), "{said}");
    // One that speaks another language cannot be meant where nothing is translated.
    for model in ["text-embedding-9", "claude-embed"] {
        assert_eq!(sent(embed(model)).await.status(), 200);
    }
    assert_eq!(world.openai.requests().len(), 2);
    assert!(world.anthropic.requests().is_empty());
    world.scenario.finish().await;
}

#[tokio::test]
async fn keys_are_stored_listed_and_removed_and_never_shown() {
    let world = World::start().await;
    let ctl = &world.scenario.ctl;
    let key = world.openai.key();
    let of = |listed: Value, name: &str| {
        let all = listed.as_array().unwrap().clone();
        all.into_iter().find(|one| one["name"] == name).unwrap()
    };
    let list = async || ctl.run(&["--json", "key", "list"]).await.success().json();
    assert_eq!(of(list().await, "openai")["key"], "client");
    let set = ["--json", "key", "set", "openai", "--stdin"];
    let set = ctl.run_with_input(&set, key).await.success().json();
    assert_eq!(set, json!({ "set": "openai" }));
    let openai = of(list().await, "openai");
    assert_eq!(
        (&openai["key"], &openai["api"]),
        (&json!("daemon"), &json!("openai"))
    );
    assert!(openai["set_at"].as_str().unwrap().starts_with("20"));
    assert_eq!(of(list().await, "anthropic")["key"], "client");
    let shown = ctl.run(&["key", "list"]).await.success().stdout;
    assert!(
        shown.contains("held here") && shown.contains("the client's own"),
        "{shown}"
    );
    for (arguments, input, code, said) in [
        (
            &["key", "set", "mistral", "--stdin"][..],
            "sk-x",
            4,
            "anthropic, openai",
        ),
        (&["key", "set", "a/b", "--stdin"], "sk-x", 2, "vendor name"),
        (
            &["key", "set", "openai", "--stdin"],
            "two words",
            2,
            "this is no key",
        ),
        (
            &["key", "set", "openai", "--stdin"],
            "",
            2,
            "standard input holds no key",
        ),
        (
            &["key", "remove", "anthropic"],
            "",
            4,
            "no key is held for anthropic",
        ),
    ] {
        let output = ctl.run_with_input(arguments, input).await.expect_code(code);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    let remove = ["--json", "key", "remove", "openai", "-y"];
    let removed = ctl.run(&remove).await.success().json();
    assert_eq!(removed, json!({ "removed": "openai" }));
    assert_eq!(of(list().await, "openai")["key"], "client");
    let records = ctl
        .run(&["--json", "audit", "--kind", "key"])
        .await
        .success();
    let records = records.json_lines();
    let kinds: Vec<_> = records
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.len(), 2, "{records:?}");
    assert!(
        kinds.contains(&"key.set") && kinds.contains(&"key.removed"),
        "{kinds:?}"
    );
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_key_is_forgotten_when_a_person_agrees() {
    let world = World::start().await;
    let ctl = &world.scenario.ctl;
    set_key(&world, "openai", world.openai.key()).await;
    let remove = ["key", "remove", "openai"];
    let unasked = ctl.run_with_input(&remove, "y\n").await.expect_code(2);
    assert!(unasked.stderr.contains("key remove openai -y`"));
    for (answer, holder) in [("n\r", "daemon"), ("y\r", "client")] {
        let mut asked = Terminal::spawn(ctl.command(&remove));
        asked.wrote("forget the key of openai?", 1).await;
        asked.press(answer);
        assert_eq!(asked.wait().await, 0, "{}", asked.written());
        let listed = ctl.run(&["--json", "key", "list"]).await.success().json();
        let mut vendors = listed.as_array().unwrap().iter();
        let openai = vendors.find(|one| one["name"] == "openai").unwrap();
        assert_eq!(openai["key"], holder, "{answer:?}");
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_key_is_not_sent_to_a_url_that_was_put_in_the_place_of_its_own() {
    let mut world = World::start().await;
    let key = world.openai.key().to_owned();
    set_key(&world, "openai", &key).await;
    let token = token(&world, "agent").await;
    let other = FakeAi::start(Kind::OpenAi, None, 0).await;
    let url = other.url();
    let moved = world
        .scenario
        .configure(|config| config["ai"]["vendors"]["openai"]["url"] = json!(url));
    moved.await;
    let post = world
        .request(Method::POST, "/openai/v1/files")
        .bearer_auth(&token);
    let (status, said) = error_of("openai", sent(post).await).await;
    assert_eq!(status, 401);
    assert!(
        said.contains("mcpbridgectl key set openai --stdin"),
        "{said}"
    );
    assert!(other.requests().is_empty());
    let listed = world.scenario.ctl.run(&["key", "list"]).await.success();
    assert!(
        listed.stdout.contains("for another URL"),
        "{}",
        listed.stdout
    );
    assert!(
        listed.stderr.contains("key set openai"),
        "{}",
        listed.stderr
    );
    world.scenario.finish().await;
}

#[tokio::test]
async fn env_prints_where_sdks_find_the_bridge() {
    let world = World::start().await;
    let ctl = &world.scenario.ctl;
    let base = world.scenario.daemon.base_url();
    let printed = ctl.run(&["env"]).await.success();
    let expected = format!(
        "export OPENAI_BASE_URL='{base}/openai/v1'\nexport ANTHROPIC_BASE_URL='{base}/anthropic'\n"
    );
    assert_eq!(printed.stdout, expected);
    assert!(printed.stderr.contains("eval"), "{}", printed.stderr);
    let fish = ctl
        .run(&["env", "anthropic", "--shell", "fish"])
        .await
        .success();
    assert_eq!(
        fish.stdout,
        format!("set -gx ANTHROPIC_BASE_URL '{base}/anthropic'\n")
    );
    let json = ctl.run(&["--json", "env", "openai"]).await.success().json();
    assert_eq!(
        json,
        json!({ "OPENAI_BASE_URL": format!("{base}/openai/v1") })
    );
    set_key(&world, "openai", world.openai.key()).await;
    let hinted = ctl.run(&["env", "openai"]).await.success();
    assert!(hinted.stderr.contains("OPENAI_API_KEY") && hinted.stderr.contains("client add"));
    world.scenario.finish().await;
}

#[tokio::test]
async fn the_command_that_env_suggests_sets_the_variables_of_the_shell_it_is_for() {
    let world = World::start().await;
    let base = world.scenario.daemon.base_url();
    let binaries = bins::mcpbridgectl();
    let binaries = binaries.parent().unwrap().display();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    for shell in ["sh", "fish"] {
        let printed = world.scenario.ctl.run(&["env", "--shell", shell]).await;
        let said = printed.success().stderr.replace('\n', " ");
        let apply = said.trim().strip_prefix("set them with: ").unwrap();
        let mut command = world.scenario.home.command(Path::new(shell));
        command.env("PATH", &path);
        command.args(["-c", &format!("{apply}; env")]);
        let ended = wait::within("the shell", command.output()).await.unwrap();
        let set = String::from_utf8(ended.stdout).unwrap();
        for (variable, path) in [("OPENAI", "openai/v1"), ("ANTHROPIC", "anthropic")] {
            let expected = format!("{variable}_BASE_URL={base}/{path}");
            assert!(
                set.lines().any(|line| line == expected),
                "{shell}: {apply}\n{set}"
            );
        }
    }
    world.scenario.finish().await;
}
