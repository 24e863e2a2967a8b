//! The table of options agrees with the macro, `Bound`, config files, the schema and the guide: an
//! option that is missing in one of them is detected.

use crate::support::repository::{self, next_table, quoted};
use crate::support::routers::First;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use serve_core::autoscaling::{AutoscalingConfig, AutoscalingContext, AutoscalingPolicy};
use serve_core::dynamic::AnyApplication;
use serve_core::options::DeploymentOptions;
use serve_core::options::{AUTOSCALING, GivenIn, HTTP_OPTIONS, OPTIONS, OnUpdate, OptionInfo};
use serve_core::prelude::*;
use serve_core::routing::RequestRouting;

/// The options that only the attribute has, because they are words to the macro.
const WORDS: [&str; 2] = ["local", "crate"];

/// A deployment that takes a user config.
#[deployment]
#[derive(Default)]
struct Configured;

#[handle]
impl Configured {
    pub async fn one(&self) -> u64 {
        1
    }

    #[reconfigure]
    fn configure(&self, _config: u32) {}
}

serve_core::routing::register_request_router!("first", First);

#[derive(Default)]
struct OneForTen;

impl AutoscalingPolicy for OneForTen {
    fn desired_replicas(&self, context: &AutoscalingContext<'_>) -> f64 {
        context.load / 10.0
    }
}

serve_core::autoscaling::register_autoscaling_policy!("one_for_ten", OneForTen);

/// The options that `#[deployment]` says it takes.
fn in_the_macro() -> BTreeSet<String> {
    let said = repository::read("serve-core/tests/ui/option_misspelt.stderr");
    let (_, said) = said.split_once("the options are").expect("it lists them");
    let said = said.lines().next().unwrap_or_default();
    quoted(said).filter(|name| !WORDS.contains(name)).map(str::to_owned).collect()
}

/// The options of the tables of `docs/deployments.md` that come after the heading.
fn in_the_guide(heading: &str, tables: usize) -> BTreeSet<String> {
    let guide = repository::read("docs/deployments.md");
    let (_, text) = guide.split_once(heading).expect("the heading is there");
    let name = |line: &str| {
        let cell = line.split('|').nth(1)?.split('`').nth(1)?;
        let cell = cell.trim_start_matches('.');
        Some(cell.split(['(', ' ']).next()?.to_owned())
    };
    let mut names = BTreeSet::new();
    let mut lines = text.lines();
    for _ in 0..tables {
        names.extend(next_table(&mut lines).filter_map(name));
    }
    names.retain(|name| !WORDS.contains(&name.as_str()));
    names
}

/// Every method of `Bound` that sets an option, each of which has to compile; and the options that
/// the graph of an application shows after all of these.
fn on_bound_and_in_the_graph() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut names, mut shown) = (BTreeSet::new(), BTreeSet::new());
    let mut show = |bound: Bound<Configured>| {
        // One that makes no sense alone has no graph.
        let Ok(graph) = AnyApplication::from(Application::new(bound)).graph() else { return };
        let graph = serde_json::to_value(graph).expect("JSON");
        let options = graph["deployments"][0]["options"].as_object().expect("they are an object");
        shown.extend(options.keys().cloned());
    };
    macro_rules! setters {
        ($($setter:ident ( $($value:expr),* )),* $(,)?) => {$(
            names.insert(stringify!($setter).to_owned());
            show(Configured::bind().$setter($($value),*));
        )*};
    }
    let (count, time) = (1, Duration::from_secs(1));
    setters! {
        name("a"), num_replicas(count), autoscaling(AutoscalingConfig::new()),
        autoscaling_policy(OneForTen), max_ongoing_requests(count), max_queued_requests(count),
        request_timeout(time), num_cpus(1.0), num_gpus(1.0), memory(1), resource("npu", 1.0),
        max_replicas_per_node(count), health_check_period(time), health_check_timeout(time),
        graceful_shutdown_timeout(time), max_constructor_retry_count(count),
        rolling_update_percentage(0.5), max_surge_percent(1.0),
        request_router(RequestRouting::RoundRobin), user_config(1),
    }
    show(Configured::bind().autoscaling(AutoscalingConfig::new()).autoscaling_policy(OneForTen));
    // One by one on a `Bound`.
    assert!(names.remove("resource"));
    names.insert("resources".to_owned());
    (names, shown)
}

fn on_bound() -> BTreeSet<String> {
    on_bound_and_in_the_graph().0
}

fn in_the_graph() -> BTreeSet<String> {
    on_bound_and_in_the_graph().1
}

