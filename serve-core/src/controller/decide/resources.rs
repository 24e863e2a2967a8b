//! [`Capacity`]: the resources of one node, and the reserved part of them. Plain data.
//!
//! Amounts are counted in ten-thousandths, which is Ray's own precision, so that a release returns
//! exactly what was reserved.

use std::collections::BTreeMap;

/// One whole unit of a resource, in the units in which amounts are counted.
pub(super) const ONE: u64 = 10_000;

/// The resources that one replica requires.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Demand {
    pub(crate) num_cpus: f64,
    pub(crate) num_gpus: f64,
    /// The memory in bytes.
    pub(crate) memory: u64,
    pub(crate) others: BTreeMap<String, f64>,
}

/// The resources of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resources {
    pub(crate) num_cpus: f64,
    pub(crate) gpu_ids: Vec<String>,
    /// The memory in bytes.
    pub(crate) memory: u64,
    pub(crate) others: BTreeMap<String, f64>,
    /// True if resources that `others` does not name are available in any amount.
    pub(crate) plenty_of_others: bool,
}

impl Resources {
    /// Returns GPU ids `0`, `1`, ...
    pub(crate) fn numbered(gpus: usize) -> Vec<String> {
        (0..gpus).map(|number| number.to_string()).collect()
    }

    /// Returns the resources that this process may use: its CPUs, but at least 2; no GPUs, because
    /// they are not detected; and memory without a limit.
    pub(crate) fn of_this_machine() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from).max(2);
        Self {
            num_cpus: f64::from(u32::try_from(cpus).unwrap_or(u32::MAX)),
            gpu_ids: Vec::new(),
            memory: u64::MAX,
            others: BTreeMap::new(),
            plenty_of_others: false,
        }
    }

    /// Returns more resources than any test needs, the same on every machine.
    pub(crate) fn plenty() -> Self {
        Self {
            num_cpus: 1000.0,
            gpu_ids: Self::numbered(1000),
            memory: 1 << 50,
            others: BTreeMap::new(),
            plenty_of_others: true,
        }
    }
}

/// The resources of a node, and the free part of them.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    cpus: Amount,
    gpus: Vec<Gpu>,
    memory: Amount,
    others: BTreeMap<String, Amount>,
    plenty_of_others: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amount {
    free: u64,
    total: u64,
}

#[derive(Clone, Debug)]
struct Gpu {
    id: String,
    free: u64,
}

/// The resources that one replica has reserved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    cpus: u64,
    memory: u64,
    others: BTreeMap<String, u64>,
    /// The indices of GPUs, and the reserved share of each.
    gpus: Vec<(usize, u64)>,
}

impl Amount {
    fn of(total: u64) -> Self {
        Self { free: total, total }
    }
}

impl Capacity {
    pub(crate) fn new(resources: Resources) -> Self {
        let others = resources.others.into_iter();
        Self {
            cpus: Amount::of(units(resources.num_cpus)),
            gpus: resources.gpu_ids.into_iter().map(|id| Gpu { id, free: ONE }).collect(),
            memory: Amount::of(resources.memory),
            others: others.map(|(name, amount)| (name, Amount::of(units(amount)))).collect(),
            plenty_of_others: resources.plenty_of_others,
        }
    }

    /// Reserves all resources that a replica requires, or none.
    ///
    /// # Errors
    /// If a resource is missing. The error is a sentence that names it.
    pub(crate) fn reserve(&mut self, demand: &Demand) -> Result<Grant, String> {
        let cpus = units(demand.num_cpus);
        if cpus > self.cpus.free {
            return Err(missing(&counted(demand.num_cpus, "CPU"), demand.num_cpus, self.cpus));
        }
        if demand.memory > self.memory.free {
            let Amount { free, total } = self.memory;
            return Err(format!(
                "it needs {} bytes of memory, and {free} of {total} are free",
                demand.memory
            ));
        }
        let mut others = BTreeMap::new();
        for (name, amount) in &demand.others {
            let needed = units(*amount);
            match self.others.get(name) {
                Some(there) if needed > there.free => {
                    return Err(missing(&format!("`{name}`"), *amount, *there));
                }
                None if !self.plenty_of_others && needed > 0 => {
                    return Err(missing(&format!("`{name}`"), *amount, Amount::of(0)));
                }
                _ => {}
            }
            others.insert(name.clone(), needed);
        }
        let gpus = self.pick_gpus(demand.num_gpus)?;
        self.cpus.free -= cpus;
        self.memory.free -= demand.memory;
        for (name, needed) in &others {
            if let Some(there) = self.others.get_mut(name) {
                there.free -= needed;
            }
        }
        for (place, share) in &gpus {
            self.gpus[*place].free -= share;
        }
        Ok(Grant { cpus, memory: demand.memory, others, gpus })
    }

    /// Releases a grant.
    pub(crate) fn release(&mut self, grant: &Grant) {
        self.cpus.free += grant.cpus;
        self.memory.free += grant.memory;
        for (name, amount) in &grant.others {
            if let Some(there) = self.others.get_mut(name) {
                there.free += amount;
            }
        }
        for (place, share) in &grant.gpus {
            self.gpus[*place].free += share;
        }
    }

    /// Returns the ids of a grant's GPUs.
    pub(crate) fn gpu_ids(&self, grant: &Grant) -> Vec<String> {
        grant.gpus.iter().map(|(place, _)| self.gpus[*place].id.clone()).collect()
    }

