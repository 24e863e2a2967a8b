//! The keys that only Ray Serve has.
//!
//! A key that has no meaning here is refused, with the reason and with what to do instead. Where
//! Ray Serve's own tools write a key whatever the user wants, its default is accepted with a note.

use serde_json::{Value, json};

use super::given::{Given, Reader};
use super::node::{Content, Entry, Node, below};
use crate::deployment::RequestRouting;
use crate::deployment::table::Spelling;

/// Ray Serve's place for what a replica reserves.
pub(super) const ACTOR_OPTIONS: &str = "ray_actor_options";
/// The options that mean something in it.
const RESERVED: [&str; 4] = ["num_cpus", "num_gpus", "memory", "resources"];

/// The values of a key that are accepted without an effect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Accepted {
    /// Null, and empty maps and lists.
    Empty,
    /// Null and these texts.
    Words(&'static [&'static str]),
    /// A number of at least 0, or null.
    Number,
    /// 1, or null.
    One,
    /// `true`, `false` or null.
    Flag,
    /// A map, not all of which are accepted.
    Map,
}

impl Accepted {
    /// Returns the schema of the values.
    pub(super) fn schema(self) -> Value {
        match self {
            Self::Empty => json!({
                "type": ["object", "array", "null"], "maxProperties": 0, "maxItems": 0
            }),
            Self::Words(words) => {
                let words = words.iter().map(|word| Value::from(*word)).chain([Value::Null]);
                json!({ "enum": words.collect::<Vec<_>>() })
            }
            Self::Number => json!({ "type": ["number", "null"], "minimum": 0 }),
            Self::One => json!({ "enum": [1, null] }),
            Self::Flag => json!({ "type": ["boolean", "null"] }),
            Self::Map => json!({ "type": ["object", "null"] }),
        }
    }
}

/// The keys that only Ray Serve has, with the values that are accepted without an effect.
type Keys = &'static [(&'static str, Accepted)];

pub(super) const ROOT: Keys = &[
    ("proxy_location", Accepted::Words(&["EveryNode", "HeadOnly"])),
    ("grpc_options", Accepted::Map),
    ("controller_options", Accepted::Empty),
    ("tracing_config", Accepted::Map),
];
pub(super) const HTTP: Keys =
    &[("ssl_keyfile_password", Accepted::Empty), ("ssl_ca_certs", Accepted::Empty)];
pub(super) const LOGGING: Keys = &[
    ("enable_access_log", Accepted::Flag),
    ("logs_dir", Accepted::Empty),
    ("additional_log_standard_attrs", Accepted::Empty),
];
pub(super) const APPLICATION: Keys = &[
    ("runtime_env", Accepted::Empty),
    ("logging_config", Accepted::Map),
    ("autoscaling_policy", Accepted::Empty),
];
pub(super) const DEPLOYMENT: Keys = &[
    ("placement_group_bundles", Accepted::Empty),
    ("placement_group_bundle_label_selector", Accepted::Empty),
    ("placement_group_strategy", Accepted::Words(&["PACK"])),
    ("gang_scheduling_config", Accepted::Empty),
    ("deployment_actors", Accepted::Empty),
    ("graceful_shutdown_wait_loop_s", Accepted::Number),
    ("backpressure_config", Accepted::Map),
    ("logging_config", Accepted::Map),
    ("runtime_env", Accepted::Empty),
];
pub(super) const ACTOR: Keys = &[
    ("runtime_env", Accepted::Empty),
    ("accelerator_type", Accepted::Empty),
    ("label_selector", Accepted::Empty),
    ("fallback_strategy", Accepted::Empty),
];
pub(super) const AUTOSCALING: Keys = &[
    ("metrics_interval_s", Accepted::Number),
    ("smoothing_factor", Accepted::One),
    ("upscale_smoothing_factor", Accepted::One),
    ("downscale_smoothing_factor", Accepted::One),
    ("policy", Accepted::Map),
];

const RUNTIME_ENV: &str = "the program is built with everything that it needs, so that there is no \
                           environment to prepare: add packages to `Cargo.toml`, and set variables \
                           where the program is started";