fn in_the_schema<T: JsonSchema>() -> BTreeSet<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let properties = schema.get("properties").and_then(Value::as_object).expect("an object");
    properties.keys().cloned().collect()
}

/// The options of a table that a place lacks.
fn missing<C>(table: &[OptionInfo<C>], place: &BTreeSet<String>) -> Vec<&'static str> {
    table.iter().map(|option| option.name).filter(|name| !place.contains(*name)).collect()
}

/// The names of a place that a table lacks.
fn unknown<C>(table: &[OptionInfo<C>], place: &BTreeSet<String>) -> Vec<String> {
    let known = |name: &&String| table.iter().any(|option| option.name == **name);
    place.iter().filter(|name| !known(name)).cloned().collect()
}

/// The options of the table that the attribute takes.
fn of_the_attribute() -> Vec<OptionInfo<DeploymentOptions>> {
    OPTIONS.into_iter().filter(|option| option.given_in == GivenIn::All).collect()
}

#[test]
fn every_place_has_exactly_the_tables_options() {
    let (none, nothing) = (Vec::<&str>::new(), Vec::<String>::new());
    assert_eq!(missing(&of_the_attribute(), &in_the_macro()), none);
    assert_eq!(unknown(&of_the_attribute(), &in_the_macro()), nothing);
    assert_eq!(missing(&OPTIONS, &on_bound()), none);
    assert_eq!(unknown(&OPTIONS, &on_bound()), nothing);
    assert_eq!(missing(&OPTIONS, &in_the_graph()), none);
    assert_eq!(missing(&OPTIONS, &in_the_schema::<DeploymentOptions>()), none);
    let guide = in_the_guide("## Options", 2);
    assert_eq!(missing(&OPTIONS, &guide), none);
    assert_eq!(unknown(&OPTIONS, &guide), nothing);
    assert_eq!(missing(&AUTOSCALING, &in_the_schema::<AutoscalingConfig>()), none);
    let guide = in_the_guide("### Autoscaling", 1);
    assert_eq!(missing(&AUTOSCALING, &guide), none);
    assert_eq!(unknown(&AUTOSCALING, &guide), nothing);
}

#[test]
fn an_option_only_in_the_table_is_detected() {
    let mut table = OPTIONS.to_vec();
    let mut added = table[1];
    added.name = "max_batches";
    table.push(added);
    let places = [
        in_the_macro(),
        on_bound(),
        in_the_graph(),
        in_the_schema::<DeploymentOptions>(),
        in_the_guide("## Options", 2),
    ];
    for place in places {
        assert!(missing(&table, &place).contains(&"max_batches"), "{place:?}");
    }
    // And one that the table alone lacks.
    assert_eq!(unknown(&OPTIONS[1..], &on_bound()), ["name"]);
}

#[test]
fn the_guide_shows_the_tables_defaults() {
    let guide = repository::read("docs/deployments.md");
    let row = |name: &str| {
        let is_of = |line: &&str| {
            let rest = line.strip_prefix("| `").map(|cell| cell.trim_start_matches('.'));
            let rest = rest.and_then(|cell| cell.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with(['`', ' ', '(']))
        };
        guide.lines().find(is_of).unwrap_or_else(|| panic!("no row of {name}"))
    };
    let defaults = OPTIONS.iter().map(|option| (option.name, option.default));
    let defaults = defaults.chain(AUTOSCALING.iter().map(|option| (option.name, option.default)));
    for (name, default) in defaults {
        let told = row(name).split('|').nth(2).unwrap_or_default().trim();
        assert_eq!(told.trim_matches(['`', '"']), default.trim_matches('`'), "{name}");
    }
}

