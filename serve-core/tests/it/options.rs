//! Every option of a deployment, set by the attribute and on the `Bound`. The effect of an option is
//! tested with its topic.

use crate::support::routers::First;

use std::error::Error as _;
use std::time::Duration;

use serde_json::Value::Null;
use serve_core::DeployError;
use serve_core::autoscaling::{Aggregation, AutoscalingContext};
use serve_core::dynamic::AnyApplication;
use serve_core::options::{DeploymentOptions, OptionsError};
use serve_core::prelude::*;
use serve_core::routing::RequestRouting;

#[deployment]
#[derive(Default)]
struct Plain;

#[handle]
impl Plain {
    pub async fn one(&self) -> u64 {
        1
    }
}

/// Every option but those of autoscaling, each with a value that is not its default.
#[deployment(
    name = "scorer",
    num_replicas = 3,
    max_ongoing_requests = 7,
    max_queued_requests = 0,
    request_timeout = "1m 30s",
    num_cpus = 0.5,
    num_gpus = 0.25,
    memory = "2GiB",
    resources(npu = 2, licence = 0.5),
    max_replicas_per_node = 2,
    health_check_period = "500ms",
    health_check_timeout = "4s",
    graceful_shutdown_timeout = "0s",
    max_constructor_retry_count = 5,
    rolling_update_percentage = 0.5,
    max_surge_percent = 25,
    request_router = consistent_hash
)]
#[derive(Default)]
struct Full;

#[handle]
impl Full {
    pub async fn one(&self) -> u64 {
        1
    }
}

#[deployment(
    autoscaling(
        min_replicas = 0,
        max_replicas = 10,
        initial_replicas = 4,
        target_ongoing_requests = 1.5,
        upscale_delay = "3s",
        downscale_delay = "1m",
        downscale_to_zero_delay = "1h",
        upscaling_factor = 2,
        downscaling_factor = 0.5,
        look_back_period = "10s",
        aggregation = max
    ),
    request_router = First
)]
#[derive(Default)]
struct Scaled;

#[handle]
impl Scaled {
    pub async fn one(&self) -> u64 {
        1
    }
}

#[deployment(num_replicas = "auto")]
#[derive(Default)]
struct Auto;

#[handle]
impl Auto {
    pub async fn one(&self) -> u64 {
        1
    }
}

/// The options of a bound deployment, as its `Debug` shows them.
fn shown<D: Deployment>(bound: &Bound<D>) -> String {
    let text = format!("{bound:?}");
    let (_, options) = text.split_once("options: ").expect("its options");
    let (options, _) = options.rsplit_once(", ..").expect("an end");
    options.to_owned()
}

#[test]
fn defaults_apply_without_options() {
    let options = Plain::options();
    assert_eq!(options, DeploymentOptions::default());
    assert_eq!(Plain::NAME, "Plain");
    assert_eq!(options.num_replicas(), 1);
    assert_eq!(options.max_ongoing_requests(), 100);
    assert_eq!(options.max_queued_requests, None, "no limit");
    assert_eq!(options.request_timeout, None, "no deadline");
    assert_eq!((options.num_cpus, options.num_gpus, options.memory), (None, None, None), "0");
    assert!(options.resources.is_empty());
    assert_eq!(options.compute_threads(), 1);
    assert_eq!(options.autoscaling, None);
    assert_eq!(options.max_replicas_per_node, None, "no limit");
    assert_eq!(options.health_check_period(), Duration::from_secs(10));
    assert_eq!(options.health_check_timeout(), Duration::from_secs(30));
    assert_eq!(options.graceful_shutdown_timeout(), Duration::from_secs(20));
    assert_eq!(options.max_constructor_retry_count(), 20);
    assert_eq!(options.rolling_update_percentage(), 0.2);
    assert_eq!(options.max_surge_percent(), 0.0);
    assert_eq!(options.request_router, None, "power of two choices");
    assert_eq!(RequestRouting::default(), RequestRouting::PowerOfTwoChoices);
    assert_eq!(options.user_config, None);
}

