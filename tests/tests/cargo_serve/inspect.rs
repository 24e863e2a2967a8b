//! `list` and `graph`: snapshots of what they print.

use serve_tests::Fixture;

#[test]
fn applications_are_listed_for_people() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(library.serve(["list"]).finish(), @"
    exit code: 0
    ----- stdout -----
    greeter:broken
        An application whose constructor fails.
        src/lib.rs:117
    greeter:greeter greeting=STRING [times=INTEGER]
        Says hello in the words it is given.
        src/lib.rs:89
    greeter:numbers
        An application that returns numbers as they came.
        src/lib.rs:264
    greeter:scorer
        An application that needs a GPU.
        src/lib.rs:206
    greeter:spanish
        Says hello in Spanish.
        src/lib.rs:95
    greeter:stuck
        An application whose constructor blocks its thread.
        src/lib.rs:142
    greeter:translator
        An application that is reached by no path, and has several models.
        src/lib.rs:170
    ");
}

#[test]
fn applications_are_listed_for_programs() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(library.serve(["list", "greeter", "--json"]).finish());
}

#[test]
fn a_graph_is_drawn_as_text() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(library.serve(["graph", "greeter:spanish"]).finish(), @"
    exit code: 0
    ----- stdout -----
    Greeter      1 replica   GET /   POST /add   GET /sleep
    └─ Shouter   2 replicas
    ");
}

#[test]
fn a_graph_shows_bounds_and_routing() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(library.serve(["graph", "greeter:scorer"]).finish(), @"
    exit code: 0
    ----- stdout -----
    Scorer       1..10 replicas (autoscaled), round_robin   GET /
    └─ Trainer   1 replica
    ");
}

#[test]
fn a_graph_is_drawn_as_mermaid() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(library.serve(["graph", "spanish", "--format", "mermaid"]).finish(), @r#"
    exit code: 0
    ----- stdout -----
    flowchart LR
        http(["GET /<br/>POST /add<br/>GET /sleep"]) --> d0
        d0["<b>Greeter</b><br/>1 replica"]
        d1["<b>Shouter</b><br/>2 replicas"]
        d0 --> d1
    "#);
}

#[test]
fn a_graph_is_drawn_as_svg_into_a_file() {
    let library = Fixture::new("library");
    let finished =
        library.serve(["graph", "spanish", "--format", "svg", "-o", "graph.svg"]).finish();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(finished.stdout, "");
    insta::assert_snapshot!(library.read("graph.svg"));
}

#[test]
fn a_graph_is_there_for_programs() {
    let library = Fixture::shared("library");
    let finished = library.serve(["graph", "spanish", "--json"]).finish();
    let graph: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(graph["deployments"][0]["name"], "Greeter");
    assert_eq!(graph["deployments"][0]["calls"], serde_json::json!(["Shouter"]));
    assert_eq!(graph["deployments"][1]["num_replicas"], 2);
    assert_eq!(graph["deployments"][1]["autoscaling"], serde_json::Value::Null);
    assert_eq!(graph["deployments"][1]["request_router"], "power_of_two_choices");
}