/// Accepts a key whose value is empty, with a note if it is not null; refuses any other value.
fn refuse(reader: &mut Reader<'_>, entry: &Entry, path: &str, reason: &str) -> bool {
    accept_if(reader, entry, path, |node| node.is_empty(), reason)
}

/// Accepts a key with a value that has no effect, with a note; refuses any other value.
fn accept_if(
    reader: &mut Reader<'_>,
    entry: &Entry,
    path: &str,
    has_no_effect: impl Fn(&Node) -> bool,
    reason: &str,
) -> bool {
    if entry.node.is_null() || entry.node.is_broken() {
        return true;
    }
    if has_no_effect(&entry.node) {
        let note = if entry.node.is_empty() {
            "is empty, and has no effect".to_owned()
        } else {
            format!("has no effect: {reason}")
        };
        reader.note(path, &note);
    } else {
        reader.fault(
            entry.at,
            path,
            &format!("a key of Ray Serve's without a meaning here: {reason}"),
        );
    }
    true
}

fn text(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Text(text) => Some(text),
        _ => None,
    }
}

fn is_number(node: &Node, expected: f64) -> bool {
    matches!(&node.content, Content::Number(number) if number.as_f64() == Some(expected))
}

fn is_positive(node: &Node) -> bool {
    matches!(&node.content, Content::Number(number) if number.as_f64() >= Some(0.0))
}

fn entries(node: &Node) -> &[Entry] {
    match &node.content {
        Content::Map(entries) => entries,
        _ => &[],
    }
}

fn member<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node).iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

/// True for a map all of whose members are null, or have a value that `is_default` accepts.
fn all(node: &Node, is_default: impl Fn(&str, &Node) -> bool) -> bool {
    matches!(node.content, Content::Map(_))
        && entries(node)
            .iter()
            .all(|entry| entry.node.is_null() || is_default(&entry.key, &entry.node))
}

/// True for the defaults of Ray Serve's `logging_config`.
fn is_default_logging(node: &Node) -> bool {
    all(node, |key, value| match key {
        "encoding" => text(value) == Some("TEXT"),
        "log_level" => text(value) == Some("INFO") || is_number(value, 20.0),
        "enable_access_log" => matches!(value.content, Content::Bool(true)),
        "additional_log_standard_attrs" => value.is_empty(),
        _ => false,
    })
}

/// Handles a key of the whole file. Returns true if it is one of Ray Serve's.
pub(super) fn root_key(reader: &mut Reader<'_>, entry: &Entry) -> bool {
    let path = &entry.key;
    match &*entry.key {
        "proxy_location" => match text(&entry.node) {
            Some("EveryNode" | "HeadOnly") => {
                reader.note(path, "has no effect: each process serves HTTP itself");
                true
            }
            Some("Disabled") => {
                let message = "`Disabled` has no meaning here: set `route_prefix: null` for each \
                               application that is to have no HTTP route";
                reader.fault(entry.node.at, path, message);
                true
            }
            _ if entry.node.is_null() || entry.node.is_broken() => true,
            _ => {
                reader.expected(&entry.node, path, "`EveryNode`, `HeadOnly` or `Disabled`");
                true
            }
        },
        "grpc_options" => {
            let serves_nothing = |node: &Node| {
                matches!(node.content, Content::Map(_))
                    && member(node, "grpc_servicer_functions").is_none_or(Node::is_empty)
            };
            let reason = "there is no port for gRPC alone: mount a tonic service in `#[routes]` of the \
                          ingress, and it is served on the HTTP port";
            accept_if(reader, entry, path, serves_nothing, reason)
        }
        "controller_options" => refuse(
            reader,
            entry,
            path,
            "the controller is a part of the program, and has no options",
        ),
        "tracing_config" => {
            let is_off = |node: &Node| {
                node.is_empty()
                    || matches!(
                        member(node, "enabled"),
                        Some(Node { content: Content::Bool(false), .. })
                    )
            };
            accept_if(reader, entry, path, is_off, "traces are not exported")
        }
        _ => false,
    }
}

