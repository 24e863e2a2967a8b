//! The admin port over a socket: Ray Serve's REST, and ours.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use serve_core::prelude::*;
use serve_core::status::ApplicationStatus;
use serve_core::{Bytes, StartError};
use tokio::net::TcpStream;

#[deployment(num_replicas = 1)]
struct Echo {
    prefix: String,
}

#[handle]
impl Echo {
    pub fn new(prefix: String) -> Self {
        Self { prefix }
    }

    #[reconfigure]
    async fn reconfigure(&self, _config: Value) -> Result<()> {
        Ok(())
    }

    #[get("/")]
    pub async fn echo(&self, text: String) -> String {
        format!("{}{text}", self.prefix)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EchoArguments {
    #[serde(default)]
    prefix: String,
}

#[application]
fn echo(arguments: EchoArguments) -> Application<Echo> {
    Echo::bind(arguments.prefix).into()
}

/// A client of an admin port.
struct Admin {
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
}

/// An answer of the admin port.
#[derive(Debug)]
struct Answer {
    status: u16,
    revision: Option<u64>,
    body: Value,
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

impl Admin {
    fn of(runtime: &Runtime) -> Self {
        let address = runtime.admin_address().expect("the admin port is open");
        Self { address, headers: Vec::new() }
    }

    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.push((name, value.to_owned()));
        Self { address: self.address, headers }
    }

    async fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path);
        if !self.headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let response = client.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().trim_matches('"'));
        let revision = tag.map(|tag| tag.parse().unwrap());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status, revision, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").await
    }

    async fn put(&self, config: &Value) -> Answer {
        self.send("PUT", "/api/serve/applications/", config.to_string().as_bytes()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body.to_string().as_bytes()).await
    }
}

async fn started() -> (Runtime, Admin) {
    let local = ([127, 0, 0, 1], 0);
    let runtime = Runtime::builder().http(local).admin(local).start().await.unwrap();
    let admin = Admin::of(&runtime);
    (runtime, admin)
}

fn echo_with(keys: &Value) -> Value {
    let mut application = json!({ "name": "echo", "import_path": "serve-core:echo" });
    application.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    json!({ "applications": [application] })
}

const DETAILS: &str = "/api/serve/applications/";
const SCALE: &str = "/api/v1/applications/echo/deployments/Echo/scale";

#[tokio::test]
async fn details_have_the_fields_of_ray_serve_and_no_others() {
    let (runtime, admin) = started().await;
    let deployment = json!({ "name": "Echo", "num_replicas": 2, "health_check_period_s": 5 });
    let put = admin.put(&echo_with(&json!({ "deployments": [deployment] }))).await;
    assert_eq!((put.status, put.revision), (200, Some(1)));
    runtime.wait_for("echo", ApplicationStatus::Running).await;
    let details = admin.get(DETAILS).await;
    assert_eq!((details.status, details.revision), (200, Some(1)));
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    let body = &details.body;
    // Every field of Ray's models that we answer; Ray's own client refuses any other.
    assert_eq!(
        keys(body),
        "applications controller_info http_options proxies proxy_location \
         restores_unset_config_options target_capacity target_groups"
    );
    let application = &body["applications"]["echo"];
    assert_eq!(
        keys(application),
        "deployed_app_config deployment_topology deployments docs_path external_scaler_enabled \
         last_deployed_time_s message name route_prefix source status"
    );
    assert_eq!(application["status"], "RUNNING");
    assert_eq!(application["source"], "declarative");
    assert!(application["last_deployed_time_s"].as_f64().unwrap() > 1e9);
    let deployment = &application["deployments"]["Echo"];
    assert_eq!(
        keys(deployment),
        "autoscaling_detail deployment_config message name replicas required_resources status \
         status_trigger target_num_replicas"
    );
    assert_eq!(deployment["status"], "HEALTHY");
    assert_eq!(deployment["deployment_config"]["health_check_period_s"], 5.0);
    assert_eq!(deployment["deployment_config"]["num_replicas"], 2);
    assert_eq!(deployment["replicas"].as_array().unwrap().len(), 2);
    assert_eq!(deployment["replicas"][0]["state"], "RUNNING");
    assert!(deployment["replicas"][0]["start_time_s"].as_f64().unwrap() > 1e9);
    let config = &application["deployed_app_config"];
    assert_eq!(
        config["deployments"][0],
        json!({
            "name": "Echo",
            "num_replicas": 2,
            "health_check_period_s": 5.0,
        })
    );
    let version = admin.get("/api/ray/version").await.body;
    assert_eq!(version["ray_version"], "2.60.0");
    // Of one source.
    assert_eq!(
        admin.get("/api/serve/applications/?api_type=IMPERATIVE").await.body["applications"],
        json!({})
    );
    assert_eq!(
        admin.get("/api/serve/applications/?api_type=other").await.code(),
        (400, "invalid_query")
    );
    runtime.shutdown().await;
}

