//! What one node has, what its replicas hold of it, and what another would need.
//!
//! Resources are logical, as in Ray Serve: they decide what is placed where, and fence
//! nothing in. Amounts are whole numbers of 1/10 000, Ray's own precision, so that what is
//! given back is what was taken, to the last bit.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// So much of a resource, in 1/10 000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(u64);

impl Amount {
    const ONE: Self = Self(10_000);
    /// 2^32 of anything; sums of these are far from overflowing.
    const MOST: f64 = 4_294_967_296.0;

    /// The nearest amount; the smallest one, not zero, for what is above zero. None if
    /// `number` is negative, no number or absurd.
    fn new(number: f64) -> Option<Self> {
        if !(0.0..=Self::MOST).contains(&number) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 2^46, and rounded"
        )]
        let parts = (number * 10_000.0).round() as u64;
        Some(Self(if number > 0.0 { parts.max(1) } else { parts }))
    }

    fn is_whole(self) -> bool {
        self.0.is_multiple_of(Self::ONE.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:04}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// What a replica needs, or a node has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Resources {
    pub(crate) num_cpus: f64,
    /// A part of one, or whole ones.
    pub(crate) num_gpus: f64,
    /// In bytes.
    pub(crate) memory: u64,
    pub(crate) custom: BTreeMap<Arc<str>, f64>,
}

/// [`Resources`] that make sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    cpus: Amount,
    gpus: Amount,
    memory: u64,
    custom: BTreeMap<Arc<str>, Amount>,
}

/// Resources that make no sense.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum DemandError {
    #[error("`{option}` is {value}: give a number from 0 to 2^32")]
    Range { option: String, value: f64 },
    #[error(
        "`num_gpus` is {0}: give a part of one GPU, like 0.5, or whole GPUs; a replica can't \
         have part of a second one"
    )]
    PartOfSeveralGpus(f64),
}

impl Demand {
    /// Checks and takes over `resources`.
    pub(crate) fn new(resources: &Resources) -> Result<Self, DemandError> {
        let amount = |option: &str, value: f64| {
            let range = || DemandError::Range { option: option.to_owned(), value };
            Amount::new(value).ok_or_else(range)
        };
        let gpus = amount("num_gpus", resources.num_gpus)?;
        if gpus > Amount::ONE && !gpus.is_whole() {
            return Err(DemandError::PartOfSeveralGpus(resources.num_gpus));
        }
        let custom = resources.custom.iter().map(|(name, value)| {
            let amount = amount(&format!("resources({name})"), *value)?;
            Ok((Arc::clone(name), amount))
        });
        Ok(Self {
            cpus: amount("num_cpus", resources.num_cpus)?,
            gpus,
            memory: resources.memory,
            custom: custom.collect::<Result<_, _>>()?,
        })
    }
}

/// A countable resource of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pool {
    total: Amount,
    free: Amount,
}

impl Pool {
    fn full(total: Amount) -> Self {
        Self { total, free: total }
    }
}

/// A GPU, of which several replicas may have a part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gpu {
    id: Arc<str>,
    free: Amount,
}

/// What one node has, and what of it is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    name: Arc<str>,
    cpus: Pool,
    gpus: Vec<Gpu>,
    memory: u64,
    free_memory: u64,
    custom: BTreeMap<Arc<str>, Pool>,
}

/// What one replica holds of its node. To be given back with [`Node::release`], which
/// takes it, so that nothing is given back twice.
#[must_use = "what is not released stays taken"]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    demand: Demand,
    /// The places of GPUs in the node's list, and the part of each.
    gpus: Vec<(usize, Amount)>,
    gpu_ids: Vec<Arc<str>>,
}

impl Reservation {
    /// The GPUs that the replica may use.
    pub(crate) fn gpu_ids(&self) -> &[Arc<str>] {
        &self.gpu_ids
    }
}