/// Handles a key of the section `http`. Returns true if it is one of Ray Serve's.
pub(super) fn http_key(reader: &mut Reader<'_>, entry: &Entry, path: &str) -> bool {
    match &*entry.key {
        // Ray Serve's default.
        "root_path" if text(&entry.node) == Some("") => true,
        "ssl_keyfile_password" => refuse(
            reader,
            entry,
            path,
            "keys are read without a password: decrypt the key, and restrict who may read its file",
        ),
        "ssl_ca_certs" => refuse(
            reader,
            entry,
            path,
            "clients are not asked for certificates: check them in a proxy in front of the port",
        ),
        _ => false,
    }
}

/// Handles a key of the section `logging`. Returns `None` if it is not one of Ray Serve's, else
/// whether it turns off the access log.
pub(super) fn logging_key(reader: &mut Reader<'_>, entry: &Entry, path: &str) -> Option<bool> {
    match &*entry.key {
        "enable_access_log" => match entry.node.content {
            Content::Bool(on) => Some(!on),
            Content::Null => Some(false),
            _ => {
                reader.expected(&entry.node, path, "`true` or `false`");
                Some(false)
            }
        },
        "logs_dir" => {
            let reason = "the log goes to the standard error stream: redirect it, or let the service \
                          manager store it";
            refuse(reader, entry, path, reason);
            Some(false)
        }
        "additional_log_standard_attrs" => {
            let reason = "attributes of Python's loggers: every field of an event is logged";
            refuse(reader, entry, path, reason);
            Some(false)
        }
        _ => None,
    }
}

/// Handles a key of an application. Returns true if it is one of Ray Serve's.
pub(super) fn application_key(reader: &mut Reader<'_>, entry: &Entry, path: &str) -> bool {
    match &*entry.key {
        "runtime_env" => refuse(reader, entry, path, RUNTIME_ENV),
        key @ ("host" | "port") => {
            let message = format!(
                "all applications share the port: set `http.{key}` at the top level of the file"
            );
            reader.fault(entry.at, path, &message);
            true
        }
        "logging_config" => accept_if(
            reader,
            entry,
            path,
            is_default_logging,
            "the log is one for the whole program: use `logging` at the top level, whose filters name \
             targets",
        ),
        "autoscaling_policy" => refuse(
            reader,
            entry,
            path,
            "a policy decides on one deployment: give `autoscaling_policy` to the deployments",
        ),
        _ => false,
    }
}

/// Handles a key of a deployment. Returns true if it is one of Ray Serve's.
pub(super) fn deployment_key(reader: &mut Reader<'_>, entry: &Entry, path: &str) -> bool {
    const GROUPS: &str = "each replica is placed by itself: reserve what it needs with `num_cpus`, \
                          `num_gpus`, `memory` and `resources`";
    match &*entry.key {
        "placement_group_bundles" | "placement_group_bundle_label_selector" => {
            refuse(reader, entry, path, GROUPS)
        }
        "placement_group_strategy" => {
            accept_if(reader, entry, path, |node| text(node) == Some("PACK"), GROUPS)
        }
        "gang_scheduling_config" => {
            refuse(reader, entry, path, "replicas start and stop one by one, not in groups")
        }
        "deployment_actors" => refuse(
            reader,
            entry,
            path,
            "make the shared actor a deployment of its own, with one replica, and bind it to this one",
        ),
        "graceful_shutdown_wait_loop_s" => accept_if(
            reader,
            entry,
            path,
            is_positive,
            "an idle replica stops at once, without polling; a number of seconds is accepted",
        ),
        "backpressure_config" => accept_if(
            reader,
            entry,
            path,
            |node| all(node, |key, value| key == "status_code" && is_number(value, 503.0)),
            "rejected requests always receive 503 with `Retry-After`, so leave the key out",
        ),
        "logging_config" => accept_if(
            reader,
            entry,
            path,
            is_default_logging,
            "the log is one for the whole program: use `logging` at the top level, whose filters name \
             targets",
        ),
        "runtime_env" => refuse(reader, entry, path, RUNTIME_ENV),
        // See `request_router`.
        "request_router_config" => true,
        _ => false,
    }
}

