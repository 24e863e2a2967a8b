//! The differences of two configurations.

use super::parse;

use serve_core::config::{ConfigChange, ConfigDiff};
use serve_core::options::OnUpdate;

const OLD: &str = "
http: { port: 80, max_body: 1MiB }
logging: { level: info }
applications:
  - name: ocr
    import_path: ocr:ocr
    args: { language: en, size: 5 }
    deployments:
      - { name: Recognise, num_replicas: 2, user_config: { threshold: 0.5, words: [a] }, num_cpus: 1 }
      - { name: Layout, max_ongoing_requests: 5 }
  - { name: gone, import_path: ocr:gone, route_prefix: /gone }
";
const NEW: &str = "
http: { port: 80, max_body: 2MiB }
target_capacity: 50
applications:
  - { name: added, import_path: ocr:added, route_prefix: /added }
  - name: ocr
    import_path: ocr:ocr
    route_prefix: null
    args: { language: fr, size: 5 }
    deployments:
      - { name: Recognise, autoscaling: { max_replicas: 4 }, user_config: { threshold: 0.6, words: [a, b] }, num_cpus: 2 }
";

#[test]
fn each_difference_is_a_line() {
    let (old, new) = (parse(OLD).unwrap(), parse(NEW).unwrap());
    insta::assert_snapshot!(ConfigDiff::between(&old, &new));
    assert!(ConfigDiff::between(&old, &old).is_empty());
}

#[test]
fn an_option_has_its_effect() {
    let (old, new) = (parse(OLD).unwrap(), parse(NEW).unwrap());
    let diff = ConfigDiff::between(&old, &new);
    let effect = |of: &str| {
        let change = diff.changes.iter().find(
            |change| matches!(change, ConfigChange::Value { deployment: Some(_), path, .. } if path == of),
        );
        change.unwrap_or_else(|| panic!("no change of {of}")).on_update()
    };
    assert_eq!(effect("num_replicas"), Some(OnUpdate::Scale));
    assert_eq!(effect("user_config.threshold"), Some(OnUpdate::Reconfigure));
    assert_eq!(effect("num_cpus"), Some(OnUpdate::Restart));
    assert_eq!(effect("max_ongoing_requests"), Some(OnUpdate::InPlace));
}
