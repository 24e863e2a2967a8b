//! The answers of Ray Serve's REST API, with exactly its fields: its own tools refuse others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::operations::Instance;
use crate::controller::{
    ApplicationOverview, AutoscalingDecision, DeploymentDetails, DeploymentOverview,
    DeploymentStatus, ReplicaDetails,
};
use crate::deployment::{AutoscalingConfig, DeploymentOptions};

/// The version of Ray whose API this is. Ray's tools check it.
const RAY_VERSION: &str = "2.60.0";

/// Returns the answer of `GET /api/ray/version`.
pub(super) fn version(instance: &Instance) -> Value {
    json!({
        // The version of the API, which Ray has not changed since 2021.
        "version": "4",
        "ray_version": RAY_VERSION,
        "ray_commit": "",
        "session_name": instance.node_id,
    })
}

/// Returns the answer of `GET /api/serve/applications/`: everything, or the applications of one
/// source.
pub(super) fn instance_details(instance: &Instance, source: Option<&str>) -> Value {
    let actor = || {
        json!({
            "node_id": instance.node_id,
            "node_ip": instance.http.map_or_else(|| "127.0.0.1".to_owned(), |it| it.ip().to_string()),
            "node_instance_id": "",
            "actor_id": null,
            "actor_name": null,
            "worker_id": null,
            "log_file_path": null,
        })
    };
    let mut proxies = Map::new();
    if instance.http.is_some() {
        let mut proxy = actor();
        proxy["status"] = json!("HEALTHY");
        proxies.insert(instance.node_id.clone(), proxy);
    }
    let of_source = |overview: &ApplicationOverview| {
        source.is_none_or(|source| json!(overview.details.source) == json!(source))
    };
    let applications = instance.applications.iter().filter(|(_, overview)| of_source(overview));
    let applications: Map<String, Value> = applications
        .map(|(name, overview)| (name.clone(), application(instance, name, overview)))
        .collect();
    let mut details = json!({
        "controller_info": actor(),
        "proxy_location": if instance.http.is_some() { "EveryNode" } else { "Disabled" },
        "proxies": proxies,
        "applications": applications,
        "target_capacity": instance.target_capacity,
        "target_groups": [],
        // An option that a configuration no longer has is again the code's.
        "restores_unset_config_options": true,
    });
    if let Some(http) = instance.http {
        details["http_options"] = json!({ "host": http.ip().to_string(), "port": http.port() });
    }
    details
}

fn application(instance: &Instance, name: &str, overview: &ApplicationOverview) -> Value {
    let details = &overview.details;
    let deployments: Map<String, Value> = details
        .deployments
        .iter()
        .map(|(deployment_name, details)| {
            let known = overview.deployments.iter().find(|it| it.name == *deployment_name);
            (deployment_name.clone(), deployment(instance, deployment_name, details, known))
        })
        .collect();
    json!({
        "name": name,
        "route_prefix": details.route_prefix,
        "docs_path": details.route_prefix.as_ref().map(|_| "/docs"),
        "status": details.status,
        "message": details.message,
        "last_deployed_time_s": seconds(details.last_deployed_at),
        "deployed_app_config": overview.section.as_ref().map(app_config),
        "source": details.source,
        "deployments": deployments,
        "external_scaler_enabled": overview.external_scaler_enabled,
        "deployment_topology": topology(name, &overview.deployments),
    })
}

fn topology(application: &str, deployments: &[DeploymentOverview]) -> Value {
    let node = |(place, deployment): (usize, &DeploymentOverview)| {
        let calls = deployment.calls.iter();
        let calls: Vec<Value> =
            calls.map(|callee| json!({ "name": callee, "app_name": application })).collect();
        let node = json!({
            "name": deployment.name,
            "app_name": application,
            "outbound_deployments": calls,
            "is_ingress": place == 0,
        });
        (deployment.name.clone(), node)
    };
    let nodes: Map<String, Value> = deployments.iter().enumerate().map(node).collect();
    json!({
        "app_name": application,
        "nodes": nodes,
        "ingress_deployment": deployments.first().map(|ingress| &ingress.name),
    })
}

