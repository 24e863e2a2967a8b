//! Valid files: what is read from them, and that they come back as they were written.

use super::{environment, files, parse};

use std::time::Duration;

use serde_json::json;
use serve_core::autoscaling::AutoscalingConfig;
use serve_core::config::{AdminPort, Config, LogFormat, RoutePrefix};
use serve_core::routing::RequestRouting;

fn read(name: &str) -> Config {
    let (_, bytes) = files("valid").into_iter().find(|(file, _)| file == name).expect(name);
    Config::parse_bytes(&bytes, name, &environment).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn every_key_is_read() {
    let config = read("every_key.yaml");
    assert_eq!(config.http.address().to_string(), "0.0.0.0:9000");
    let options = serde_json::to_value(&config.http.options).unwrap();
    assert_eq!(options["tls_cert"], "/etc/tls/cert.pem");
    assert_eq!(options["drain_delay"], "2s 500ms");
    assert_eq!(options["max_body"], 32 << 20);
    assert_eq!(options["api_keys"], json!(["key-of-the-environment", "literal-key"]));
    assert_eq!(config.admin.port, Some(AdminPort::Off));
    assert_eq!(config.admin.address(), None);
    assert_eq!(config.admin.token.as_ref().unwrap().expose(), "token-of-the-environment");
    assert_eq!(config.logging.level.as_deref(), Some("info,hyper=debug"));
    assert_eq!(config.logging.format, Some(LogFormat::Json));
    assert_eq!(config.target_capacity, Some(50.0));
    let ocr = config.application("ocr").unwrap();
    assert_eq!(ocr.import_path, "ocr-models:ocr");
    assert_eq!(ocr.route_prefix, RoutePrefix::Path("/ocr".to_owned()));
    assert_eq!(ocr.args["costs"], "${not_a_variable}");
    assert_eq!(ocr.args["nested"]["list"], json!([1, "two", [3], { "four": 4 }]));
    assert_eq!(serde_json::to_value(&ocr.http).unwrap()["max_body"], 64 << 20);
    let recognise = &ocr.deployment("Recognise").unwrap().options;
    let scaled = AutoscalingConfig::new()
        .min_replicas(0)
        .max_replicas(4)
        .upscale_delay(Duration::from_secs(10))
        .aggregation(serve_core::autoscaling::Aggregation::Max);
    assert_eq!(recognise.autoscaling, Some(scaled));
    assert_eq!((recognise.num_replicas, &recognise.name), (None, &None));
    let layout = &ocr.deployment("Layout").unwrap().options;
    assert_eq!((layout.num_cpus, layout.memory), (Some(0.5), Some(2_000_000_000)));
    assert_eq!(layout.health_check_period, Some(Duration::from_millis(500)));
    assert_eq!(layout.request_router, Some(RequestRouting::ConsistentHash));
    let scaled = config.application("scaled").unwrap();
    assert_eq!(scaled.route_prefix, RoutePrefix::None);
    assert!(scaled.external_scaler_enabled);
    assert!(config.notes().is_empty(), "{:?}", config.notes());
}

#[test]
fn what_ray_serve_builds_is_accepted_with_notes() {
    let config = read("ray_serve.yaml");
    let application = &config.applications[0];
    let translator = &application.deployment("Translator").unwrap().options;
    assert_eq!((translator.num_replicas, translator.num_cpus), (Some(1), Some(0.2)));
    let summarizer = &application.deployment("Summarizer").unwrap().options;
    assert_eq!(summarizer.autoscaling, Some(AutoscalingConfig::auto().max_replicas(8)));
    assert_eq!(summarizer.request_router, Some(RequestRouting::PowerOfTwoChoices));
    assert_eq!(summarizer.max_queued_requests, None);
    assert_eq!(config.logging.level.as_deref(), Some("info"));
    let notes: Vec<String> = config.notes().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n"));
}

#[test]
fn ray_serves_words_for_logging_mean_the_same() {
    let text = "logging_config: { encoding: JSON, log_level: WARNING, enable_access_log: false }\n\
                applications: []";
    let config = parse(text).unwrap();
    assert_eq!(config.logging.format, Some(LogFormat::Json));
    assert_eq!(config.logging.level.as_deref(), Some("warn,serve_core::access=off"));
}

#[test]
fn anchors_and_merge_keys_are_put_in() {
    let config = read("anchors.yaml");
    let green = config.application("green").unwrap();
    assert_eq!(json!(green.args), json!({ "locale": "de", "limit": 20 }));
    let cart = &green.deployment("Cart").unwrap().options;
    assert_eq!((cart.num_replicas, cart.num_cpus), (Some(4), Some(0.5)));
}

#[test]
fn a_file_comes_back_as_it_was_written() {
    for (name, _) in files("valid") {
        let config = read(&name);
        let text = config.to_yaml();
        let again = parse(&text).unwrap_or_else(|faults| panic!("{name}: {faults}\n{text}"));
        assert_eq!(again.redacted(), config.redacted(), "{name}:\n{text}");
        let value = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<Config>(value).unwrap(), config, "{name}");
    }
}

#[test]
fn the_sum_is_a_file() {
    insta::assert_snapshot!(read("every_key.yaml").to_yaml());
}

#[test]
fn texts_that_look_like_something_else_come_back() {
    let texts = [
        "",
        " ",
        "true",
        "no",
        "off",
        "null",
        "~",
        "1",
        "0x1F",
        "1e3",
        ".inf",
        ".nan",
        "007",
        "1_000",
        "a: b",
        "- a",
        "a #b",
        "#a",
        "\"",
        "'",
        "\\",
        "\n",
        "a\nb",
        "\t",
        "${A}",
        "$${A}",
        "$",
        "{}",
        "[]",
        "&a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "|",
        ">",
        "?",
        ":",
        "a:",
        "---",
        "...",
        "\u{feff}",
        "\u{2028}",
        "é",
        "漢",
        "😀",
        "\u{7f}",
        "\u{85}",
        "<<",
        "=",
        "2026-12-01",
        "12:30:45",
        "y",
        "N",
        "+1",
        "-",
    ];
    for text in texts {
        let value = json!({
            "applications": [{ "import_path": "a:a", "args": { "text": text, "list": [text], "k": { text: 1 } } }]
        });
        let config = Config::from_value(&value).unwrap();
        let yaml = config.to_yaml();
        let again = parse(&yaml).unwrap_or_else(|faults| panic!("{text:?}: {faults}\n{yaml}"));
        assert_eq!(again, config, "{text:?}:\n{yaml}");
    }
}

#[test]
fn long_keys_come_back() {
    for length in [999, 1_000, 1_001, 1_023, 1_025, 5_000] {
        let key = "k".repeat(length);
        let value = json!({
            "applications": [{ "import_path": "a:a", "args": { &key: { &key: [{ &key: 1, "z": 2 }] } } }]
        });
        let config = Config::from_value(&value).unwrap();
        let again = parse(&config.to_yaml()).unwrap_or_else(|faults| panic!("{length}: {faults}"));
        assert_eq!(again, config, "{length}");
    }
}

#[test]
fn a_variable_cannot_add_keys() {
    let text = "applications:\n  - import_path: a:a\n    args:\n      name: ${NAME}\n      n: ${N}\n      s: \"${N}\"\n";
    let config = Config::parse(text, "serve.yaml", &|name| {
        Some(if name == "N" { "5" } else { "x\n      admin: true\n# ${N} {a: b}" }.to_owned())
    });
    let args = json!(config.unwrap().applications[0].args);
    assert_eq!(args, json!({ "name": "x\n      admin: true\n# ${N} {a: b}", "n": 5, "s": "5" }));
}