/// Why a replica does not fit on a node: what is missing, and how much there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    node: Arc<str>,
    resource: Resource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Resource {
    Counted { name: Arc<str>, needed: Amount, pool: Pool },
    Memory { needed: u64, free: u64, total: u64 },
    WholeGpus { needed: u64, free: usize, total: usize },
    PartOfGpu { needed: Amount, most: Amount, total: usize },
}

impl Shortage {
    /// True if the replica does not even fit on the node while that is empty, so that
    /// waiting does not help.
    pub(crate) fn is_lasting(&self) -> bool {
        match &self.resource {
            Resource::Counted { needed, pool, .. } => *needed > pool.total,
            Resource::Memory { needed, total, .. } => needed > total,
            Resource::WholeGpus { needed, total, .. } => *needed > *total as u64,
            Resource::PartOfGpu { total, .. } => *total == 0,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.node;
        match &self.resource {
            Resource::Counted { name, needed, pool: Pool { free, total } } => {
                write!(f, "a replica needs {needed} of `{name}`")?;
                if *total == Amount::default() {
                    write!(f, ", and node `{node}` has none")
                } else if needed > total {
                    write!(f, ", and node `{node}` has {total} in all")
                } else {
                    write!(f, ", and of the {total} of node `{node}` {free} are free")
                }
            }
            Resource::Memory { needed, free, total } => {
                let (needed, free, all) = (Bytes(*needed), Bytes(*free), Bytes(*total));
                write!(f, "a replica needs {needed} of `memory`")?;
                if self.is_lasting() {
                    write!(f, ", and node `{node}` has {all} in all")
                } else {
                    write!(f, ", and of the {all} of node `{node}` {free} are free")
                }
            }
            Resource::WholeGpus { needed, free, total } => {
                write!(f, "a replica needs {needed} of `num_gpus`")?;
                if self.is_lasting() {
                    write!(f, ", and node `{node}` has {total} in all")
                } else {
                    write!(f, ", and of the {total} of node `{node}` {free} are wholly free")
                }
            }
            Resource::PartOfGpu { needed, most, total } => {
                write!(f, "a replica needs {needed} of one of `num_gpus`")?;
                if self.is_lasting() {
                    write!(f, ", and node `{node}` has none")
                } else {
                    write!(
                        f,
                        ", and on none of the {total} of node `{node}` more than {most} is free"
                    )
                }
            }
        }
    }
}

impl Node {
    /// An empty node. It has the GPUs `gpu_ids`, whatever `resources.num_gpus` says.
    pub(crate) fn new(
        name: impl Into<Arc<str>>,
        resources: &Resources,
        gpu_ids: impl IntoIterator<Item = Arc<str>>,
    ) -> Result<Self, DemandError> {
        let total = Demand::new(&Resources { num_gpus: 0.0, ..resources.clone() })?;
        let gpus = gpu_ids.into_iter().map(|id| Gpu { id, free: Amount::ONE });
        Ok(Self {
            name: name.into(),
            cpus: Pool::full(total.cpus),
            gpus: gpus.collect(),
            memory: total.memory,
            free_memory: total.memory,
            custom: total.custom.into_iter().map(|(name, all)| (name, Pool::full(all))).collect(),
        })
    }

    /// Whether a replica fits now.
    pub(crate) fn fits(&self, demand: &Demand) -> Result<(), Shortage> {
        self.choose_gpus(demand).map(|_| ())
    }

    /// How many more replicas fit now, counted up to `limit`.
    pub(crate) fn room(&self, demand: &Demand, limit: usize) -> usize {
        let mut node = self.clone();
        // The clone is thrown away with what it handed out.
        (0..limit).take_while(|_| node.reserve(demand).is_ok()).count()
    }

