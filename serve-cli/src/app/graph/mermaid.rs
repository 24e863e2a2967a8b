//! A graph as a Mermaid flowchart, which many Markdown renderers draw.

use std::fmt::Write;

use super::diagram::Diagram;

/// Returns the source of the flowchart.
pub(super) fn draw(diagram: &Diagram) -> String {
    let mut source = String::from("flowchart LR\n");
    if !diagram.endpoints.is_empty() {
        let endpoints: Vec<String> =
            diagram.endpoints.iter().map(|endpoint| escaped(endpoint)).collect();
        let _ = writeln!(source, "    http([\"{}\"]) --> d0", endpoints.join("<br/>"));
    }
    for (index, node) in diagram.nodes.iter().enumerate() {
        let _ = writeln!(
            source,
            "    d{index}[\"<b>{}</b><br/>{}\"]",
            escaped(&node.name),
            node.replicas()
        );
    }
    for (index, node) in diagram.nodes.iter().enumerate() {
        for callee in &node.calls {
            let _ = writeln!(source, "    d{index} --> d{callee}");
        }
    }
    source
}

/// Escapes a text with Mermaid's own entities, such as `#quot;` for `"`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("#quot;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '&' => escaped.push_str("#amp;"),
            '#' => escaped.push_str("#35;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::diagram::samples;
    use super::*;

    #[test]
    fn boxes_then_arrows() {
        insta::assert_snapshot!(draw(&samples::greeter()), @r#"
        flowchart LR
            http(["POST /"]) --> d0
            d0["<b>LanguageClassifier</b><br/>1 replica"]
            d1["<b>SpanishResponder</b><br/>3 replicas"]
            d2["<b>FrenchResponder</b><br/>1 replica"]
            d0 --> d1
            d0 --> d2
        "#);
    }

    #[test]
    fn names_cannot_break_out_of_their_boxes() {
        insta::assert_snapshot!(draw(&samples::search()), @r#"
        flowchart LR
            http(["GET /search<br/>POST /feedback"]) --> d0
            d0["<b>Search</b><br/>2 replicas"]
            d1["<b>Retriever</b><br/>4 replicas"]
            d2["<b>Ranker#lt;#quot;v2#quot;#gt; #amp; co</b><br/>2 replicas"]
            d3["<b>Embedder</b><br/>8 replicas"]
            d4["<b>VectorIndex</b><br/>2 replicas"]
            d5["<b>FeatureStore</b><br/>1 replica"]
            d0 --> d1
            d0 --> d2
            d0 --> d5
            d1 --> d3
            d1 --> d4
            d2 --> d3
            d2 --> d5
            d3 --> d5
        "#);
    }
}