#[test]
fn the_attribute_sets_the_options() {
    let options = Full::options();
    assert_eq!(Full::NAME, "scorer");
    assert_eq!(options.num_replicas, Some(3));
    assert_eq!(options.max_ongoing_requests, Some(7));
    assert_eq!(options.max_queued_requests, Some(0));
    assert_eq!(options.request_timeout, Some(Duration::from_secs(90)));
    assert_eq!(options.num_cpus, Some(0.5));
    assert_eq!(options.num_gpus, Some(0.25));
    assert_eq!(options.memory, Some(2 * 1024 * 1024 * 1024));
    assert_eq!(
        options.resources,
        [("licence".to_owned(), 0.5), ("npu".to_owned(), 2.0)].into_iter().collect()
    );
    assert_eq!(options.max_replicas_per_node, Some(2));
    assert_eq!(options.health_check_period, Some(Duration::from_millis(500)));
    assert_eq!(options.health_check_timeout, Some(Duration::from_secs(4)));
    assert_eq!(options.graceful_shutdown_timeout, Some(Duration::ZERO));
    assert_eq!(options.max_constructor_retry_count, Some(5));
    assert_eq!(options.rolling_update_percentage, Some(0.5));
    assert_eq!(options.max_surge_percent, Some(25.0));
    assert_eq!(options.request_router, Some(RequestRouting::ConsistentHash));
    assert_eq!(options.check(), Ok(()));
}

#[test]
fn the_bound_sets_the_same_options() {
    let bound = Plain::bind()
        .num_replicas(3)
        .max_ongoing_requests(7)
        .max_queued_requests(0)
        .request_timeout(Duration::from_secs(90))
        .num_cpus(0.5)
        .num_gpus(0.25)
        .memory(2 << 30)
        .resource("npu", 2.0)
        .resource("licence", 0.5)
        .max_replicas_per_node(2)
        .health_check_period(Duration::from_millis(500))
        .health_check_timeout(Duration::from_secs(4))
        .graceful_shutdown_timeout(Duration::ZERO)
        .max_constructor_retry_count(5)
        .rolling_update_percentage(0.5)
        .max_surge_percent(25.0)
        .request_router(RequestRouting::ConsistentHash);
    assert_eq!(shown(&bound), format!("{:?}", Full::options()));
}

#[test]
fn attribute_and_bound_agree_on_autoscaling() {
    let config = AutoscalingConfig::new()
        .min_replicas(0)
        .max_replicas(10)
        .initial_replicas(4)
        .target_ongoing_requests(1.5)
        .upscale_delay(Duration::from_secs(3))
        .downscale_delay(Duration::from_secs(60))
        .downscale_to_zero_delay(Duration::from_secs(3600))
        .upscaling_factor(2.0)
        .downscaling_factor(0.5)
        .look_back_period(Duration::from_secs(10))
        .aggregation(Aggregation::Max);
    assert_eq!(Scaled::options().autoscaling, Some(config.clone()));
    assert_eq!(Scaled::options().num_replicas(), 4, "the initial number");
    let bound = Plain::bind().autoscaling(config).request_router(RequestRouting::custom::<First>());
    assert_eq!(shown(&bound), format!("{:?}", Scaled::options()));

    let auto = Auto::options().autoscaling.expect("autoscaling");
    assert_eq!(auto, AutoscalingConfig::new().min_replicas(1).max_replicas(100));
    assert_eq!(auto.target_ongoing_requests, 2.0);
    assert_eq!(auto.upscale_delay, Duration::from_secs(30));
    assert_eq!(auto.downscale_delay, Duration::from_secs(600));
    assert_eq!(auto.downscale_to_zero_delay, None, "as downscale_delay");
    assert_eq!((auto.upscaling_factor, auto.downscaling_factor), (1.0, 1.0));
    assert_eq!(auto.look_back_period, Duration::from_secs(30));
    assert_eq!(auto.aggregation, Aggregation::Mean);
}

