//! A graph as a tree, for the terminal.

use std::collections::HashSet;

use super::diagram::Diagram;
use crate::output::{FAINT, NAME};

/// A row of the tree: the branch to its left, its node, and whether the node's callees are drawn
/// in an earlier row.
struct Row {
    branch: String,
    node: usize,
    repeated: bool,
}

/// Draws the tree below the ingress. A deployment that several others call is drawn in full
/// below the first of them.
pub(crate) fn tree(diagram: &Diagram) -> String {
    let mut rows = Vec::new();
    let mut drawn = HashSet::new();
    if !diagram.nodes.is_empty() {
        grow(diagram, 0, String::new(), "", &mut drawn, &mut rows);
    }
    let width =
        |row: &Row| row.branch.chars().count() + diagram.nodes[row.node].name.chars().count();
    let widest = rows.iter().map(width).max().unwrap_or_default();

    let mut text = String::new();
    for row in &rows {
        let node = &diagram.nodes[row.node];
        let padding = " ".repeat(widest - width(row) + 3);
        let about = match (row.repeated, row.node) {
            (true, _) => "(see above)".to_owned(),
            (false, 0) => {
                let mut about = vec![node.replicas()];
                about.extend(diagram.endpoints.iter().cloned());
                about.join("   ")
            }
            (false, _) => node.replicas(),
        };
        text.push_str(&format!(
            "{FAINT}{}{FAINT:#}{NAME}{}{NAME:#}{padding}{FAINT}{about}{FAINT:#}\n",
            row.branch, node.name
        ));
    }
    text
}

fn grow(
    diagram: &Diagram,
    node: usize,
    branch: String,
    below: &str,
    drawn: &mut HashSet<usize>,
    rows: &mut Vec<Row>,
) {
    let calls = &diagram.nodes[node].calls;
    let repeated = !drawn.insert(node) && !calls.is_empty();
    rows.push(Row { branch, node, repeated });
    if repeated {
        return;
    }
    for (index, callee) in calls.iter().enumerate() {
        let (fork, on) =
            if index + 1 == calls.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        grow(diagram, *callee, format!("{below}{fork}"), &format!("{below}{on}"), drawn, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagram::samples;
    use super::*;

    fn plain(diagram: &Diagram) -> String {
        anstream::adapter::strip_str(&tree(diagram)).to_string()
    }

    #[test]
    fn callees_hang_below_their_callers() {
        insta::assert_snapshot!(plain(&samples::greeter()), @"
        LanguageClassifier    1 replica   POST /
        ├─ SpanishResponder   3 replicas
        └─ FrenchResponder    1 replica
        ");
    }

    #[test]
    fn what_is_shared_is_drawn_in_full_once() {
        insta::assert_snapshot!(plain(&samples::search()), @r#"
        Search                  2 replicas   GET /search   POST /feedback
        ├─ Retriever            4 replicas
        │  ├─ Embedder          8 replicas
        │  │  └─ FeatureStore   1 replica
        │  └─ VectorIndex       2 replicas
        ├─ Ranker<"v2"> & co    2 replicas
        │  ├─ Embedder          (see above)
        │  └─ FeatureStore      1 replica
        └─ FeatureStore         1 replica
        "#);
    }

    #[test]
    fn one_deployment_is_a_tree() {
        insta::assert_snapshot!(plain(&samples::alone()), @"Adder   1 replica");
    }
}
