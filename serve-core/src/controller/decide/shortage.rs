//! Decides whether the replicas of an application can ever have enough room.

use std::collections::BTreeMap;

use super::resources::{Demand, ONE, Resources, units};
use crate::controller::shortage::{Shortage, ShortageOf};

/// The reservations of one deployment.
#[derive(Clone, Debug)]
pub(crate) struct Reservations {
    /// The reservation of one replica.
    pub(crate) demand: Demand,
    /// The number of replicas that a deploy waits for.
    pub(crate) replicas: usize,
    /// The maximum number of replicas on one node.
    pub(crate) max_replicas_per_node: Option<usize>,
}

/// Finds the first deployment that can never have enough room on an empty node, alone or together
/// with the deployments before it. Returns its index.
pub(crate) fn shortage(node: &Resources, asked: &[Reservations]) -> Option<(usize, Shortage)> {
    let alone = asked.iter().enumerate().find_map(|(index, asked)| {
        let one = [(&asked.demand, 1)];
        let all = [(&asked.demand, asked.replicas)];
        let found = lack(node, &one, ShortageOf::Replica)
            .or_else(|| lack(node, &all, ShortageOf::Replicas(asked.replicas)))
            .or_else(|| too_many_on_one_node(asked));
        Some((index, found?))
    });
    alone.or_else(|| {
        (1..=asked.len()).find_map(|count| {
            let demands: Vec<_> =
                asked[..count].iter().map(|asked| (&asked.demand, asked.replicas)).collect();
            Some((count - 1, lack(node, &demands, ShortageOf::WholeApplication)?))
        })
    })
}

fn too_many_on_one_node(asked: &Reservations) -> Option<Shortage> {
    let most = asked.max_replicas_per_node.filter(|most| asked.replicas > *most)?;
    Some(Shortage {
        resource: "max_replicas_per_node".to_owned(),
        of: ShortageOf::Replicas(asked.replicas),
        needed: count(asked.replicas),
        available: count(most),
    })
}

/// Returns the first resource that these replicas reserve more of than exists.
fn lack(node: &Resources, asked: &[(&Demand, usize)], of: ShortageOf) -> Option<Shortage> {
    let lack = |resource: &str, needed: f64, available: f64| {
        let resource = resource.to_owned();
        Some(Shortage { resource, of, needed, available })
    };
    let sum = |amount: &dyn Fn(&Demand) -> f64| -> f64 {
        asked.iter().map(|(demand, replicas)| amount(demand) * count(*replicas)).sum()
    };
    let cpus = sum(&|demand| demand.num_cpus);
    if units(cpus) > units(node.num_cpus) {
        return lack("num_cpus", cpus, node.num_cpus);
    }
    let gpus = gpus(asked);
    if gpus > node.gpu_ids.len() {
        return lack("num_gpus", count(gpus), count(node.gpu_ids.len()));
    }
    let memory: u128 =
        asked.iter().map(|(demand, replicas)| u128::from(demand.memory) * *replicas as u128).sum();
    if memory > u128::from(node.memory) {
        return lack("memory", bytes(memory), bytes(node.memory.into()));
    }
    let mut others: BTreeMap<&str, f64> = BTreeMap::new();
    for (demand, replicas) in asked {
        for (name, amount) in &demand.others {
            *others.entry(name).or_default() += amount * count(*replicas);
        }
    }
    others.into_iter().find_map(|(name, needed)| {
        let available = match node.others.get(name) {
            Some(available) => *available,
            None if node.plenty_of_others => return None,
            None => 0.0,
        };
        if units(needed) > units(available) { lack(name, needed, available) } else { None }
    })
}

/// Returns the number of GPUs that have room for these replicas: whole GPUs, and fractions that are
/// packed together, the largest first.
fn gpus(asked: &[(&Demand, usize)]) -> usize {
    let mut whole = 0;
    let mut parts = Vec::new();
    for (demand, replicas) in asked {
        let needed = units(demand.num_gpus);
        if needed >= ONE {
            whole += usize::try_from(needed / ONE).unwrap_or(usize::MAX).saturating_mul(*replicas);
        } else if needed > 0 {
            parts.extend(std::iter::repeat_n(needed, *replicas));
        }
    }
    parts.sort_unstable_by(|a, b| b.cmp(a));
    let mut free: Vec<u64> = Vec::new();
    for part in parts {
        match free.iter_mut().filter(|free| **free >= part).min() {
            Some(free) => *free -= part,
            None => free.push(ONE - part),
        }
    }
    whole.saturating_add(free.len())
}

#[expect(clippy::cast_precision_loss, reason = "for people, and far below 2^53")]
fn count(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn bytes(bytes: u128) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::super::resources::Capacity;
    use super::*;
    use proptest::prelude::*;

    fn node(cpus: f64, gpus: usize) -> Resources {
        Resources {
            num_cpus: cpus,
            gpu_ids: Resources::numbered(gpus),
            memory: 1_000,
            others: BTreeMap::new(),
            plenty_of_others: false,
        }
    }

    fn asks(num_cpus: f64, num_gpus: f64, replicas: usize) -> Reservations {
        let demand = Demand { num_cpus, num_gpus, ..Demand::default() };
        Reservations { demand, replicas, max_replicas_per_node: None }
    }

    fn said(asked: &[Reservations]) -> Option<(usize, String)> {
        shortage(&node(4.0, 2), asked).map(|(index, shortage)| (index, shortage.to_string()))
    }

    #[test]
    fn one_replica_several_and_the_whole_application_are_told_apart() {
        let some = |index, said: &str| Some((index, said.to_owned()));
        assert_eq!(said(&[asks(4.0, 2.0, 1)]), None);
        assert_eq!(
            said(&[asks(1.0, 0.0, 1), asks(5.0, 0.0, 0)]),
            some(1, "it needs 5 CPUs, and the node has 4"),
            "no replica may ever start, though none is asked for yet"
        );
        assert_eq!(
            said(&[asks(1.5, 0.0, 3)]),
            some(0, "3 replicas of it need 4.5 CPUs, and the node has 4")
        );
        assert_eq!(
            said(&[asks(2.0, 0.0, 1), asks(1.5, 0.0, 1), asks(1.0, 0.0, 1)]),
            some(2, "the application up to this deployment needs 4.5 CPUs, and the node has 4")
        );
        assert_eq!(
            said(&[asks(0.0, 0.6, 3)]),
            some(0, "3 replicas of it need 3 GPUs, and the node has 2"),
            "two parts of 0.6 do not share a GPU"
        );
    }

    proptest! {
        /// Replicas that can be reserved one by one on an empty node are never refused here.
        #[test]
        fn what_fits_is_not_refused(
            asked in prop::collection::vec((0.0_f64..3.0, 0_usize..6, 0_usize..3), 1..5),
        ) {
            let asked: Vec<Reservations> = asked
                .into_iter()
                .map(|(cpus, gpus, replicas)| {
                    asks(cpus, [0.0, 0.25, 0.5, 0.75, 1.0, 2.0][gpus], replicas)
                })
                .collect();
            let mut largest_first: Vec<&Reservations> = asked.iter().collect();
            largest_first.sort_by(|a, b| b.demand.num_gpus.total_cmp(&a.demand.num_gpus));
            let mut capacity = Capacity::new(node(4.0, 3));
            let fits = largest_first.iter().all(|asked| {
                (0..asked.replicas.max(1)).all(|_| capacity.reserve(&asked.demand).is_ok())
            });
            if fits {
                prop_assert_eq!(shortage(&node(4.0, 3), &asked), None);
            }
        }
    }
}
