//! Configuration files: any bytes as YAML and as JSON.

use serve_core::config::{Config, ConfigDiff, ConfigFaults};

fn environment(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("8080".to_owned()),
        "EMPTY" => Some(String::new()),
        "REDACTED" | "TOKEN" => Some("a: b # ${TOKEN}".to_owned()),
        _ => None,
    }
}

pub fn run(data: &[u8]) {
    match Config::parse_bytes(data, "serve.yaml", &environment) {
        Ok(config) => check(&config),
        Err(faults) => check_places(&faults, data, true),
    }
    match Config::parse_json(data) {
        Ok(config) => check(&config),
        Err(faults) => check_places(&faults, data, false),
    }
}

/// A configuration comes back as it was written.
fn check(config: &Config) {
    let yaml = config.to_yaml();
    let again = Config::parse(&yaml, "again.yaml", &environment);
    let again = again.unwrap_or_else(|faults| panic!("{faults}\n{yaml}"));
    assert_eq!(again.redacted(), config.redacted(), "{yaml}");
    let json = serde_json::to_vec(config).expect("JSON");
    let again = Config::parse_json(&json);
    let again =
        again.unwrap_or_else(|faults| panic!("{faults}\n{}", String::from_utf8_lossy(&json)));
    assert!(again == *config, "{}", String::from_utf8_lossy(&json));
    assert!(ConfigDiff::between(config, &again).is_empty());
}

/// Each fault has a place within the text, and is short.
fn check_places(faults: &ConfigFaults, data: &[u8], is_yaml: bool) {
    assert!(faults.len() > 0);
    let text = String::from_utf8_lossy(data);
    // YAML ends a line with a carriage return, too.
    let text = match is_yaml {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text.into_owned(),
    };
    let lines: Vec<&str> = text.split('\n').collect();
    for fault in faults {
        let (line, column) = (fault.line().expect("a line"), fault.column().expect("a column"));
        let place =
            lines.get(line - 1).unwrap_or_else(|| panic!("there is no line {line}: {fault}"));
        assert!((1..=place.chars().count() + 1).contains(&column), "{place:?}: {fault}");
        assert!(!fault.message().is_empty() && fault.message().len() < 1000, "{fault}");
        assert!(!fault.to_string().contains(char::is_control), "{fault:?}");
    }
}
