//! [`OptionInfo`]: one row of a table of options; and everything that is derived from a table: the
//! serde form, the JSON Schema, the checks, and the effect of an option's update.
//!
//! Each option of a deployment is defined once, in [`OPTIONS`](super::OPTIONS), and each option of
//! `autoscaling(..)` in [`AUTOSCALING`](super::AUTOSCALING). The tests in
//! `tests/it/option_table.rs` fail if a place lacks an option of a table.

use std::fmt;

use schemars::Schema;
use serde_json::{Map, Value};

use super::setting::{ValueKind, seconds};

/// An option: its name, its values, and the effect of its update. `C` is the type that holds the
/// options of the table.
pub struct OptionInfo<C: 'static> {
    /// The name in the attribute, on a `Bound` and in a config file.
    pub name: &'static str,
    /// Other names in a config file: Ray Serve's names, if the meaning is the same. A duration can
    /// also be given in seconds, under its name with `_s` appended.
    pub aliases: &'static [&'static str],
    /// The type and the range of the option's values.
    pub kind: ValueKind,
    /// The default, as it is written.
    pub default: &'static str,
    /// The meaning, as a sentence without a full stop.
    pub doc: &'static str,
    /// The effect of the option's update on running replicas.
    pub on_update: OnUpdate,
    /// The places where the option can be given.
    pub given_in: GivenIn,
    pub(crate) get: fn(&C) -> Option<Value>,
    pub(crate) set: fn(&mut C, Value) -> Result<(), Vec<OptionFault>>,
}

impl<C> Clone for OptionInfo<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for OptionInfo<C> {}

impl<C> fmt::Debug for OptionInfo<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionInfo").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The effect of an option's update on running replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUpdate {
    /// The option changes in place. It sets the number of replicas, the number of waiting calls, or
    /// the course of updates. Ray Serve calls such an option lightweight.
    Scale,
    /// The option changes in place.
    InPlace,
    /// Replicas receive the new value without a restart.
    Reconfigure,
    /// Replicas are replaced.
    Restart,
    /// The option names another deployment.
    Another,
}

/// The places where an option can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenIn {
    /// The attribute, a `Bound`, and a config file.
    All,
    /// A `Bound` and a config file, where the option can be any value.
    BoundAndFile,
}

/// A fault of an option in a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionFault {
    /// The keys that lead to the option, such as `autoscaling.min_replicas`.
    pub path: String,
    /// The description of the fault, and of a valid value.
    pub message: String,
}

impl fmt::Display for OptionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.message)
    }
}

impl OptionFault {
    /// Creates a fault of the value itself.
    pub(crate) fn here(message: String) -> Vec<Self> {
        vec![Self { path: String::new(), message }]
    }

    fn below(self, key: &str) -> Self {
        let path = match &*self.path {
            "" => key.to_owned(),
            path => format!("{key}.{path}"),
        };
        Self { path, ..self }
    }

    /// Joins all faults into one sentence.
    pub(crate) fn in_all(faults: &[Self]) -> String {
        let faults: Vec<String> = faults.iter().map(Self::to_string).collect();
        faults.join("; ")
    }
}

/// Reads the options of a map. All faults are reported at once.
pub(crate) fn read<C: Default>(
    table: &[OptionInfo<C>],
    map: Map<String, Value>,
) -> Result<C, Vec<OptionFault>> {
    let mut options = C::default();
    let mut faults = Vec::new();
    let mut given: Vec<(&str, String)> = Vec::new();
    for (key, value) in map {
        let mut fault = |found: Vec<OptionFault>| {
            faults.extend(found.into_iter().map(|fault| fault.below(&key)));
        };
        let Some((option, in_seconds)) = find(table, &key) else {
            fault(OptionFault::here(unknown(table, &key)));
            continue;
        };
        if let Some((_, other)) = given.iter().find(|(name, _)| *name == option.name) {
            fault(OptionFault::here(format!(
                "`{other}` is the same option: give only one of them"
            )));
            continue;
        }
        given.push((option.name, key.clone()));
        // As in Ray Serve, null means the default.
        if value.is_null() {
            continue;
        }
        let value = if in_seconds { seconds(&value) } else { Ok(value) };
        let value = value.map_err(OptionFault::here);
        if let Err(found) = value.and_then(|value| (option.set)(&mut options, value)) {
            fault(found);
        }
    }
    if faults.is_empty() { Ok(options) } else { Err(faults) }
}

