//! The arguments of `graph`, and the choice of a format.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use miette::Diagnostic;

use super::ApplicationArguments;
use crate::exit_code;
use crate::failure::Failure;
use crate::output;

/// The graph to draw, its format and its output file.
#[derive(Debug, Clone, Args)]
pub(crate) struct GraphArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,

    /// The output format; by default the ending of the file decides, and without a file it is
    /// `text`
    #[arg(long, value_enum)]
    pub(crate) format: Option<GraphFormat>,

    /// Print the graph as JSON; the same as `--format json`
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,

    /// The file to write, instead of the standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The formats of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A tree for the terminal
    Text,
    /// A Mermaid flowchart for Markdown pages
    Mermaid,
    /// An SVG picture
    Svg,
    /// JSON for programs
    Json,
}

/// The endings of files, and their formats.
const ENDINGS: [(&str, GraphFormat); 6] = [
    ("svg", GraphFormat::Svg),
    ("mmd", GraphFormat::Mermaid),
    ("mermaid", GraphFormat::Mermaid),
    ("md", GraphFormat::Mermaid),
    ("json", GraphFormat::Json),
    ("txt", GraphFormat::Text),
];

/// The error of a file whose ending names no format.
#[derive(Debug, thiserror::Error, Diagnostic, PartialEq, Eq)]
#[error("no format is known by the ending of `{file}`")]
#[diagnostic(
    code(serve::format),
    help("known endings are {}; or choose a format with `--format`", endings())
)]
pub(crate) struct UnknownEnding {
    file: String,
}

fn endings() -> String {
    ENDINGS.map(|(ending, _)| format!(".{ending}")).join(", ")
}

impl Failure for UnknownEnding {
    fn exit_code(&self) -> u8 {
        exit_code::USAGE
    }
}

impl GraphArguments {
    /// Returns the format that was asked for, by name or by the ending of the file.
    pub(crate) fn format(&self) -> Result<GraphFormat, UnknownEnding> {
        match (self.json, self.format, &self.output) {
            (true, ..) => Ok(GraphFormat::Json),
            (_, Some(format), _) => Ok(format),
            (_, _, None) => Ok(GraphFormat::Text),
            (_, _, Some(file)) => by_ending(file),
        }
    }
}

fn by_ending(file: &Path) -> Result<GraphFormat, UnknownEnding> {
    let ending = ending(file);
    let known = ENDINGS.iter().find(|(known, _)| *known == ending);
    let unknown = || UnknownEnding { file: output::name(&file.display().to_string()) };
    known.map(|(_, format)| *format).ok_or_else(unknown)
}

/// Returns the ending of a file in lower case; empty if there is none.
pub(crate) fn ending(file: &Path) -> String {
    file.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides() {
        assert_eq!(by_ending(Path::new("docs/g.svg")), Ok(GraphFormat::Svg));
        assert_eq!(by_ending(Path::new("G.SVG")), Ok(GraphFormat::Svg));
        assert_eq!(by_ending(Path::new("graph.md")), Ok(GraphFormat::Mermaid));
        for unknown in ["g.png", "g", ".svg", "dir.svg/g"] {
            let error = by_ending(Path::new(unknown)).expect_err("no known ending");
            let help = error.help().expect("there is help").to_string();
            assert!(help.starts_with("known endings are .svg, .mmd,"), "{help}");
        }
    }
}