#[test]
fn the_last_setting_wins() {
    let fixed = Auto::bind().autoscaling_policy(|_: &AutoscalingContext<'_>| 1.0).num_replicas(2);
    assert_eq!(shown(&fixed), shown(&Plain::bind().num_replicas(2)));
    let scaled = Plain::bind().num_replicas(2).autoscaling(AutoscalingConfig::auto());
    assert_eq!(shown(&scaled), shown(&Auto::bind()));
}

#[test]
fn graphs_show_the_options() -> Result<()> {
    let graph = |bound: Bound<Scaled>| AnyApplication::from(Application::new(bound)).graph();
    let node = graph(Scaled::bind())?.deployments.remove(0);
    assert_eq!(node.num_replicas, 4);
    assert_eq!(node.autoscaling, Scaled::options().autoscaling);
    assert!(node.request_router.ends_with("First"), "{}", node.request_router);
    let fixed = Scaled::bind().num_replicas(2).num_gpus(0.5).memory(1000).resource("npu", 1.0);
    let node = graph(fixed.request_router(RequestRouting::RoundRobin))?.deployments.remove(0);
    assert_eq!((node.num_replicas, &node.autoscaling), (2, &None));
    assert_eq!(node.request_router, "round_robin");
    assert_eq!((node.num_cpus, node.num_gpus, node.memory), (0.0, 0.5, 1000));
    assert_eq!(node.resources["npu"], 1.0);
    let json = serde_json::to_value(&node)?;
    assert_eq!((&json["max_queued_requests"], &json["request_timeout"]), (&Null, &Null));

    let limited =
        Scaled::bind().max_queued_requests(7).request_timeout(Duration::from_millis(1_500));
    let node = graph(limited)?.deployments.remove(0);
    assert_eq!(node.max_queued_requests, Some(7));
    assert_eq!(node.request_timeout, Some(Duration::from_millis(1_500)));
    let json = serde_json::to_value(&node)?;
    assert_eq!(json["max_queued_requests"], 7);
    assert_eq!(json["request_timeout"], "1s 500ms");
    Ok(())
}

/// An option, a value that makes no sense for it, and how the refusal begins.
type Nonsense = (fn(Bound<Plain>) -> Bound<Plain>, &'static str);

#[tokio::test(start_paused = true)]
async fn invalid_options_are_refused_before_the_start() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let cases: [Nonsense; 16] = [
        (|it| it.name("a#b"), "`name` is \"a#b\""),
        (|it| it.num_replicas(0), "`num_replicas` is 0"),
        (|it| it.max_ongoing_requests(0), "`max_ongoing_requests` is 0"),
        (|it| it.num_cpus(f64::NAN), "`num_cpus` is NaN"),
        (|it| it.num_gpus(-1.0), "`num_gpus` is -1"),
        (|it| it.num_gpus(1.5), "`num_gpus` is 1.5"),
        (|it| it.resource("npu", f64::INFINITY), "`npu` is inf"),
        (|it| it.max_replicas_per_node(0), "`max_replicas_per_node` is 0"),
        (|it| it.health_check_period(Duration::ZERO), "`health_check_period` is 0"),
        (|it| it.health_check_timeout(Duration::ZERO), "`health_check_timeout` is 0"),
        (|it| it.max_constructor_retry_count(0), "`max_constructor_retry_count` is 0"),
        (|it| it.rolling_update_percentage(0.0), "`rolling_update_percentage` is 0"),
        (|it| it.rolling_update_percentage(20.0), "`rolling_update_percentage` is 20"),
        (|it| it.max_surge_percent(101.0), "`max_surge_percent` is 101"),
        (
            |it| it.autoscaling(AutoscalingConfig::new().min_replicas(2)),
            "`min_replicas` is 2 and `max_replicas` is 1",
        ),
        (
            |it| it.autoscaling_policy(|_: &AutoscalingContext<'_>| 1.0),
            "`autoscaling_policy` needs `autoscaling`",
        ),
    ];
    for (change, begins) in cases {
        let error = runtime.run(change(Plain::bind())).await.expect_err(begins);
        assert!(matches!(error, DeployError::Graph(_)), "{error}");
        assert!(error.source().is_none(), "the message has it all: {error}");
        let text = error.to_string();
        let said = text.split_once("`: ").map(|(_, said)| said).expect("a place");
        assert!(said.starts_with(begins) && said.len() > begins.len(), "{text}");
        assert!(runtime.status().applications.is_empty(), "a refused deploy changes nothing");
    }
    Ok(())
}

#[test]
fn num_replicas_and_autoscaling_are_exclusive() {
    let mut options = Auto::options();
    options.num_replicas = Some(2);
    assert_eq!(options.check(), Err(OptionsError::FixedAndAutoscaled));
}