/// Finds the option that a key of a config file names. The boolean is true if the value is a number
/// of seconds.
fn find<'t, C>(table: &'t [OptionInfo<C>], key: &str) -> Option<(&'t OptionInfo<C>, bool)> {
    let named = |name: &str| table.iter().find(|option| option.is_named(name));
    if let Some(option) = named(key) {
        return Some((option, false));
    }
    let option = named(key.strip_suffix("_s")?)?;
    option.kind.is_duration().then_some((option, true))
}

/// Returns the name that is spelled most like `given`, if one is close.
pub(crate) fn nearest<'n>(
    names: impl IntoIterator<Item = &'n str>,
    given: &str,
) -> Option<&'n str> {
    let near = names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(name, given), name))
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .min();
    near.map(|(_, near)| near)
}

/// Returns every spelling of every option, with the option's name and with the name under which the
/// spelled value is read: the option's own, with `_s` appended if the value is a number of seconds.
#[cfg(feature = "config")]
pub(crate) fn spellings<C>(table: &'static [OptionInfo<C>]) -> Vec<Spelling> {
    let mut all = Vec::new();
    for option in table {
        for name in std::iter::once(&option.name).chain(option.aliases) {
            all.push(Spelling {
                spelled: (*name).to_owned(),
                name: option.name,
                in_seconds: false,
            });
            if option.kind.is_duration() {
                let spelled = format!("{name}_s");
                all.push(Spelling { spelled, name: option.name, in_seconds: true });
            }
        }
    }
    all
}

/// One spelling of an option. See [`spellings`].
#[cfg(feature = "config")]
#[derive(Clone, Debug)]
pub(crate) struct Spelling {
    pub(crate) spelled: String,
    pub(crate) name: &'static str,
    pub(crate) in_seconds: bool,
}

fn unknown<C>(table: &[OptionInfo<C>], key: &str) -> String {
    let names = || table.iter().map(|option| option.name);
    match nearest(names(), key) {
        Some(near) => format!("there is no such option; did you mean `{near}`?"),
        None => {
            let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            format!("there is no such option; the options are {}", names.join(", "))
        }
    }
}

/// Returns the options that are set, by name.
pub(crate) fn write<C>(table: &[OptionInfo<C>], options: &C) -> Map<String, Value> {
    let set = |option: &OptionInfo<C>| Some((option.name.to_owned(), (option.get)(options)?));
    table.iter().filter_map(set).collect()
}

/// Returns the JSON Schema of the options.
pub(crate) fn schema<C>(
    table: &[OptionInfo<C>],
    schemas: &mut schemars::SchemaGenerator,
) -> Schema {
    let mut properties = Map::new();
    for option in table {
        let mut add = |name: &str, mut schema: Schema, doc: String| {
            schema.insert("description".to_owned(), doc.into());
            properties.insert(name.to_owned(), schema.into());
        };
        let doc = format!("{} (default: {})", option.doc, option.default);
        add(option.name, option.kind.schema(schemas), doc);
        let same = format!("The same as `{}`", option.name);
        for alias in option.aliases {
            add(alias, option.kind.schema(schemas), same.clone());
        }
        if option.kind.is_duration() {
            let same = format!("{same}, in seconds");
            for name in std::iter::once(&option.name).chain(option.aliases) {
                add(&format!("{name}_s"), option.kind.seconds_schema(), same.clone());
            }
        }
    }
    schemars::json_schema!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

impl<C> OptionInfo<C> {
    fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// True if the option has the same value in both.
    pub(super) fn is_same(&self, one: &C, other: &C) -> bool {
        (self.get)(one) == (self.get)(other)
    }

    /// Returns the value of the option, if it is set.
    pub(crate) fn value(&self, options: &C) -> Option<Value> {
        (self.get)(options)
    }
}

/// The accessors of an option that may be unset.
macro_rules! optional {
    ($options:ty, $field:ident) => {
        (
            |options: &$options| {
                options.$field.as_ref().map($crate::deployment::setting::Setting::write)
            },
            |options: &mut $options, value| {
                options.$field = Some($crate::deployment::setting::Setting::read_all(value)?);
                Ok(())
            },
        )
    };
}

/// The accessors of an option that always has a value.
macro_rules! plain {
    ($options:ty, $field:ident) => {
        (
            |options: &$options| Some($crate::deployment::setting::Setting::write(&options.$field)),
            |options: &mut $options, value| {
                options.$field = $crate::deployment::setting::Setting::read_all(value)?;
                Ok(())
            },
        )
    };
}

pub(crate) use optional;
pub(super) use plain;
