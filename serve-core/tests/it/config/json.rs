//! Bodies of the REST API.

use serde_json::json;
use serve_core::config::Config;

fn fault(body: &str) -> String {
    Config::parse_json(body.as_bytes()).expect_err(body).to_string()
}

#[test]
fn a_body_is_read_as_a_file_is() {
    let body = r#"{"applications": [{"name": "a", "import_path": "p:f",
        "deployments": [{"name": "D", "num_replicas": 2, "user_config": {"text": "${HOME} \ud83d\ude00"}}]}]}"#;
    let config = Config::parse_json(body.as_bytes()).unwrap();
    let options = &config.applications[0].deployments[0].options;
    assert_eq!(options.num_replicas, Some(2));
    assert_eq!(options.user_config, Some(json!({ "text": "${HOME} 😀" })), "no variables");
    let value = serde_json::from_str(body).unwrap();
    assert_eq!(Config::from_value(&value).unwrap(), config);
}

#[test]
fn faults_have_lines_and_columns() {
    for (body, expected) in [
        ("", "body:1:1: the configuration is empty: write at least `applications: []`"),
        ("{", "body:1:1: not JSON: EOF while parsing an object"),
        ("{\"a\": 1,}", "body:1:9: not JSON: trailing comma"),
        ("{\"é\": 1,}", "body:1:9: not JSON: trailing comma"),
        ("\"漢字", "body:1:3: not JSON: EOF while parsing a string"),
        ("[]", "body:1:1: the configuration is empty"),
        ("{} {}", "body:1:4: not JSON: trailing characters"),
        (
            "{\"applications\": [],\n \"http\": {\"prot\": 1}}",
            "body:2:11: http.prot: unknown key; did you mean `port`?",
        ),
        (
            "{\"applications\": [],\n \"applications\": []}",
            "body:2:2: applications: the key is given twice, first in line 1",
        ),
        (
            "{\"é\": 1, \"http\": 5, \"applications\": []}",
            "body:1:18: http: expected a map of options, found the number 5",
        ),
        (
            "{\"applications\": [{\"name\": \"a\"}]}",
            "body:1:19: applications[0].import_path: is missing: name the registered application",
        ),
        (
            "{\"applications\": [{\"import_path\": \"${A}\"}]}",
            "body:1:35: applications[0].import_path: \"${A}\" is not an import path",
        ),
    ] {
        let faults = fault(body);
        assert!(faults.contains(expected), "{body}\n{faults}");
    }
    let not_utf8 = Config::parse_json(b"{\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(not_utf8.to_string(), "body:1:8: not UTF-8");
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(fault(&format!("{{\"applications\": {deep}}}")).contains("too deep"));
    let deeper = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(fault(&deeper).contains("recursion limit exceeded"));
}

#[test]
fn faults_are_data() {
    let faults = Config::parse_json(b"{\"applications\": 5}").unwrap_err();
    let expected = json!([{
        "file": "body", "line": 1, "column": 18, "path": "applications",
        "message": "expected a list of applications (`[]` for none), found the number 5",
    }]);
    assert_eq!(serde_json::to_value(&faults).unwrap(), expected);
    let faults = Config::from_value(&json!({ "applications": 5 })).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "configuration: applications: expected a list of applications (`[]` for none), found the number 5"
    );
}

#[test]
fn what_ray_serves_client_sends_is_accepted() {
    // The body of `ServeSubmissionClient.deploy_applications`.
    let body = json!({
        "applications": [{
            "name": "default", "import_path": "hello:app", "args": {}, "runtime_env": {},
            "deployments": [{ "name": "Hello", "num_replicas": null, "ray_actor_options": null }],
        }],
        "target_capacity": null, "logging_config": null, "proxy_location": null,
    });
    let config = Config::from_value(&body).unwrap();
    assert_eq!(config.applications.len(), 1);
    assert_eq!(config.notes().len(), 1, "{:?}", config.notes());
}