fn read(value: Value) -> Result<DeploymentOptions, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn config_files_take_ray_serves_names() {
    let ours = json!({
        "name": "scorer", "num_replicas": 3, "max_ongoing_requests": 7, "max_queued_requests": 0,
        "request_timeout": "1m 30s", "num_cpus": 0.5, "num_gpus": 0.25, "memory": "2GiB",
        "resources": { "npu": 2 }, "max_replicas_per_node": 2, "health_check_period": "500ms",
        "health_check_timeout": "4s", "graceful_shutdown_timeout": "0s",
        "max_constructor_retry_count": 5, "rolling_update_percentage": 0.5, "max_surge_percent": 25,
        "request_router": "first", "user_config": { "threshold": 0.5 },
    });
    let options = read(ours).expect("every option is known");
    assert_eq!(options.check(), Ok(()));
    assert_eq!(options.request_timeout, Some(Duration::from_secs(90)));
    assert_eq!((options.num_cpus, options.memory), (Some(0.5), Some(2 << 30)));
    assert_eq!(options.request_router, Some(RequestRouting::custom::<First>()));
    let rays = json!({
        "name": "scorer", "num_replicas": 3, "max_ongoing_requests": 7, "max_queued_requests": 0,
        "request_timeout_s": 90, "max_replicas_per_node": 2, "health_check_period_s": 0.5,
        "health_check_timeout_s": 4, "graceful_shutdown_timeout_s": 0,
        "max_constructor_retry_count": 5, "rolling_update_percentage": 0.5, "max_surge_percent": 25.0,
        "ray_actor_options": { "num_cpus": 0.5, "num_gpus": 0.25, "memory": 2147483648.0, "resources": { "npu": 2 } },
        "request_router": "first", "user_config": { "threshold": 0.5 },
    });
    assert_eq!(read(rays), Ok(options));

    let scaled = |value| read(value).expect("known").autoscaling.expect("it scales");
    let rays = json!({ "num_replicas": null, "autoscaling_config": { "max_replicas": 4, "upscale_delay_s": 3 } });
    let config = AutoscalingConfig::new().max_replicas(4).upscale_delay(Duration::from_secs(3));
    assert_eq!(scaled(rays), config);
    assert_eq!(scaled(json!({ "num_replicas": "auto" })), AutoscalingConfig::auto());
    let both = json!({ "num_replicas": "auto", "autoscaling_config": { "min_replicas": 2 } });
    assert_eq!(scaled(both), AutoscalingConfig::auto().min_replicas(2));
    let named = json!({ "num_replicas": "auto", "autoscaling_policy": "one_for_ten" });
    let named = read(named).expect("it is registered");
    assert_eq!(named, read(serde_json::to_value(&named).expect("JSON")).expect("its own words"));
    assert_eq!(read(json!({ "max_queued_requests": -1 })), Ok(DeploymentOptions::default()));
}

#[test]
fn config_errors_name_the_key_and_the_remedy() {
    let faults = read(json!({
        "num_replica": 3,
        "max_ongoing_requests": "many",
        "request_timeout": 30,
        "ray_actor_options": { "num_cpus": 1, "runtime_env": {} },
        "num_cpus": 2,
        "autoscaling": { "min_replica": 1, "upscale_delay": "soon" },
        "request_router": "sticky",
        "memory": "lots",
        "qwertyuiop": 1,
    }))
    .expect_err("all of it is wrong");
    for fault in [
        "`num_replica`: there is no such option; did you mean `num_replicas`?",
        "`max_ongoing_requests`: \"many\" is not a count",
        "`request_timeout`: 30 has no unit: write it as \"30s\"",
        "`ray_actor_options.runtime_env`: only `num_cpus`",
        "`ray_actor_options.num_cpus`: `num_cpus` is the same option",
        "`autoscaling.min_replica`: there is no such option; did you mean `min_replicas`?",
        "`autoscaling.upscale_delay`: \"soon\" is not a duration",
        "`request_router`: no request router is named `sticky`; there are `power_of_two_choices`",
        "`memory`: \"lots\" is not a size",
        "`qwertyuiop`: there is no such option; the options are `name`, `num_replicas`",
    ] {
        assert!(faults.contains(fault), "{fault} is not in {faults}");
    }
}

#[test]
fn later_layers_override_earlier_ones() {
    let read = |value| read(value).expect("known");
    let base = read(json!({ "num_replicas": 3, "max_ongoing_requests": 5, "name": "a" }));
    let layer = read(json!({ "autoscaling": { "max_replicas": 4 }, "max_ongoing_requests": 9 }));
    let all = base.overridden_by(&layer);
    assert_eq!(all.check(), Ok(()));
    let told = json!({ "name": "a", "max_ongoing_requests": 9 });
    let rest = DeploymentOptions::overridden_by(&read(told), &layer);
    assert_eq!(all, rest);
    let fixed = all.overridden_by(&read(json!({ "num_replicas": 2 })));
    assert_eq!((fixed.num_replicas, fixed.autoscaling), (Some(2), None));
}

