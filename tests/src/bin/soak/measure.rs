//! What the process holds: tasks, descriptors, threads and memory.

use std::fmt;
use std::fs;

use tokio::runtime::Handle;

/// What the process holds at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    pub tasks: usize,
    /// None where the operating system does not list them under `/proc`.
    pub descriptors: Option<usize>,
    pub threads: Option<usize>,
    /// The resident set in KiB.
    pub resident: Option<usize>,
    /// What is allocated, in bytes.
    pub heap: usize,
}

impl Measure {
    pub fn now() -> Self {
        let heap = crate::HEAP.stats();
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            descriptors: fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
            threads: status("Threads:"),
            resident: status("VmRSS:"),
            heap: heap.bytes_allocated.saturating_sub(heap.bytes_deallocated),
        }
    }
}

fn status(name: &str) -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tasks, descriptors, threads, resident, heap } = self;
        let number = |it: Option<usize>| it.map_or_else(|| "?".to_owned(), |it| it.to_string());
        let (descriptors, threads) = (number(*descriptors), number(*threads));
        let resident = number(resident.map(|it| it / 1024));
        let heap = heap / 1024;
        write!(
            f,
            "{tasks} tasks, {descriptors} descriptors, {threads} threads, {resident} MiB resident, \
             {heap} KiB allocated"
        )
    }
}