/// Returns the request router that Ray Serve's `request_router_config` of a deployment names.
pub(super) fn request_router(
    reader: &mut Reader<'_>,
    deployment: &Node,
    path: &str,
) -> Option<RequestRouting> {
    let members = entries(deployment);
    let entry = members.iter().find(|entry| entry.key == "request_router_config")?;
    let path = below(path, &entry.key);
    if entry.node.is_empty() || entry.node.is_broken() {
        return None;
    }
    let is_simple = all(&entry.node, |key, value| match key {
        "request_router_class" => text(value).is_some(),
        "request_router_kwargs" => value.is_empty(),
        "request_routing_stats_period_s" | "request_routing_stats_timeout_s" => {
            matches!(value.content, Content::Number(_))
        }
        // Written by `serve build`.
        key => key.starts_with('_'),
    });
    let class =
        member(&entry.node, "request_router_class").and_then(text).unwrap_or("PowerOfTwoChoices");
    let class = class.rsplit([':', '.']).next().unwrap_or_default();
    let routing = match class {
        "PowerOfTwoChoices" | "PowerOfTwoChoicesRequestRouter" => RequestRouting::PowerOfTwoChoices,
        "RoundRobinRouter" => RequestRouting::RoundRobin,
        "ConsistentHashRouter" => RequestRouting::ConsistentHash,
        _ => {
            let message = "a router of Python's: write `request_router: power_of_two_choices`, \
                           `round_robin`, `consistent_hash`, or the registered name of a router of your own";
            reader.fault(entry.at, &path, message);
            return None;
        }
    };
    if !is_simple {
        let message = "only `request_router_class` has a meaning here: write `request_router: ..` \
                       instead";
        reader.fault(entry.at, &path, message);
        return None;
    }
    if members.iter().any(|other| other.key == "request_router") {
        reader.fault(entry.at, &path, "`request_router` is the same option: give only one of them");
        return None;
    }
    Some(routing)
}

/// Sorts the entries of `ray_actor_options` by the options that they give.
pub(super) fn actor_options<'n>(
    reader: &mut Reader<'_>,
    section: &'n Entry,
    path: &str,
    known: &[Spelling],
    given: &mut Vec<Given<'n>>,
) {
    for entry in reader.section(&section.node, path, "a map of options") {
        let path = below(path, &entry.key);
        match &*entry.key {
            "runtime_env" => {
                refuse(reader, entry, &path, RUNTIME_ENV);
            }
            "accelerator_type" => {
                let reason = "reserve a resource with a name of your own, `resources: { h100: 1 }`, \
                              and give it to the nodes that have the accelerator";
                refuse(reader, entry, &path, reason);
            }
            "label_selector" | "fallback_strategy" => {
                let reason = "nodes are chosen by what replicas reserve: use `resources`";
                refuse(reader, entry, &path, reason);
            }
            key => match known.iter().find(|known| known.spelled == key && RESERVED.contains(&key))
            {
                Some(spelling) => reader.add(given, spelling, entry, &path),
                None => reader.unknown(entry, &path, RESERVED.into_iter()),
            },
        }
    }
}

/// Handles a key of `autoscaling`. Returns true if it is one of Ray Serve's.
pub(super) fn autoscaling_key(reader: &mut Reader<'_>, entry: &Entry, path: &str) -> bool {
    match &*entry.key {
        "metrics_interval_s" => accept_if(
            reader,
            entry,
            path,
            is_positive,
            "the load is always known, and is not reported at intervals; a number is accepted",
        ),
        key @ ("smoothing_factor" | "upscale_smoothing_factor" | "downscale_smoothing_factor") => {
            let instead = match key {
                "smoothing_factor" => {
                    "`upscaling_factor` and `downscaling_factor` are the keys for that"
                }
                "upscale_smoothing_factor" => "`upscaling_factor` is the key for that",
                _ => "`downscaling_factor` is the key for that",
            };
            accept_if(reader, entry, path, |node| is_number(node, 1.0), instead)
        }
        "policy" => accept_if(
            reader,
            entry,
            path,
            |node| {
                all(node, |key, value| match key {
                    "policy_function" | "name" => {
                        text(value).is_some_and(|name| name.ends_with("default_autoscaling_policy"))
                    }
                    _ => value.is_empty(),
                })
            },
            "the default policy is the same here; for another one, use the deployment's \
             `autoscaling_policy`, which names a registered policy",
        ),
        _ => false,
    }
}
