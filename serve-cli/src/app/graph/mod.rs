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
use crate::arguments::{GraphArguments, GraphFormat};
use crate::{exit_code, output};

pub(super) use diagram::{Diagram, route};
pub(super) use text::tree;

/// Draws the graph of the selected application.
pub(super) fn run(arguments: &GraphArguments) -> Result<u8, Error> {
    let selected = select::application(&arguments.application.path)?;
    let application = select::build(selected, &arguments.application.values)?;
    let graph = application
        .graph()
        .map_err(|source| Error::Graph { name: selected.full_name(), source })?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&graph).map_err(Error::Json)?;
        return write(arguments.output.as_deref(), &json);
    }
    let diagram = Diagram::of(&selected.full_name(), &graph);
    let drawn = match arguments.format {
        GraphFormat::Text => tree(&diagram),
        GraphFormat::Mermaid => mermaid::draw(&diagram),
        GraphFormat::Svg => svg::draw(&diagram),
    };
    write(arguments.output.as_deref(), drawn.trim_end())
}

fn write(file: Option<&Path>, content: &str) -> Result<u8, Error> {
    match file {
        None => output::result(content),
        Some(file) => {
            fs::write(file, format!("{content}\n"))
                .map_err(|source| Error::Write { path: file.to_owned(), source })?;
            output::status("Wrote", file.display());
        }
    }
    Ok(exit_code::OK)
}