    /// Takes what a replica needs.
    ///
    /// A part of a GPU is taken from the fullest GPU that has it, so that whole ones stay
    /// free; whole GPUs in the order of the node's list.
    ///
    /// # Errors
    /// The first resource that there is too little of. Then nothing is taken.
    pub(crate) fn reserve(&mut self, demand: &Demand) -> Result<Reservation, Shortage> {
        let gpus = self.choose_gpus(demand)?;
        self.cpus.free.0 -= demand.cpus.0;
        self.free_memory -= demand.memory;
        for (name, amount) in &demand.custom {
            if let Some(pool) = self.custom.get_mut(name) {
                pool.free.0 -= amount.0;
            }
        }
        for (place, part) in &gpus {
            self.gpus[*place].free.0 -= part.0;
        }
        let gpu_ids = gpus.iter().map(|(place, _)| Arc::clone(&self.gpus[*place].id)).collect();
        Ok(Reservation { demand: demand.clone(), gpus, gpu_ids })
    }

    /// Gives back what a replica of this node held.
    pub(crate) fn release(&mut self, reservation: Reservation) {
        let Reservation { demand, gpus, gpu_ids: _ } = reservation;
        self.cpus.free.0 += demand.cpus.0;
        self.free_memory += demand.memory;
        for (name, amount) in &demand.custom {
            if let Some(pool) = self.custom.get_mut(name) {
                pool.free.0 += amount.0;
            }
        }
        for (place, part) in gpus {
            self.gpus[place].free.0 += part.0;
        }
    }

    /// The GPUs to take, if everything else fits too.
    fn choose_gpus(&self, demand: &Demand) -> Result<Vec<(usize, Amount)>, Shortage> {
        let short = |resource| Shortage { node: Arc::clone(&self.name), resource };
        self.count(&Arc::from("num_cpus"), demand.cpus, self.cpus).map_err(short)?;
        for (name, needed) in &demand.custom {
            let pool = self.custom.get(name).copied().unwrap_or_default();
            self.count(name, *needed, pool).map_err(short)?;
        }
        if demand.memory > self.free_memory {
            let (needed, free, total) = (demand.memory, self.free_memory, self.memory);
            return Err(short(Resource::Memory { needed, free, total }));
        }
        let total = self.gpus.len();
        let gpus = self.gpus.iter().map(|gpu| gpu.free).enumerate();
        if demand.gpus.is_whole() {
            let whole = gpus.filter(|(_, free)| *free == Amount::ONE);
            let needed = demand.gpus.0 / Amount::ONE.0;
            let taken: Vec<_> = whole.take(usize::try_from(needed).unwrap_or(usize::MAX)).collect();
            let free = taken.len();
            if (free as u64) < needed {
                return Err(short(Resource::WholeGpus { needed, free, total }));
            }
            return Ok(taken);
        }
        let needed = demand.gpus;
        let fullest = gpus.filter(|(_, free)| *free >= needed).min_by_key(|(_, free)| *free);
        match fullest {
            Some((place, _)) => Ok(vec![(place, needed)]),
            None => {
                let most = self.gpus.iter().map(|gpu| gpu.free).max().unwrap_or_default();
                Err(short(Resource::PartOfGpu { needed, most, total }))
            }
        }
    }

