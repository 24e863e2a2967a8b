//! Secrets are not shown.

use super::{environment, files, parse};

use serve_core::config::{Config, ConfigDiff};

/// The secrets of `valid/every_key.yaml`.
const SECRETS: [&str; 5] = [
    "key-of-the-environment",
    "literal-key",
    "token-of-the-environment",
    "sk-of-the-environment",
    "hunter2",
];

fn config() -> Config {
    let (name, bytes) =
        files("valid").into_iter().find(|(name, _)| name == "every_key.yaml").unwrap();
    Config::parse_bytes(&bytes, &name, &environment).unwrap()
}

#[test]
fn nothing_shows_a_secret() {
    let config = config();
    let token = config.admin.token.clone().unwrap();
    let other = parse("applications: [{ import_path: a:a, name: ocr }]").unwrap();
    let shown = [
        format!("{config:?}"),
        format!("{:?}", config.http),
        format!("{:?}", config.admin),
        format!("{:?}", config.applications[0]),
        format!("{:?}", config.applications[0].deployments[0]),
        format!("{token:?} {token}"),
        config.to_yaml(),
        serde_json::to_string(&config.redacted()).unwrap(),
        ConfigDiff::between(&config, &other).to_string(),
        ConfigDiff::between(&other, &config).to_string(),
        serde_json::to_string(&ConfigDiff::between(&other, &config)).unwrap(),
    ];
    for text in shown {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    let stored = serde_json::to_string(&config).unwrap();
    assert!(SECRETS.iter().all(|secret| stored.contains(secret)), "{stored}");
}

#[test]
fn a_token_of_a_model_is_no_secret() {
    assert_eq!(config().redacted().applications[0].args["eos_token"], "</s>");
}

#[test]
fn a_fault_does_not_show_a_secret() {
    for text in [
        "admin: { token: [hunter2] }",
        "admin: { token: { hunter2: 1 } }",
        "admin: { token: \"hunter2 \" }",
        "admin: { token: \"hunter2\\n\" }",
        "http: { api_keys: { hunter2: 1 } }",
        "http: { api_keys: [\"hunter2 \"] }",
        "http: { api_keys: [[hunter2]] }",
        "http: { limits: { api_keys: [[hunter2]] } }",
        "http: { api_key: hunter2 }",
        "admin: { tokn: hunter2 }",
    ] {
        let faults = parse(&format!("applications: []\n{text}")).expect_err(text).to_string();
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}

#[test]
fn a_changed_secret_is_a_difference() {
    let with =
        |token: &str| parse(&format!("admin: {{ token: {token} }}\napplications: []")).unwrap();
    let diff = ConfigDiff::between(&with("one"), &with("two"));
    assert_eq!(diff.to_string(), "~ admin.token: changed");
    assert!(ConfigDiff::between(&with("one"), &with("one")).is_empty());
}

#[test]
fn what_was_not_shown_is_not_taken_for_the_secret() {
    let redacted = serde_json::to_value(config().redacted()).unwrap();
    let faults = Config::from_value(&redacted).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path()).collect();
    for path in ["admin.token", "http.api_keys[0]", "applications[0].args.openai_api_key"] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    let yaml = config().to_yaml();
    let faults = Config::parse(&yaml, "serve.yaml", &|_| None).unwrap_err().to_string();
    assert!(
        faults.contains("`SERVE_TOKEN` is not set") && faults.contains("`REDACTED` is not set")
    );
}
