//! Finds the inputs and outputs that a command line names.

use super::parts::names;
use super::transforms::NotAccepted;
use crate::config::{self, Config, FollowedLog};

/// The input of this name, or the only one.
pub(crate) fn log_named<'a>(
    config: &'a Config,
    name: Option<&str>,
) -> anyhow::Result<&'a FollowedLog> {
    let names = || names(config.logs().map(|input| &input.name));
    match (name, &config.inputs[..]) {
        (None, [only]) => Ok(only.log()),
        (None, _) => Err(NotAccepted::error(format!(
            "which input follows this log? Add --input with one of {}",
            names()
        ))),
        (Some(name), _) => config.logs().find(|input| *input.name == *name).ok_or_else(|| {
            NotAccepted::error(format!("there is no input {name:?}, but {}", names()))
        }),
    }
}

/// The outputs, of those asked for, that take the input; all of them if none is asked for.
///
/// # Errors If an output that is asked for does not take it.
pub(crate) fn takers<'a>(
    config: &'a Config,
    input: &FollowedLog,
    asked: &[String],
) -> anyhow::Result<Vec<&'a config::Output>> {
    let takers = || config.outputs.iter().filter(|output| output.inputs.contains(&input.name));
    for name in asked {
        if !takers().any(|output| *output.name == **name) {
            let names = names(takers().map(|output| &output.name));
            return Err(NotAccepted::error(format!(
                "no output {name:?} takes the input {}; these do: {names}",
                input.name
            )));
        }
    }
    let wanted = |output: &&config::Output| {
        asked.is_empty() || asked.iter().any(|name| **name == *output.name)
    };
    Ok(takers().filter(wanted).collect())
}