    /// Picks whole GPUs that are entirely free, or a fraction of the fullest GPU that has enough
    /// left, so that whole GPUs stay whole.
    fn pick_gpus(&self, wanted: f64) -> Result<Vec<(usize, u64)>, String> {
        let needed = units(wanted);
        let mut places: Vec<usize> = (0..self.gpus.len()).collect();
        let free = |place: &usize| self.gpus[*place].free;
        let picked: Vec<(usize, u64)> = if needed < ONE {
            places.sort_by_key(free);
            let fits = places.into_iter().find(|place| free(place) >= needed && needed > 0);
            fits.map(|place| (place, needed)).into_iter().collect()
        } else {
            let whole = places.into_iter().filter(|place| free(place) == ONE);
            whole
                .take(usize::try_from(needed / ONE).unwrap_or(usize::MAX))
                .map(|p| (p, ONE))
                .collect()
        };
        if picked.iter().map(|(_, share)| share).sum::<u64>() == needed {
            return Ok(picked);
        }
        let whole = self.gpus.iter().filter(|gpu| gpu.free == ONE).count();
        let total = self.gpus.len();
        Err(if needed < ONE {
            format!("it needs {wanted} of a GPU, and none of {total} has that much free")
        } else {
            let gpus = counted(wanted, "GPU");
            format!("it needs {wanted} {gpus}, and {whole} of {total} are free")
        })
    }
}

fn missing(what: &str, needed: f64, Amount { free, total }: Amount) -> String {
    format!("it needs {needed} {what}, and {} of {} are free", number(free), number(total))
}

/// Returns `CPU` for one unit and `CPUs` for any other amount.
fn counted(amount: f64, what: &str) -> String {
    if units(amount) == ONE { what.to_owned() } else { format!("{what}s") }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn number(units: u64) -> f64 {
    units as f64 / ONE as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "checked to be from 0 to 65,536, or as large as a node is"
)]
pub(super) fn units(amount: f64) -> u64 {
    (amount * ONE as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(cpus: f64, gpus: usize) -> Capacity {
        Capacity::new(Resources {
            num_cpus: cpus,
            gpu_ids: Resources::numbered(gpus),
            memory: 1000,
            others: [("tpu".to_owned(), 2.0)].into(),
            plenty_of_others: false,
        })
    }

    fn gpus(num_gpus: f64) -> Demand {
        Demand { num_gpus, ..Demand::default() }
    }

    #[test]
    fn what_is_missing_is_said_and_how_much_there_is() {
        let mut node = node(2.0, 1);
        let cpus = Demand { num_cpus: 1.5, ..Demand::default() };
        node.reserve(&cpus).unwrap();
        assert_eq!(node.reserve(&cpus).unwrap_err(), "it needs 1.5 CPUs, and 0.5 of 2 are free");
        let other = Demand { others: [("npu".to_owned(), 1.0)].into(), ..Demand::default() };
        assert_eq!(node.reserve(&other).unwrap_err(), "it needs 1 `npu`, and 0 of 0 are free");
        assert_eq!(node.reserve(&gpus(2.0)).unwrap_err(), "it needs 2 GPUs, and 1 of 1 are free");
        let memory = Demand { memory: 2000, ..Demand::default() };
        assert_eq!(
            node.reserve(&memory).unwrap_err(),
            "it needs 2000 bytes of memory, and 1000 of 1000 are free"
        );
    }

    #[test]
    fn fractions_share_a_gpu_and_leave_the_others_whole() {
        let mut node = node(0.0, 2);
        let first = node.reserve(&gpus(0.5)).unwrap();
        let second = node.reserve(&gpus(0.25)).unwrap();
        assert_eq!(node.gpu_ids(&first), ["0"]);
        assert_eq!(node.gpu_ids(&second), ["0"]);
        let whole = node.reserve(&gpus(1.0)).unwrap();
        assert_eq!(node.gpu_ids(&whole), ["1"]);
        assert!(node.reserve(&gpus(0.5)).is_err());
        node.release(&first);
        assert!(node.reserve(&gpus(0.5)).is_ok());
    }

    proptest! {
        /// Whatever is reserved and released, the reserved amounts never exceed the total, and in
        /// the end everything is free.
        #[test]
        fn nothing_is_given_twice_or_lost(
            steps in prop::collection::vec((0.0_f64..3.0, 0_usize..5, any::<bool>()), 0..60),
        ) {
            let mut node = node(4.0, 3);
            let mut out = Vec::new();
            for (cpus, gpus, give_back) in steps {
                if give_back && !out.is_empty() {
                    let grant: Grant = out.remove(0);
                    node.release(&grant);
                    continue;
                }
                let num_gpus = [0.0, 0.3, 0.5, 1.0, 2.0][gpus];
                let demand = Demand { num_cpus: cpus, num_gpus, ..Demand::default() };
                out.extend(node.reserve(&demand));
                let cpus: u64 = out.iter().map(|grant| grant.cpus).sum();
                prop_assert_eq!(cpus + node.cpus.free, node.cpus.total);
                for (place, gpu) in node.gpus.iter().enumerate() {
                    let shares = out.iter().flat_map(|grant| &grant.gpus);
                    let taken: u64 = shares.filter(|(at, _)| *at == place).map(|(_, share)| share).sum();
                    prop_assert_eq!(taken + gpu.free, ONE);
                }
            }
            for grant in out {
                node.release(&grant);
            }
            prop_assert_eq!(node.cpus.free, node.cpus.total);
            prop_assert!(node.gpus.iter().all(|gpu| gpu.free == ONE));
        }
    }
}