    fn count(&self, name: &Arc<str>, needed: Amount, pool: Pool) -> Result<(), Resource> {
        if needed <= pool.free {
            return Ok(());
        }
        Err(Resource::Counted { name: Arc::clone(name), needed, pool })
    }
}

/// A size as people write it.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            let hundredths = (u128::from(self.0) * 100) >> shift;
            if hundredths >= 100 {
                let (whole, rest) = (hundredths / 100, hundredths % 100);
                return if rest == 0 {
                    write!(f, "{whole} {unit}")
                } else {
                    write!(f, "{whole}.{rest:02} {unit}")
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    fn resources(num_cpus: f64, num_gpus: f64, gib: u64, tokens: f64) -> Resources {
        let custom = if tokens > 0.0 { vec![(Arc::from("token"), tokens)] } else { vec![] };
        Resources { num_cpus, num_gpus, memory: gib * GIB, custom: custom.into_iter().collect() }
    }

    fn demand(num_cpus: f64, num_gpus: f64, gib: u64, tokens: f64) -> Demand {
        Demand::new(&resources(num_cpus, num_gpus, gib, tokens)).unwrap()
    }

    fn node(num_cpus: f64, gpus: usize, gib: u64, tokens: f64) -> Node {
        let ids = (0..gpus).map(|number| Arc::from(number.to_string()));
        Node::new("local", &resources(num_cpus, 0.0, gib, tokens), ids).unwrap()
    }

    fn ids(reservation: &Reservation) -> Vec<&str> {
        reservation.gpu_ids().iter().map(|id| &**id).collect()
    }

    #[test]
    fn tenths_add_up() {
        let mut node = node(1.0, 0, 0, 0.0);
        let held: Vec<_> =
            (0..10).map(|_| node.reserve(&demand(0.1, 0.0, 0, 0.0)).unwrap()).collect();
        assert!(node.fits(&demand(0.0001, 0.0, 0, 0.0)).is_err());
        held.into_iter().for_each(|one| node.release(one));
        assert_eq!(node, self::node(1.0, 0, 0, 0.0));
    }

    #[test]
    fn parts_of_gpus_are_packed_and_whole_ones_kept_free() {
        let mut node = node(0.0, 3, 0, 0.0);
        let mut take = |gpus| node.reserve(&demand(0.0, gpus, 0, 0.0));
        let quarter = take(0.25).unwrap();
        let half = take(0.5).unwrap();
        assert_eq!((ids(&quarter), ids(&half)), (vec!["0"], vec!["0"]));
        let next = take(0.5).unwrap();
        assert_eq!(ids(&next), ["1"], "only a quarter of 0 is left");
        assert_eq!(ids(&take(0.25).unwrap()), ["0"], "the fullest that has it");
        let whole = take(1.0).unwrap();
        assert_eq!(ids(&whole), ["2"]);
        assert_eq!(
            take(1.0).unwrap_err().to_string(),
            "a replica needs 1 of `num_gpus`, and of the 3 of node `local` 0 are wholly free"
        );
        assert_eq!(
            take(0.75).unwrap_err().to_string(),
            "a replica needs 0.75 of one of `num_gpus`, and on none of the 3 of node `local` more \
             than 0.5 is free"
        );
        node.release(whole);
        assert_eq!(ids(&node.reserve(&demand(0.0, 1.0, 0, 0.0)).unwrap()), ["2"]);
    }

    #[test]
    fn what_is_missing_is_named_with_how_much_there_is() {
        let mut node = node(4.0, 1, 8, 0.0);
        let _held = node.reserve(&demand(3.5, 0.0, 6, 0.0)).unwrap();
        for (demand, lasting, text) in [
            (
                demand(1.0, 0.0, 0, 0.0),
                false,
                "a replica needs 1 of `num_cpus`, and of the 4 of node `local` 0.5 are free",
            ),
            (
                demand(8.0, 0.0, 0, 0.0),
                true,
                "a replica needs 8 of `num_cpus`, and node `local` has 4 in all",
            ),
            (
                demand(0.0, 0.0, 3, 0.0),
                false,
                "a replica needs 3 GiB of `memory`, and of the 8 GiB of node `local` 2 GiB are free",
            ),
            (
                demand(0.0, 2.0, 0, 0.0),
                true,
                "a replica needs 2 of `num_gpus`, and node `local` has 1 in all",
            ),
            (
                demand(0.0, 0.0, 0, 2.0),
                true,
                "a replica needs 2 of `token`, and node `local` has none",
            ),
        ] {
            let shortage = node.fits(&demand).unwrap_err();
            assert_eq!((shortage.to_string().as_str(), shortage.is_lasting()), (text, lasting));
        }
        let none = self::node(1.0, 0, 0, 0.0).fits(&demand(0.0, 0.5, 0, 0.0)).unwrap_err();
        assert_eq!(
            none.to_string(),
            "a replica needs 0.5 of one of `num_gpus`, and node `local` has none"
        );
        assert!(none.is_lasting());
    }

    #[test]
    fn nonsense_is_refused() {
        let text = |resources: &Resources| Demand::new(resources).unwrap_err().to_string();
        assert!(text(&resources(-1.0, 0.0, 0, 0.0)).starts_with("`num_cpus` is -1"));
        assert!(text(&resources(f64::NAN, 0.0, 0, 0.0)).starts_with("`num_cpus` is NaN"));
        assert!(text(&resources(0.0, 1.5, 0, 0.0)).starts_with("`num_gpus` is 1.5"));
        let tokens = resources(0.0, 0.0, 0, f64::INFINITY);
        assert!(text(&tokens).starts_with("`resources(token)` is inf"));
    }

    #[test]
    fn room_is_how_many_more_fit() {
        let mut node = node(4.0, 2, 0, 0.0);
        assert_eq!(node.room(&demand(1.0, 0.5, 0, 0.0), 99), 4);
        assert_eq!(node.room(&demand(1.0, 1.0, 0, 0.0), 99), 2);
        assert_eq!(node.room(&demand(0.0, 0.0, 0, 0.0), 99), 99, "what needs nothing always fits");
        let _held = node.reserve(&demand(3.5, 0.0, 0, 0.0)).unwrap();
        assert_eq!(node.room(&demand(1.0, 0.5, 0, 0.0), 99), 0);
    }

    #[test]
    fn sizes_are_written_as_people_write_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.50 KiB"),
            (GIB, "1 GiB"),
            (5 << 40, "5 TiB"),
            (u64::MAX, "16777215.99 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    fn any_demand() -> impl Strategy<Value = Demand> {
        let gpus =
            prop_oneof![Just(0.0), prop::sample::select(vec![0.1, 0.25, 0.3333, 0.5, 1.0, 2.0])];
        (0_u32..30, gpus, 0_u64..5, 0_u32..4).prop_map(|(cpus, gpus, gib, tokens)| {
            demand(f64::from(cpus) / 10.0, gpus, gib, f64::from(tokens) / 2.0)
        })
    }

    proptest! {
        #[test]
        fn nothing_is_given_out_twice_and_all_of_it_comes_back(
            demands in prop::collection::vec((any_demand(), any::<bool>()), 1..40),
        ) {
            let empty = node(8.0, 3, 16, 4.0);
            let mut node = empty.clone();
            let mut held: Vec<Reservation> = Vec::new();
            for (demand, release_one) in demands {
                let before = node.clone();
                match node.reserve(&demand) {
                    Ok(reservation) => held.push(reservation),
                    // Nothing was taken.
                    Err(_) => prop_assert_eq!(&node, &before),
                }
                let sum = |part: fn(&Demand) -> u64| -> u64 {
                    held.iter().map(|one| part(&one.demand)).sum()
                };
                prop_assert_eq!(sum(|demand| demand.cpus.0) + node.cpus.free.0, node.cpus.total.0);
                prop_assert_eq!(sum(|demand| demand.memory) + node.free_memory, node.memory);
                for (place, gpu) in node.gpus.iter().enumerate() {
                    let parts = held.iter().flat_map(|one| &one.gpus);
                    let parts = parts.filter(|(at, _)| *at == place).map(|(_, part)| part.0);
                    prop_assert_eq!(parts.sum::<u64>() + gpu.free.0, Amount::ONE.0);
                }
                if release_one && !held.is_empty() {
                    node.release(held.swap_remove(0));
                }
            }
            held.into_iter().for_each(|one| node.release(one));
            prop_assert_eq!(node, empty);
        }
    }
}