#[tokio::test]
async fn each_change_has_a_revision_and_is_refused_for_another_one() {
    let (runtime, admin) = started().await;
    assert_eq!(admin.get(DETAILS).await.revision, Some(0));
    let enabled = echo_with(&json!({ "external_scaler_enabled": true }));
    assert_eq!(
        admin.with("if-match", "\"7\"").put(&enabled).await.code(),
        (412, "revision_conflict")
    );
    assert!(runtime.status().applications.is_empty());
    assert_eq!(admin.with("if-match", "\"0\"").put(&enabled).await.revision, Some(1));
    let scale = json!({ "target_num_replicas": 3 });
    assert_eq!(
        admin.with("if-match", "0").post(SCALE, &scale).await.code(),
        (412, "revision_conflict")
    );
    assert_eq!(admin.with("if-match", "1").post(SCALE, &scale).await.revision, Some(2));
    assert_eq!(admin.with("if-match", "*").post(SCALE, &scale).await.revision, Some(3));
    assert_eq!(
        admin.with("if-match", "x").post(SCALE, &scale).await.code(),
        (400, "invalid_header")
    );
    runtime.run(Application::new(Echo::bind("")).name("own").without_route()).await.unwrap();
    assert_eq!(admin.get("/api/v1/config").await.revision, Some(4));
    let history = admin.get("/api/v1/config/history").await.body;
    let said: Vec<&str> = history["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    assert_eq!(said[1], "scale `Echo` of `echo` to 3 replicas");
    assert_eq!(said[3], "the program runs application `own`");
    runtime.shutdown().await;
}

#[tokio::test]
async fn scaling_is_answered_as_by_ray_serve() {
    let (runtime, admin) = started().await;
    let three = json!({ "target_num_replicas": 3 });
    assert_eq!(admin.post(SCALE, &three).await.code(), (404, "unknown_application"));
    admin.put(&echo_with(&json!({}))).await;
    assert_eq!(admin.post(SCALE, &three).await.code(), (412, "external_scaler_disabled"));
    admin.put(&echo_with(&json!({ "external_scaler_enabled": true }))).await;
    let unknown = SCALE.replace("Echo", "Eco");
    assert_eq!(admin.post(&unknown, &three).await.code(), (404, "unknown_deployment"));
    for bad in [
        json!({}),
        json!({ "target_num_replicas": -1 }),
        json!({ "target_num_replicas": 1.5 }),
        json!({ "target_num_replicas": "3" }),
        json!([3]),
        json!({ "target_num_replicas": 3, "x": 1 }),
        json!({ "target_num_replicas": 4_000_000_000_u64 }),
    ] {
        assert_eq!(admin.post(SCALE, &bad).await.code(), (400, "invalid_body"), "{bad}");
    }
    assert_eq!(admin.post(SCALE, &three).await.status, 200);
    let details = admin.get(DETAILS).await.body;
    assert_eq!(details["applications"]["echo"]["deployments"]["Echo"]["target_num_replicas"], 3);
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_configuration_is_rolled_back() {
    let (runtime, admin) = started().await;
    assert_eq!(
        admin.post("/api/v1/config/rollback", &json!({})).await.code(),
        (404, "unknown_revision")
    );
    for (prefix, revision) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(
            admin.put(&echo_with(&json!({ "args": { "prefix": prefix } }))).await.revision,
            Some(revision)
        );
        runtime.wait_for("echo", ApplicationStatus::Running).await;
    }
    let current = async || {
        admin.get("/api/v1/config").await.body["config"]["applications"][0]["args"].clone()
    };
    assert_eq!(admin.post("/api/v1/config/rollback", &json!({})).await.revision, Some(4));
    assert_eq!(current().await, json!({ "prefix": "b" }));
    assert_eq!(
        admin.post("/api/v1/config/rollback", &json!({ "revision": 1 })).await.revision,
        Some(5)
    );
    assert_eq!(current().await, json!({ "prefix": "a" }));
    assert_eq!(
        admin.post("/api/v1/config/rollback", &json!({ "revision": 77 })).await.code(),
        (404, "unknown_revision")
    );
    assert_eq!(
        admin.post("/api/v1/config/rollback", &json!({ "to": 1 })).await.code(),
        (400, "invalid_body")
    );
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_diff_says_what_would_happen() {
    let (runtime, admin) = started().await;
    admin.put(&echo_with(&json!({}))).await;
    runtime.wait_for("echo", ApplicationStatus::Running).await;
    let effects = async |config: &Value| {
        let answer = admin.post("/api/v1/config/diff", config).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let effects = answer.body["effects"].as_array().unwrap().clone();
        effects
            .iter()
            .map(|it| format!("{} {} {}", it["application"], it["deployment"], it["effect"]))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let deployment = |keys: Value| {
        let mut deployment = json!({ "name": "Echo" });
        deployment.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        echo_with(&json!({ "deployments": [deployment] }))
    };
    assert_eq!(effects(&echo_with(&json!({}))).await, "");
    assert_eq!(
        effects(&deployment(json!({ "num_replicas": 3 }))).await,
        r#""echo" "Echo" "in_place""#
    );
    assert_eq!(
        effects(&deployment(json!({ "user_config": {} }))).await,
        r#""echo" "Echo" "reconfigure""#
    );
    assert_eq!(
        effects(&echo_with(&json!({ "args": { "prefix": "x" } }))).await,
        r#""echo" "Echo" "roll""#
    );
    assert_eq!(effects(&json!({ "applications": [] })).await, r#""echo" null "delete""#);
    let other = json!({ "applications": [{ "name": "other", "import_path": "serve-core:echo" }] });
    assert_eq!(effects(&other).await, r#""echo" null "delete", "other" null "add""#);
    assert_eq!(admin.get(DETAILS).await.revision, Some(1), "nothing was changed");
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_diff_says_whether_a_number_from_outside_stays() {
    let (runtime, admin) = started().await;
    let config = |enabled: bool, calls: usize| {
        let deployment = json!({ "name": "Echo", "max_ongoing_requests": calls });
        echo_with(&json!({ "external_scaler_enabled": enabled, "deployments": [deployment] }))
    };
    admin.put(&config(true, 1)).await;
    assert_eq!(admin.post(SCALE, &json!({ "target_num_replicas": 3 })).await.status, 200);
    for (enabled, said) in [
        (true, "num_replicas stays 3, as `scale` has set it"),
        (false, "num_replicas is no longer 3, as `scale` has set it"),
    ] {
        let answer = admin.post("/api/v1/config/diff", &config(enabled, 2)).await;
        let changes = answer.body["effects"][0]["changes"].as_array().unwrap();
        assert!(changes.contains(&json!(said)), "{answer:?}");
    }
    runtime.shutdown().await;
}

#[tokio::test]
async fn what_needs_a_restart_is_refused() {
    let (runtime, admin) = started().await;
    let port = runtime.http_address().unwrap().port();
    let with = |section: &str, value: Value| {
        let mut config = echo_with(&json!({}));
        config[section] = value;
        config
    };
    assert_eq!(admin.put(&with("http", json!({ "port": port }))).await.status, 200, "the same");
    for (section, value, path) in [
        ("http", json!({ "port": 1 }), "http.port"),
        ("http", json!({ "keep_alive_timeout": "3s" }), "http.keep_alive_timeout"),
        ("admin", json!({ "host": "127.0.0.2" }), "admin.host"),
        ("logging", json!({ "level": "debug" }), "logging.level"),
    ] {
        let refused = admin.put(&with(section, value)).await;
        assert_eq!(refused.code(), (409, "needs_restart"), "{refused:?}");
        assert_eq!(refused.body["error"]["path"], path);
    }
    // Ray's tools send their section with every file.
    let ray = with("http_options", json!({ "host": "0.0.0.0", "port": 8000 }));
    assert_eq!(admin.put(&ray).await.status, 200);
    runtime.shutdown().await;
}

#[tokio::test]
async fn applications_are_deleted_one_by_one_or_all_at_once() {
    let (runtime, admin) = started().await;
    admin.put(&echo_with(&json!({}))).await;
    runtime.run(Application::new(Echo::bind("")).name("own").without_route()).await.unwrap();
    assert_eq!(
        admin.send("DELETE", "/api/v1/applications/no", b"").await.code(),
        (404, "unknown_application")
    );
    assert_eq!(admin.send("DELETE", "/api/v1/applications/own", b"").await.status, 200);
    assert_eq!(runtime.status().applications.into_keys().collect::<Vec<_>>(), ["echo"]);
    runtime.run(Application::new(Echo::bind("")).name("own").without_route()).await.unwrap();
    assert_eq!(admin.send("DELETE", DETAILS, b"").await.status, 200);
    assert!(runtime.status().applications.is_empty());
    assert_eq!(admin.send("DELETE", DETAILS, b"").await.status, 200, "nothing to delete");
    assert_eq!(admin.put(&echo_with(&json!({}))).await.status, 200, "the instance goes on");
    assert_eq!(admin.post("/api/v1/shutdown", &json!({})).await.status, 200);
    runtime.shutdown_requested().await;
    runtime.shutdown().await;
}

#[tokio::test]
async fn the_token_and_the_host_decide_who_may_use_the_port() {
    let local: SocketAddr = ([127, 0, 0, 1], 0).into();
    let open: SocketAddr = ([0, 0, 0, 0], 0).into();
    let refused = Runtime::builder().admin(open).start().await.unwrap_err();
    assert!(
        matches!(&refused, StartError::Admin(message) if message.contains("token")),
        "{refused}"
    );
    let runtime = Runtime::builder().admin(local).admin_token("sesame").start().await.unwrap();
    let admin = Admin::of(&runtime);
    assert_eq!(admin.get(DETAILS).await.code(), (401, "unauthorized"));
    assert_eq!(admin.put(&echo_with(&json!({}))).await.code(), (401, "unauthorized"));
    assert!(runtime.status().applications.is_empty());
    let known = admin.with("authorization", "Bearer sesame");
    assert_eq!(known.get(DETAILS).await.status, 200);
    let config = known.get("/api/v1/config").await.body.to_string();
    assert!(!config.contains("sesame"), "{config}");
    assert_eq!(known.with("host", "evil.example").get(DETAILS).await.code(), (403, "foreign_host"));
    assert_eq!(
        known.with("origin", "http://evil.example").get(DETAILS).await.code(),
        (403, "foreign_origin")
    );
    assert_eq!(known.get("/nothing").await.code(), (404, "not_found"));
    assert_eq!(known.send("PATCH", DETAILS, b"").await.code(), (405, "method_not_allowed"));
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_runtime_starts_from_a_file() {
    let folder = std::env::temp_dir().join(format!("serve-admin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("serve.yaml");
    let start = async |text: &str| {
        std::fs::write(&file, text).unwrap();
        Runtime::builder().config(&file).start().await
    };
    let runtime = start(
        "
http: { port: 0 }
admin: { port: 0, token: t }
applications:
  - name: echo
    import_path: serve-core:echo
    args: { prefix: '> ' }
",
    )
    .await
    .unwrap();
    let echo = runtime.get_app_handle::<Echo>("echo").unwrap();
    assert_eq!(echo.echo("here").await.unwrap(), "> here");
    assert!(runtime.http_address().is_some());
    let admin = Admin::of(&runtime).with("authorization", "Bearer t");
    let yaml = admin.get("/api/v1/config").await.body["yaml"].as_str().unwrap().to_owned();
    assert!(
        yaml.contains("import_path: serve-core:echo") && !yaml.contains("token: t\n"),
        "{yaml}"
    );
    runtime.shutdown().await;

    let faults = start(
        "
applications:
  - { name: a, import_path: 'serve-core:nothing' }
  - { name: b, import_path: 'serve-core:echo', args: { prefx: 1 } }
",
    )
    .await
    .unwrap_err()
    .to_string();
    let lines: Vec<&str> = faults.lines().collect();
    assert_eq!(lines.len(), 2, "{faults}");
    assert!(
        lines[0].contains("serve.yaml:3:16: applications[0].import_path: this program has no"),
        "{faults}"
    );
    assert!(
        lines[1].contains("serve.yaml:4:56: applications[1].args.prefx: unknown argument"),
        "{faults}"
    );
    let missing = Runtime::builder().config(folder.join("none.yaml")).start().await.unwrap_err();
    assert!(missing.to_string().contains("cannot read the configuration"), "{missing}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Bodies that are refused: a part of the message, and the body.
const MALFORMED: [(&str, &str); 42] = [
    ("", ""),
    ("", "{"),
    ("", "nonsense"),
    ("", "[]"),
    ("", "null"),
    ("", "3"),
    ("", "\"applications\""),
    ("applications", "{}"),
    ("unknown key", r#"{"applications": [], "aplications": []}"#),
    ("twice", r#"{"applications": [], "applications": []}"#),
    ("", r#"{"applications": {}}"#),
    ("", r#"{"applications": "echo"}"#),
    ("", r#"{"applications": [3]}"#),
    ("import_path", r#"{"applications": [{}]}"#),
    ("import_path", r#"{"applications": [{"name": "a"}]}"#),
    ("", r#"{"applications": [{"import_path": 3}]}"#),
    ("", r#"{"applications": [{"import_path": "echo"}]}"#),
    ("has no application", r#"{"applications": [{"import_path": "serve-core:no"}]}"#),
    ("", r#"{"applications": [{"import_path": "echo.main:app"}]}"#),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "name": ""}]}"#),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "name": "a#b"}]}"#),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "name": 1}]}"#),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "route_prefix": "no"}]}"#),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "route_prefix": "/a/"}]}"#),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "args": []}]}"#),
    (
        "unknown argument; the application takes `prefix`",
        r#"{"applications": [{"import_path": "serve-core:echo", "args": {"x": 1}}]}"#,
    ),
    (
        "`prefix`",
        r#"{"applications": [{"import_path": "serve-core:echo", "args": {"prefix": []}}]}"#,
    ),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "deployments": {}}]}"#),
    ("", r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{}]}]}"#),
    (
        "has no deployment",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "E"}]}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "Echo", "num_replicas": 0}]}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "Echo", "num_replicas": "two"}]}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "Echo", "replicas": 1}]}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "Echo", "num_replicas": 2, "autoscaling_config": {"max_replicas": 3}}]}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "Echo", "health_check_period": 3}]}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "Echo", "max_surge_percent": 101}]}]}"#,
    ),
    (
        "can never fit",
        r#"{"applications": [{"import_path": "serve-core:echo", "deployments": [{"name": "Echo", "ray_actor_options": {"num_gpus": 99}}]}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "runtime_env": {"pip": ["torch"]}}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo"}, {"import_path": "serve-core:echo", "route_prefix": "/b"}]}"#,
    ),
    (
        "",
        r#"{"applications": [{"import_path": "serve-core:echo", "name": "a"}, {"import_path": "serve-core:echo", "name": "b"}]}"#,
    ),
    ("", r#"{"applications": [], "target_capacity": 101}"#),
    ("", r#"{"applications": [], "target_capacity": "half"}"#),
];

#[tokio::test]
async fn malformed_bodies_are_refused_and_change_nothing() {
    let (runtime, admin) = started().await;
    admin.put(&echo_with(&json!({}))).await;
    let (mut unplaced, mut unexpected) = (Vec::new(), Vec::new());
    for (part, body) in MALFORMED {
        let refused = admin.send("PUT", DETAILS, body.as_bytes()).await;
        let error = &refused.body["error"];
        if refused.status != 400 || !refused.body.to_string().contains(&part.replace('"', "\\\"")) {
            unexpected.push(format!("{body}: {refused:?}"));
        } else if !error["path"].is_string()
            || !error["line"].is_u64()
            || refused.message().is_empty()
        {
            unplaced.push(format!("{body}: {error}"));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(unplaced.is_empty(), "{unplaced:#?}");
    let huge = vec![b' '; 9 << 20];
    assert_eq!(admin.send("PUT", DETAILS, &huge).await.code(), (413, "invalid_body"));
    let details = admin.get(DETAILS).await;
    assert_eq!(details.revision, Some(1), "nothing was changed");
    runtime.shutdown().await;
}
