//! [`OPTIONS`]: the table of a deployment's options, and everything that is derived from the table:
//! the form of [`DeploymentOptions`] in a config file, the JSON Schema, and layers of options.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::AutoscalingConfig;
use super::options::DeploymentOptions;
use super::setting::{MOST_RESERVED, Setting, ValueKind};
use super::table::{self, GivenIn, OnUpdate, OptionFault, OptionInfo, optional};

type Accessors = (
    fn(&DeploymentOptions) -> Option<Value>,
    fn(&mut DeploymentOptions, Value) -> Result<(), Vec<OptionFault>>,
);

const fn option(
    name: &'static str,
    kind: ValueKind,
    default: &'static str,
    doc: &'static str,
    on_update: OnUpdate,
    (get, set): Accessors,
) -> OptionInfo<DeploymentOptions> {
    let (aliases, given_in) = (&[], GivenIn::All);
    OptionInfo { name, aliases, kind, default, doc, on_update, given_in, get, set }
}

/// The options of a deployment, except for `local` and `crate`, which are keywords of the macro.
pub static OPTIONS: [OptionInfo<DeploymentOptions>; 20] = [
    option(
        "name",
        ValueKind::Name,
        "the struct's name",
        "the name in the application; not empty, no `#`",
        OnUpdate::Another,
        optional!(DeploymentOptions, name),
    ),
    option(
        "num_replicas",
        ValueKind::Replicas,
        "1",
        "the number of replicas; `auto` is `autoscaling` with `max_replicas` of 100",
        OnUpdate::Scale,
        optional!(DeploymentOptions, num_replicas),
    ),
    OptionInfo {
        aliases: &["autoscaling_config"],
        ..option(
            "autoscaling",
            ValueKind::Autoscaling,
            "off",
            "how the number of replicas follows the load; excludes `num_replicas`",
            OnUpdate::InPlace,
            optional!(DeploymentOptions, autoscaling),
        )
    },
    OptionInfo {
        given_in: GivenIn::BoundAndFile,
        ..option(
            "autoscaling_policy",
            ValueKind::Policy,
            "by `target_ongoing_requests`",
            "the rule that says how many replicas a load asks for; needs `autoscaling`",
            OnUpdate::InPlace,
            optional!(DeploymentOptions, autoscaling_policy),
        )
    },
    option(
        "max_ongoing_requests",
        ValueKind::Count { min: 1 },
        "100",
        "concurrent calls on each replica; exact, never exceeded",
        OnUpdate::InPlace,
        optional!(DeploymentOptions, max_ongoing_requests),
    ),
    option(
        "max_queued_requests",
        ValueKind::Limit,
        "no limit",
        "calls that may wait for a replica, over the whole deployment",
        OnUpdate::Scale,
        (
            |options: &DeploymentOptions| options.max_queued_requests.as_ref().map(Setting::write),
            |options: &mut DeploymentOptions, value| {
                // As in Ray Serve, -1 means no limit.
                options.max_queued_requests = match value.as_i64() {
                    Some(-1) => None,
                    _ => Some(Setting::read_all(value)?),
                };
                Ok(())
            },
        ),
    ),
    option(
        "request_timeout",
        ValueKind::Duration { zero: true },
        "none",
        "the deadline of a call that brings none",
        OnUpdate::InPlace,
        optional!(DeploymentOptions, request_timeout),
    ),
    option(
        "num_cpus",
        ValueKind::Number { from: 0.0, to: MOST_RESERVED, above: false },
        "0",
        "CPUs reserved for each replica; rounded up, and at least one, the number of its threads for \
         `#[blocking]` methods",
        OnUpdate::Restart,
        optional!(DeploymentOptions, num_cpus),
    ),
    option(
        "num_gpus",
        ValueKind::Gpus,
        "0",
        "GPUs reserved for each replica: a whole number, or a part of one",
        OnUpdate::Restart,
        optional!(DeploymentOptions, num_gpus),
    ),
    option(
        "memory",
        ValueKind::Size,
        "0",
        "memory reserved for each replica",
        OnUpdate::Restart,
        optional!(DeploymentOptions, memory),
    ),
    option(
        "resources",
        ValueKind::Amounts,
        "none",
        "other resources reserved for each replica, by any name",
        OnUpdate::Restart,
        (
            |options: &DeploymentOptions| {
                (!options.resources.is_empty()).then(|| options.resources.write())
            },
            |options: &mut DeploymentOptions, value| {
                options.resources = Setting::read_all(value)?;
                Ok(())
            },
        ),
    ),
    option(
        "max_replicas_per_node",
        ValueKind::Count { min: 1 },
        "no limit",
        "replicas on one node",
        OnUpdate::Restart,
        optional!(DeploymentOptions, max_replicas_per_node),
    ),
    option(
        "health_check_period",
        ValueKind::Duration { zero: false },
        "10s",
        "how often `#[check_health]` is called, give or take a tenth",
        OnUpdate::InPlace,
        optional!(DeploymentOptions, health_check_period),
    ),
    option(
        "health_check_timeout",
        ValueKind::Duration { zero: false },
        "30s",
        "how long one such call may take",
        OnUpdate::InPlace,
        optional!(DeploymentOptions, health_check_timeout),
    ),
    option(
        "graceful_shutdown_timeout",
        ValueKind::Duration { zero: true },
        "20s",
        "how long running calls may go on when a replica is stopped; an idle replica stops at once",
        OnUpdate::InPlace,
        optional!(DeploymentOptions, graceful_shutdown_timeout),
    ),
    option(
        "max_constructor_retry_count",
        ValueKind::Count { min: 1 },
        "20",
        "failed starts before a deploy fails; and never more than three for each replica",
        OnUpdate::InPlace,
        optional!(DeploymentOptions, max_constructor_retry_count),
    ),
    option(
        "rolling_update_percentage",
        ValueKind::Number { from: 0.0, to: 1.0, above: true },
        "0.2",
        "the part of the replicas that an update replaces at a time; at least one replica",
        OnUpdate::Scale,
        optional!(DeploymentOptions, rolling_update_percentage),
    ),
    option(
        "max_surge_percent",
        ValueKind::Number { from: 0.0, to: 100.0, above: false },
        "0",
        "replicas that an update may start beyond the wanted number, in percent of it; 0: old ones \
         stop first",
        OnUpdate::Scale,
        optional!(DeploymentOptions, max_surge_percent),
    ),
    option(
        "request_router",
        ValueKind::Router,
        "`power_of_two_choices`",
        "which replica gets a call: that, `round_robin`, `consistent_hash`, or a router of the user's \
         own by its registered name",
        OnUpdate::InPlace,
        optional!(DeploymentOptions, request_router),
    ),
    OptionInfo {
        given_in: GivenIn::BoundAndFile,
        ..option(
            "user_config",
            ValueKind::Json,
            "none",
            "the value that the `#[reconfigure]` method is given",
            OnUpdate::Reconfigure,
            optional!(DeploymentOptions, user_config),
        )
    },
];

