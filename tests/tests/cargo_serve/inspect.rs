//! `list` and `graph`: snapshots of what they print.

use serve_tests::Fixture;

#[test]
fn applications_are_listed_for_people() {
    let library = Fixture::new("library");
    insta::assert_snapshot!(library.serve(["list"]).finish(), @"");
}

#[test]
fn applications_are_listed_for_programs() {
    let library = Fixture::new("library");
    insta::assert_snapshot!(library.serve(["list", "greeter", "--json"]).finish());
}

#[test]
fn a_graph_is_drawn_as_text() {
    let library = Fixture::new("library");
    insta::assert_snapshot!(library.serve(["graph", "greeter:spanish"]).finish(), @"");
}

#[test]
fn a_graph_is_drawn_as_mermaid() {
    let library = Fixture::new("library");
    insta::assert_snapshot!(library.serve(["graph", "spanish", "--format", "mermaid"]).finish(), @"");
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
    let library = Fixture::new("library");
    let finished = library.serve(["graph", "spanish", "--json"]).finish();
    let graph: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(graph["deployments"][0]["name"], "Greeter");
    assert_eq!(graph["deployments"][0]["calls"], serde_json::json!(["Shouter"]));
    assert_eq!(graph["deployments"][1]["num_replicas"], 2);
}