/// A value of each kind of option, by its name, other than the default.
fn value(name: &str, number: u32) -> Value {
    let number = number % 50 + 2;
    match name {
        "name" | "user_config" => json!(format!("a{number}")),
        "request_router" => json!(["round_robin", "first", "consistent_hash"][number as usize % 3]),
        "autoscaling_policy" => json!("one_for_ten"),
        "autoscaling" => json!({ "max_replicas": number, "upscale_delay": format!("{number}ms") }),
        "resources" => json!({ "npu": number }),
        "rolling_update_percentage" => json!(1.0 / f64::from(number)),
        "num_cpus" => json!(f64::from(number) / 4.0),
        name if name.contains("timeout") || name.contains("period") => json!(format!("{number}s")),
        _ => json!(number),
    }
}

proptest! {
    /// Whatever options are set, they are read as they were written, and match the schema.
    #[test]
    fn options_survive_a_config_file(
        set in prop::collection::vec((0..OPTIONS.len(), any::<u32>()), 0..8),
    ) {
        let map: Map<String, Value> = set
            .into_iter()
            .map(|(place, number)| (OPTIONS[place].name.to_owned(), value(OPTIONS[place].name, number)))
            .collect();
        let options = read(Value::Object(map)).expect("each option is known");
        let written = serde_json::to_value(&options).expect("JSON");
        prop_assert_eq!(read(written), Ok(options.clone()));
        if options.check().is_ok() {
            prop_assert_eq!(DeploymentOptions::default().overridden_by(&options), options);
        }
    }
}

/// What an update of each option does, as a runtime does it.
#[tokio::test(start_paused = true)]
async fn updates_do_what_the_table_says() -> Result<()> {
    #[deployment]
    #[derive(Default)]
    struct Configured;

    #[handle]
    impl Configured {
        pub async fn id(&self) -> String {
            replica_context().map_or_else(String::new, |replica| replica.replica_id().to_owned())
        }

        #[reconfigure]
        fn configure(&self, config: Value) {
            let _ = config;
        }
    }

    for option in OPTIONS.iter().filter(|option| option.on_update != OnUpdate::Another) {
        let runtime = MockRuntime::builder().start();
        let bound = || match option.name {
            "autoscaling_policy" => {
                Configured::bind().autoscaling(AutoscalingConfig::new().max_replicas(3))
            }
            _ => Configured::bind(),
        };
        let before = runtime.run(bound()).await?.id().await?;
        let changed = match option.name {
            "num_replicas" => bound().num_replicas(3),
            "autoscaling" => bound().autoscaling(AutoscalingConfig::new().max_replicas(3)),
            "autoscaling_policy" => bound().autoscaling_policy(OneForTen),
            "max_ongoing_requests" => bound().max_ongoing_requests(3),
            "max_queued_requests" => bound().max_queued_requests(3),
            "request_timeout" => bound().request_timeout(Duration::from_secs(3)),
            "num_cpus" => bound().num_cpus(3.0),
            "num_gpus" => bound().num_gpus(3.0),
            "memory" => bound().memory(3),
            "resources" => bound().resource("npu", 3.0),
            "max_replicas_per_node" => bound().max_replicas_per_node(3),
            "health_check_period" => bound().health_check_period(Duration::from_secs(3)),
            "health_check_timeout" => bound().health_check_timeout(Duration::from_secs(3)),
            "graceful_shutdown_timeout" => {
                bound().graceful_shutdown_timeout(Duration::from_secs(3))
            }
            "max_constructor_retry_count" => bound().max_constructor_retry_count(3),
            "rolling_update_percentage" => bound().rolling_update_percentage(0.3),
            "max_surge_percent" => bound().max_surge_percent(3.0),
            "request_router" => bound().request_router(RequestRouting::RoundRobin),
            "user_config" => bound().user_config(3),
            other => panic!("say here how `{other}` is changed"),
        };
        let handle = runtime.run(changed).await?;
        let mut ids = BTreeSet::new();
        for _ in 0..20 {
            ids.insert(handle.id().await?);
        }
        let restarts = option.on_update == OnUpdate::Restart;
        assert_eq!(!ids.contains(&before), restarts, "{}", option.name);
    }
    Ok(())
}

/// The guide has one row for each option of HTTP, with the default in force.
#[test]
fn the_guide_shows_the_options_of_http() {
    let guide = repository::read("docs/http-port.md");
    let rows: Vec<(String, String)> = guide
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            let name = cells.next()?.strip_suffix('`')?.to_owned();
            Some((name, cells.next()?.trim_matches('`').to_owned()))
        })
        .filter(|(name, _)| !name.contains([' ', '-']) && name.to_lowercase() == *name)
        .collect();
    let table: Vec<(String, String)> = HTTP_OPTIONS
        .iter()
        .map(|option| (option.name.to_owned(), option.default.trim_matches('`').to_owned()))
        .collect();
    assert_eq!(rows, table);
}