fn deployment(
    instance: &Instance,
    name: &str,
    details: &DeploymentDetails,
    known: Option<&DeploymentOverview>,
) -> Value {
    let options = known.map(|known| known.options.clone()).unwrap_or_default();
    let replica = |replica: &ReplicaDetails| {
        json!({
            "node_id": instance.node_id,
            "node_ip": "127.0.0.1",
            "node_instance_id": "",
            "actor_id": null,
            "actor_name": replica.replica_id,
            "worker_id": null,
            "log_file_path": null,
            "replica_id": replica.replica_id,
            "state": replica.state,
            "pid": std::process::id(),
            "start_time_s": seconds(replica.started_at),
        })
    };
    json!({
        "name": name,
        "status": details.status,
        "status_trigger": details.status_trigger,
        "message": details.message,
        "deployment_config": in_force(name, &options),
        "target_num_replicas": details.target_num_replicas,
        "required_resources": resources(&options),
        "replicas": details.replicas.iter().map(replica).collect::<Vec<_>>(),
        "autoscaling_detail": options.autoscaling.as_ref().map(|_| autoscaling_detail(details, &options)),
    })
}

fn autoscaling_detail(details: &DeploymentDetails, options: &DeploymentOptions) -> Value {
    let policy = options.autoscaling_policy.as_ref().map(|policy| policy.name());
    let decision = |decision: &AutoscalingDecision| {
        json!({
            "timestamp_s": seconds(decision.time),
            "reason": decision.reason,
            "prev_num_replicas": decision.from,
            "curr_num_replicas": decision.to,
            "policy": policy,
        })
    };
    json!({
        "scaling_status": match details.status {
            DeploymentStatus::Upscaling => "UPSCALING",
            DeploymentStatus::Downscaling => "DOWNSCALING",
            _ => "STABLE",
        },
        "decisions": details.autoscaling_decisions.iter().map(decision).collect::<Vec<_>>(),
        "metrics": { "ongoing_requests": details.ongoing, "queued_requests": details.queued },
        "metrics_health": "healthy",
        "errors": [],
    })
}

/// Returns a deployment's options in Ray's form, with the defaults filled in.
fn in_force(name: &str, options: &DeploymentOptions) -> Value {
    let mut config = as_set(options);
    let mut or_default = |key: &str, value: Value| {
        config.entry(key.to_owned()).or_insert(value);
    };
    or_default("name", json!(name));
    let fixed = options.autoscaling.is_none().then(|| options.num_replicas());
    or_default("num_replicas", json!(fixed));
    or_default("max_ongoing_requests", json!(options.max_ongoing_requests()));
    or_default("max_queued_requests", json!(-1));
    or_default("user_config", Value::Null);
    or_default("graceful_shutdown_timeout_s", in_seconds(options.graceful_shutdown_timeout()));
    or_default("health_check_period_s", in_seconds(options.health_check_period()));
    or_default("health_check_timeout_s", in_seconds(options.health_check_timeout()));
    or_default("rolling_update_percentage", json!(options.rolling_update_percentage()));
    or_default("max_surge_percent", json!(percent(options.max_surge_percent())));
    or_default("ray_actor_options", resource_options(options));
    Value::Object(config)
}

/// Returns the options that are set and that Ray has too, in Ray's form.
fn as_set(options: &DeploymentOptions) -> Map<String, Value> {
    let mut config = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(key.to_owned(), value);
        }
    };
    set("name", options.name.as_ref().map(|name| json!(name)));
    set("num_replicas", options.num_replicas.map(|replicas| json!(replicas)));
    set("max_ongoing_requests", options.max_ongoing_requests.map(|limit| json!(limit)));
    set("max_queued_requests", options.max_queued_requests.map(|limit| json!(limit)));
    // Ray has maps alone.
    set("user_config", options.user_config.clone().filter(Value::is_object));
    set("autoscaling_config", options.autoscaling.as_ref().map(autoscaling_config));
    set("graceful_shutdown_timeout_s", options.graceful_shutdown_timeout.map(in_seconds));
    set("health_check_period_s", options.health_check_period.map(in_seconds));
    set("health_check_timeout_s", options.health_check_timeout.map(in_seconds));
    set("max_replicas_per_node", options.max_replicas_per_node.map(|limit| json!(limit)));
    set("rolling_update_percentage", options.rolling_update_percentage.map(|part| json!(part)));
    set("max_surge_percent", options.max_surge_percent.map(|surge| json!(percent(surge))));
    let reserves = options.num_cpus.is_some()
        || options.num_gpus.is_some()
        || options.memory.is_some()
        || !options.resources.is_empty();
    set("ray_actor_options", reserves.then(|| resource_options(options)));
    config
}

