//! Listeners and the log: file, then environment, then flags.

use super::parse;

use serve_core::config::{AdminPort, Config, ProcessSettings};

fn sum(file: &str, environment: &[(&str, &str)], flags: &ProcessSettings) -> Config {
    let env = |name: &str| {
        let set = environment.iter().find(|(known, _)| *known == name);
        set.map(|(_, value)| (*value).to_owned())
    };
    let environment = ProcessSettings::from_environment(&env).unwrap();
    parse(file).unwrap().with_settings(&environment.overridden_by(flags))
}

#[test]
fn later_layers_win() {
    let file = "http: { host: 0.0.0.0, port: 1 }\nadmin: { port: 2 }\nlogging: { level: warn }\napplications: []";
    let none = ProcessSettings::default();
    let address = |config: &Config| config.http.address().to_string();
    let nothing = sum("applications: []", &[], &none);
    assert_eq!(address(&nothing), "127.0.0.1:8000");
    assert_eq!(nothing.admin.address().unwrap().to_string(), "127.0.0.1:8265");

    let config = sum(file, &[], &none);
    assert_eq!(
        (address(&config), config.admin.port),
        ("0.0.0.0:1".into(), Some(AdminPort::Port(2)))
    );

    let environment = [
        ("SERVE_HTTP_HOST", "::1"),
        ("PORT", "11"),
        ("SERVE_ADMIN_PORT", "off"),
        ("SERVE_LOG", "debug,hyper=INFO"),
    ];
    let config = sum(file, &environment, &none);
    assert_eq!((address(&config), config.admin.port), ("[::1]:11".into(), Some(AdminPort::Off)));
    assert_eq!(config.logging.level.as_deref(), Some("debug,hyper=info"));

    let mut flags = ProcessSettings::default();
    flags.http_port = Some(21);
    flags.admin_port = Some(AdminPort::Port(0));
    let config = sum(file, &environment, &flags);
    assert_eq!(
        (address(&config), config.admin.port),
        ("[::1]:21".into(), Some(AdminPort::Port(0)))
    );

    let both = [("PORT", "11"), ("SERVE_HTTP_PORT", "12")];
    assert_eq!(address(&sum(file, &both, &none)), "0.0.0.0:12");
    let empty = [("PORT", "11"), ("SERVE_HTTP_PORT", "")];
    assert_eq!(address(&sum(file, &empty, &none)), "0.0.0.0:11");
}

#[test]
fn a_bad_variable_is_named() {
    for (variable, value, expected) in [
        ("PORT", "eighty", "\"eighty\" is not a port: give a number from 0 to 65535"),
        ("SERVE_HTTP_PORT", "70000", "70000 is not a port"),
        ("SERVE_HTTP_HOST", "example.org", "\"example.org\" is not an IP address"),
        ("SERVE_ADMIN_PORT", "on", "give a number from 0 to 65535, or `off`"),
        ("SERVE_LOG", "loud", "is not a level or a filter"),
    ] {
        let env = |name: &str| (name == variable).then(|| value.to_owned());
        let fault = ProcessSettings::from_environment(&env).unwrap_err().to_string();
        assert!(fault.contains(variable) && fault.contains(expected), "{fault}");
    }
}
