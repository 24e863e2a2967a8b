//! Planned commands. Each of them is refused by its name, so that nobody takes it for a typing
//! mistake, and nothing is silently ignored.

use clap::{Arg, ArgAction, ArgMatches, Command};
use miette::Diagnostic;

use crate::exit_code;
use crate::failure::Failure;

/// The planned commands and their purposes.
const PLANNED: [(&str, &str); 1] = [("top", "watch a running Serve")];

/// The error of a command that is planned for a later version.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("`{command}` is planned, but not part of this version: it will {purpose}")]
#[diagnostic(
    code(serve::not_built),
    help("`run` serves an application until Ctrl-C; `--help` lists the commands")
)]
pub(crate) struct Planned {
    command: &'static str,
    purpose: &'static str,
}

impl Failure for Planned {
    fn exit_code(&self) -> u8 {
        exit_code::NOT_BUILT
    }
}

/// Adds the planned commands to `command`, each with any arguments. They are hidden in its help.
pub(crate) fn add_to(command: Command) -> Command {
    let rest = Arg::new("rest").action(ArgAction::Append).num_args(0..);
    command.subcommands(PLANNED.map(|(name, _)| {
        let rest = rest.clone().trailing_var_arg(true).allow_hyphen_values(true);
        Command::new(name).hide(true).disable_help_flag(true).arg(rest)
    }))
}

/// Returns the planned command that `matches` contains, if any.
pub(crate) fn asked_for(matches: &ArgMatches) -> Option<Planned> {
    let name = matches.subcommand_name()?;
    let planned = PLANNED.into_iter().find(|(planned, _)| *planned == name);
    planned.map(|(command, purpose)| Planned { command, purpose })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &[&str]) -> Option<String> {
        let command = add_to(Command::new("serve").subcommand(Command::new("run")));
        let matches = command.try_get_matches_from(line).expect("a command line");
        asked_for(&matches).map(|planned| planned.to_string())
    }

    #[test]
    fn a_planned_command_is_refused_whatever_follows() {
        for line in [
            &["serve", "top"][..],
            &["serve", "top", "--sort", "load"],
            &["serve", "top", "--help"],
        ] {
            assert_eq!(
                refused(line).as_deref(),
                Some(
                    "`top` is planned, but not part of this version: it will watch a running \
                     Serve"
                )
            );
        }
        assert_eq!(refused(&["serve", "run"]), None);
    }
}
