//! The report: one row a promise.

use std::fmt;

use super::paired::Ratio;

/// What is promised of a ratio.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only HTTP has throughput"))]
    AtLeast(f64),
    /// Nothing: the figure is there to be known.
    Seen,
}

impl Goal {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtMost(limit) => measured <= limit,
            Self::AtLeast(limit) => measured >= limit,
            Self::Seen => true,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit}x"),
            Self::AtLeast(limit) => write!(f, "at least {limit}x"),
            Self::Seen => f.write_str("none"),
        }
    }
}

struct Row {
    what: String,
    against: &'static str,
    goal: Goal,
    ratio: Ratio,
}

/// The rows that were measured.
pub(crate) struct Table {
    only: Option<String>,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(only: Option<String>) -> Self {
        Self { only, rows: Vec::new() }
    }

    /// Whether a row was asked for.
    pub(crate) fn wants(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| what.contains(only.as_str()))
    }

    pub(crate) fn add(&mut self, what: String, against: &'static str, goal: Goal, ratio: Ratio) {
        println!("{what}: {:.2}x, {:?} against {:?}", ratio.median, ratio.subject, ratio.baseline);
        self.rows.push(Row { what, against, goal, ratio });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | against | goal | measured | middle half | |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for Row { what, against, goal, ratio } in &self.rows {
            let verdict = match goal {
                Goal::Seen => "",
                _ if goal.holds(ratio.median) => "met",
                _ => "**missed**",
            };
            let Ratio { median, lower, upper, .. } = ratio;
            writeln!(
                f,
                "| {what} | {against} | {goal} | {median:.2}x | {lower:.2} to {upper:.2} | {verdict} |"
            )?;
        }
        Ok(())
    }
}
