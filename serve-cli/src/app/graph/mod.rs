//! `graph`: draws the deployments of an application and the calls between them.

mod diagram;
mod layout;
mod mermaid;
mod svg;
mod text;

use std::fs;
use std::path::Path;

use super::error::Error;
use super::select;
use crate::arguments::{GraphArguments, GraphFormat, ending};
use crate::{exit_code, output};

pub(super) use diagram::{Diagram, route};
pub(super) use text::tree;

/// Draws the graph of the selected application.
pub(super) fn run(arguments: &GraphArguments) -> Result<u8, Error> {
    let format = arguments.format()?;
    let selected = select::application(arguments.application.path())?;
    let application = select::build(selected, &arguments.application.values())?;
    let graph = application
        .graph()
        .map_err(|source| Error::Graph { name: selected.full_name(), source })?;
    let diagram = Diagram::of(&selected.full_name(), &graph);
    let drawn = match format {
        GraphFormat::Text => tree(&diagram),
        GraphFormat::Mermaid => mermaid::draw(&diagram),
        GraphFormat::Svg => svg::draw(&diagram),
        GraphFormat::Json => serde_json::to_string_pretty(&graph).map_err(Error::Json)?,
    };
    let drawn = drawn.trim_end();
    match arguments.output.as_deref() {
        None => output::result(drawn)?,
        Some(file) => write(file, format, drawn)?,
    }
    Ok(exit_code::OK)
}

/// Writes a graph into a file: without colours, and in a Markdown page as a block of code.
fn write(file: &Path, format: GraphFormat, drawn: &str) -> Result<(), Error> {
    let plain = anstream::adapter::strip_str(drawn);
    let is_page = format == GraphFormat::Mermaid && ending(file) == "md";
    let content = match is_page {
        true => format!("```mermaid\n{plain}\n```\n"),
        false => format!("{plain}\n"),
    };
    fs::write(file, content).map_err(|source| Error::Write { path: file.to_owned(), source })?;
    output::status("Wrote", file.display());
    Ok(())
}