/// The options that Ray Serve has in `ray_actor_options`.
const RESERVED: [&str; 4] = ["num_cpus", "num_gpus", "memory", "resources"];

/// Replaces `num_replicas: auto` with `autoscaling`, and sets the default of its `max_replicas`.
fn expand_auto(map: &mut Map<String, Value>) {
    if map.get("num_replicas").and_then(Value::as_str) != Some("auto") {
        return;
    }
    map.remove("num_replicas");
    let key =
        if map.contains_key("autoscaling_config") { "autoscaling_config" } else { "autoscaling" };
    let autoscaling = map.entry(key).or_insert(Value::Null);
    if autoscaling.is_null() {
        *autoscaling = Value::Object(Map::new());
    }
    if let Value::Object(autoscaling) = autoscaling {
        let most = AutoscalingConfig::auto().max_replicas;
        autoscaling.entry("max_replicas").or_insert_with(|| most.into());
    }
}

impl DeploymentOptions {
    /// Reads the options from a map, in the form of a config file.
    ///
    /// # Errors
    /// Returns every fault, with the keys that lead to it.
    pub fn read(mut map: Map<String, Value>) -> Result<Self, Vec<OptionFault>> {
        let mut faults = Vec::new();
        // Ray Serve's name for the resources that an actor reserves.
        if let Some(reserved) = map.remove("ray_actor_options") {
            match reserved {
                Value::Object(reserved) => {
                    for (key, value) in reserved {
                        let path = format!("ray_actor_options.{key}");
                        let message = if !RESERVED.contains(&&*key) {
                            "only `num_cpus`, `num_gpus`, `memory` and `resources` mean something here"
                                .to_owned()
                        } else if map.contains_key(&key) {
                            format!("`{key}` is the same option: give only one of them")
                        } else {
                            map.insert(key, value);
                            continue;
                        };
                        faults.push(OptionFault { path, message });
                    }
                }
                Value::Null => {}
                other => faults.push(OptionFault {
                    path: "ray_actor_options".to_owned(),
                    message: format!("{other} is not a map of options"),
                }),
            }
        }
        expand_auto(&mut map);
        match table::read(&OPTIONS, map) {
            Ok(options) if faults.is_empty() => Ok(options),
            Ok(_) => Err(faults),
            Err(more) => Err(faults.into_iter().chain(more).collect()),
        }
    }

    /// Returns these options, overridden by the options that `layer` sets.
    #[must_use]
    pub fn overridden_by(&self, layer: &Self) -> Self {
        let mut all = self.clone();
        for option in &OPTIONS {
            let Some(value) = option.value(layer) else { continue };
            match option.name {
                // Each of the two options removes the other.
                "num_replicas" => (all.autoscaling, all.autoscaling_policy) = (None, None),
                "autoscaling" => all.num_replicas = None,
                _ => {}
            }
            match option.name {
                // Not every value of these two options has a name by which it can be read.
                "request_router" => all.request_router.clone_from(&layer.request_router),
                "autoscaling_policy" => {
                    all.autoscaling_policy.clone_from(&layer.autoscaling_policy);
                }
                _ => (option.set)(&mut all, value).expect("an option reads what it has written"),
            }
        }
        all
    }
}

impl Serialize for DeploymentOptions {
    /// Writes the options that are set.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        table::write(&OPTIONS, self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for DeploymentOptions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(from)?;
        Self::read(map).map_err(|faults| de::Error::custom(OptionFault::in_all(&faults)))
    }
}

impl JsonSchema for DeploymentOptions {
    fn schema_name() -> Cow<'static, str> {
        "DeploymentOptions".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut schema = table::schema(&OPTIONS, schemas);
        let reserved = RESERVED.map(|name| {
            let option = OPTIONS.iter().find(|option| option.name == name);
            let kind = option.expect("the table has it").kind;
            (name.to_owned(), Value::from(kind.schema(schemas)))
        });
        let reserved: Map<String, Value> = reserved.into_iter().collect();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            let reserved = json!({
                "type": ["object", "null"],
                "description": "Ray Serve's place for what a replica reserves",
                "properties": reserved,
                "additionalProperties": false,
            });
            properties.insert("ray_actor_options".to_owned(), reserved);
        }
        schema
    }
}