fn autoscaling_config(config: &AutoscalingConfig) -> Value {
    let mut shown = json!({
        "min_replicas": config.min_replicas,
        "max_replicas": config.max_replicas,
        "target_ongoing_requests": config.target_ongoing_requests,
        "upscale_delay_s": in_seconds(config.upscale_delay),
        "downscale_delay_s": in_seconds(config.downscale_delay),
        "upscaling_factor": config.upscaling_factor,
        "downscaling_factor": config.downscaling_factor,
        "look_back_period_s": in_seconds(config.look_back_period),
        "aggregation_function": config.aggregation,
    });
    if let Some(initial) = config.initial_replicas {
        shown["initial_replicas"] = json!(initial);
    }
    if let Some(delay) = config.downscale_to_zero_delay {
        shown["downscale_to_zero_delay_s"] = in_seconds(delay);
    }
    shown
}

fn resource_options(options: &DeploymentOptions) -> Value {
    let mut shown = json!({ "num_cpus": options.num_cpus.unwrap_or_default() });
    if let Some(gpus) = options.num_gpus {
        shown["num_gpus"] = json!(gpus);
    }
    if let Some(memory) = options.memory {
        shown["memory"] = json!(memory);
    }
    if !options.resources.is_empty() {
        shown["resources"] = json!(options.resources);
    }
    shown
}

/// Returns what a replica reserves, under Ray's names of resources.
fn resources(options: &DeploymentOptions) -> Value {
    let mut shown = Map::new();
    shown.insert("CPU".to_owned(), json!(options.num_cpus.unwrap_or_default()));
    if let Some(gpus) = options.num_gpus {
        shown.insert("GPU".to_owned(), json!(gpus));
    }
    if let Some(memory) = options.memory {
        shown.insert("memory".to_owned(), json!(memory));
    }
    shown.extend(options.resources.iter().map(|(name, amount)| (name.clone(), json!(amount))));
    Value::Object(shown)
}

/// Returns the section of a configuration that describes an application, in Ray's form: what Ray
/// does not know is left out.
fn app_config(section: &Value) -> Value {
    let mut config = Map::new();
    for key in ["name", "route_prefix", "import_path", "args", "external_scaler_enabled"] {
        if let Some(value) = section.get(key) {
            config.insert(key.to_owned(), value.clone());
        }
    }
    let deployments = section.get("deployments").and_then(Value::as_array);
    let deployments = deployments.map(|deployments| {
        let deployment = |deployment: &Value| {
            let mut options = deployment.as_object().cloned().unwrap_or_default();
            let name = options.remove("name");
            let options = DeploymentOptions::read(options).unwrap_or_default();
            let mut config = as_set(&options);
            config.extend(name.map(|name| ("name".to_owned(), name)));
            Value::Object(config)
        };
        deployments.iter().map(deployment).collect()
    });
    config.extend(deployments.map(|deployments| ("deployments".to_owned(), deployments)));
    Value::Object(config)
}

/// Returns the seconds since the Unix epoch; 0 for the clock of a test.
fn seconds(time: Option<SystemTime>) -> f64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map(|since| since.as_secs_f64()).unwrap_or_default()
}

fn in_seconds(duration: Duration) -> Value {
    json!(duration.as_secs_f64())
}

/// Returns a percentage as Ray has it: a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be from 0 to 100"
)]
fn percent(percent: f64) -> u64 {
    percent.round() as u64
}
