use serde_json::json;

use super::*;

fn read(value: Value) -> Result<HttpOptions, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// The table's defaults are text, for the guide and for the schema. The settings decide.
#[test]
fn the_table_has_the_defaults_in_force() {
    let settings = HttpSettings::of(&HttpOptions::new());
    let mut written = HttpOptions::new();
    for option in HTTP_OPTIONS {
        let value = match option.kind {
            ValueKind::Duration { .. } | ValueKind::Size if option.default != "none" => {
                Value::from(option.default)
            }
            ValueKind::Count { min: 0 } => option.default.parse().expect(option.name),
            ValueKind::Flag => Value::from(option.default == "true"),
            _ => continue,
        };
        let value =
            if option.kind == ValueKind::Size && value == "500" { json!(500) } else { value };
        (option.set)(&mut written, value).expect(option.name);
    }
    assert_eq!(HttpSettings::of(&written), settings);
}

#[test]
fn options_come_back_as_they_were_written() {
    let options = HttpOptions::new()
        .root_path("/api")
        .allowed_hosts(["example.org"])
        .drain_delay(Duration::from_secs(5))
        .rate_limit(Rate::per_minute(10))
        .cors_credentials(true)
        .max_body(1 << 30);
    let value = serde_json::to_value(&options).expect("data");
    assert_eq!(value["rate_limit"], "10/min");
    assert_eq!(read(value), Ok(options));
}

#[test]
fn groups_and_seconds_are_other_spellings() {
    let options = read(json!({
        "tls": { "cert": "a.pem", "key": "a.key" },
        "websocket": { "idle_timeout_s": 5 },
        "limits": { "max_connections": 7, "max_body": "1KiB" },
        "keep_alive_timeout_s": 1.5,
    }));
    let expected = HttpOptions::new()
        .tls_cert("a.pem")
        .tls_key("a.key")
        .websocket_idle_timeout(Duration::from_secs(5))
        .max_connections(7)
        .max_body(1024)
        .keep_alive_timeout(Duration::from_millis(1500));
    assert_eq!(options, Ok(expected));
    assert_eq!(
        read(json!({ "ssl_certfile": "a", "ssl_keyfile": "b" })),
        Ok(HttpOptions::new().tls_cert("a").tls_key("b"))
    );
}

#[test]
fn every_fault_is_told_with_its_place() {
    let faults = read(json!({
        "keep_alive_timeout": 3,
        "cors": { "origin": ["*"] },
        "rate_limit": "fast",
        "max_connection": 1,
    }))
    .unwrap_err();
    for part in [
        "`keep_alive_timeout`: 3 has no unit",
        "`cors_origin`: there is no such option; did you mean `cors_origins`?",
        "`rate_limit`: \"fast\" is not a rate",
        "did you mean `max_connections`?",
    ] {
        assert!(faults.contains(part), "{part}: {faults}");
    }
    let faults = read(json!({
        "tls": { "cert": "a" },
        "cors": { "origins": "*", "credentials": true },
        "root_path": "api/",
        "request_timeout": "0s",
        "max_connections": 0,
    }))
    .unwrap_err();
    for part in ["`tls_key`", "browsers refuse", "begin with a slash", "more than 0", "at least 1"]
    {
        assert!(faults.contains(part), "{part}: {faults}");
    }
}

#[test]
fn an_application_has_no_options_of_the_port() {
    let faults = HttpOptions::new().max_body(1).trusted_proxies(["::1"]).check_for_application();
    let faults = faults.unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].path, "trusted_proxies");
}

#[test]
fn the_layer_above_wins() {
    let runtime = HttpOptions::new().max_body(1).compression(true);
    let application = HttpOptions::new().max_body(2);
    let settings = HttpSettings::of(&runtime.overridden_by(&application));
    assert_eq!((settings.max_body, settings.compression), (2, true));
}

#[test]
fn the_schema_knows_each_spelling() {
    let schema = schemars::schema_for!(HttpOptions);
    let properties = schema.get("properties").expect("an object");
    assert!(properties["tls"]["properties"]["cert"].is_object(), "{properties:#}");
    assert!(properties["cors"]["properties"]["max_age_s"].is_object());
    assert!(properties["limits"]["properties"]["max_connections"].is_object());
    assert!(properties["ssl_certfile"].is_object());
}
