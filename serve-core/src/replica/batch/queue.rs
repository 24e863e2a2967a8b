//! [`BatchQueue`]: the items that wait for a batch, and the decision when a batch closes. Plain
//! data.
//!
//! A batch closes only when it can run, so that batches grow while others run. Items leave in the
//! order in which they came.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::method::BatchLimits;
use crate::time;

/// The items that wait for a batch.
#[derive(Debug)]
pub(super) struct BatchQueue<I> {
    /// The items in the order of their numbers. An item that left is an empty place until it is
    /// passed.
    waiting: VecDeque<Entry<I>>,
    next_number: u64,
    /// The weight of all items that wait.
    weight: usize,
    /// The weight of the items that wait for each model.
    weight_by_model: HashMap<Arc<str>, usize>,
    running: usize,
}

#[derive(Debug)]
struct Entry<I> {
    number: u64,
    item: Option<I>,
    weight: usize,
    since: Instant,
    model: Option<Arc<str>>,
}

/// The next action.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<I> {
    /// These items are a batch, which runs until [`finished`](BatchQueue::finished) is called.
    Run(Vec<I>),
    /// There is nothing to do until this instant, unless something happens before.
    WaitUntil(Instant),
    /// There is nothing to do until something happens.
    Idle,
}

impl<I> Default for BatchQueue<I> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            next_number: 0,
            weight: 0,
            weight_by_model: HashMap::new(),
            running: 0,
        }
    }
}

impl<I> BatchQueue<I> {
    /// Adds an item and returns its number. Items of different models share no batch.
    pub(super) fn push(
        &mut self,
        item: I,
        weight: usize,
        model: Option<Arc<str>>,
        now: Instant,
    ) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.weight += weight;
        if let Some(model) = &model {
            *self.weight_by_model.entry(Arc::clone(model)).or_default() += weight;
        }
        self.waiting.push_back(Entry { number, item: Some(item), weight, since: now, model });
        number
    }

    /// Removes an item that goes away, if the item still waits.
    pub(super) fn leave(&mut self, number: u64) -> Option<I> {
        let at = self.waiting.binary_search_by_key(&number, |entry| entry.number).ok()?;
        let entry = &mut self.waiting[at];
        let item = entry.item.take()?;
        let (weight, model) = (entry.weight, entry.model.take());
        self.weigh_less(weight, model.as_deref());
        self.pass_empty_places();
        Some(item)
    }

    /// Subtracts the weight of items of a model that do not wait any more.
    fn weigh_less(&mut self, weight: usize, model: Option<&str>) {
        self.weight -= weight;
        if let Some(model) = model
            && let Some(waiting) = self.weight_by_model.get_mut(model)
        {
            *waiting -= weight;
            if *waiting == 0 {
                self.weight_by_model.remove(model);
            }
        }
    }

    /// Records that a batch has ended.
    pub(super) fn finished(&mut self) {
        self.running -= 1;
    }

    /// Returns the action to take now. A returned batch counts as running from here on.
    pub(super) fn next(&mut self, now: Instant, limits: BatchLimits) -> Next<I> {
        let Some(first) = self.waiting.front() else { return Next::Idle };
        if self.running >= limits.max_concurrent_batches {
            return Next::Idle;
        }
        let closes = time::after(first.since, limits.batch_wait_timeout);
        let model = if closes.is_some_and(|closes| closes <= now) {
            first.model.clone()
        } else if let Some(full) = self.first_of_full(limits.max_batch_size) {
            full.model.clone()
        } else {
            return closes.map_or(Next::Idle, Next::WaitUntil);
        };
        let batch = self.take(model.as_deref(), limits.max_batch_size);
        self.running += 1;
        Next::Run(batch)
    }

    /// Returns the first item whose model has enough items for a full batch. An item of another
    /// model that has waited longer loses nothing: it goes first once its time has come.
    fn first_of_full(&self, limit: usize) -> Option<&Entry<I>> {
        if self.weight < limit {
            return None;
        }
        if self.weight_by_model.is_empty() {
            return self.waiting.front();
        }
        let unnamed = self.weight - self.weight_by_model.values().sum::<usize>();
        self.waiting.iter().filter(|entry| entry.item.is_some()).find(|entry| {
            let weight = match &entry.model {
                Some(model) => self.weight_by_model.get(model).copied().unwrap_or_default(),
                None => unnamed,
            };
            weight >= limit
        })
    }

    /// Takes the first item for a model, and the items after it as long as they fit.
    fn take(&mut self, model: Option<&str>, limit: usize) -> Vec<I> {
        let (mut batch, mut weight) = (Vec::new(), 0);
        for entry in &mut self.waiting {
            if entry.item.is_none() || entry.model.as_deref() != model {
                continue;
            }
            // A later item does not overtake an item that does not fit.
            if !batch.is_empty() && weight + entry.weight > limit {
                break;
            }
            weight += entry.weight;
            batch.extend(entry.item.take());
        }
        self.weigh_less(weight, model);
        self.pass_empty_places();
        batch
    }

    fn pass_empty_places(&mut self) {
        while self.waiting.front().is_some_and(|entry| entry.item.is_none()) {
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits(size: usize, wait_ms: u64, concurrent: usize) -> BatchLimits {
        BatchLimits {
            max_batch_size: size,
            batch_wait_timeout: Duration::from_millis(wait_ms),
            max_concurrent_batches: concurrent,
        }
    }

    /// Simulates arrivals every 2 ms and bodies of 100 ms. Returns the sizes of the batches and the
    /// time at which the last batch ended.
    fn simulate(calls: u64, limits: BatchLimits) -> (Vec<usize>, Duration) {
        let start = Instant::now();
        let (mut queue, mut batches) = (BatchQueue::default(), Vec::new());
        let mut ends: VecDeque<Instant> = VecDeque::new();
        let (mut now, mut came) = (start, 0);
        loop {
            while came < calls && start + Duration::from_millis(2 * came) <= now {
                queue.push(came, 1, None, now);
                came += 1;
            }
            while ends.front().is_some_and(|end| *end <= now) {
                ends.pop_front();
                queue.finished();
            }
            while let Next::Run(batch) = queue.next(now, limits) {
                batches.push(batch.len());
                ends.push_back(now + Duration::from_millis(100));
            }
            if came == calls && ends.is_empty() && queue.waiting.is_empty() {
                return (batches, now - start);
            }
            now += Duration::from_millis(1);
        }
    }

    /// Ray Serve 2.60 makes 41 batches of these calls and takes 4.16 s.
    #[test]
    fn batches_grow_while_others_run() {
        let (batches, took) = simulate(200, limits(64, 10, 1));
        assert_eq!(batches.iter().sum::<usize>(), 200);
        assert!(batches.len() <= 8, "{batches:?}");
        assert!(took <= Duration::from_millis(800), "{took:?}");
    }

    #[test]
    fn items_leave_in_the_order_in_which_they_came_whatever_they_weigh() {
        let (now, limits) = (Instant::now(), limits(10, 0, 10));
        let mut queue = BatchQueue::default();
        for (name, weight) in [("a", 6), ("b", 6), ("c", 3), ("d", 3), ("e", 9), ("g", 1)] {
            queue.push(name, weight, None, now);
        }
        let mut batches = Vec::new();
        while let Next::Run(batch) = queue.next(now, limits) {
            batches.push(batch);
        }
        assert_eq!(batches, [vec!["a"], vec!["b", "c"], vec!["d"], vec!["e", "g"]]);
    }

    #[test]
    fn a_batch_closes_when_it_is_full_or_its_first_item_has_waited() {
        let (now, limits) = (Instant::now(), limits(2, 10, 1));
        let mut queue = BatchQueue::default();
        queue.push(1, 1, None, now);
        assert_eq!(queue.next(now, limits), Next::WaitUntil(now + Duration::from_millis(10)));
        queue.push(2, 1, None, now);
        assert_eq!(queue.next(now, limits), Next::Run(vec![1, 2]));
        queue.push(3, 1, None, now);
        let late = now + Duration::from_millis(50);
        assert_eq!(queue.next(late, limits), Next::Idle, "one runs already");
        queue.finished();
        assert_eq!(queue.next(late, limits), Next::Run(vec![3]));
    }

    #[test]
    fn a_batch_may_wait_for_ever() {
        let now = Instant::now();
        let limits = BatchLimits { batch_wait_timeout: Duration::MAX, ..limits(2, 0, 1) };
        let mut queue = BatchQueue::default();
        queue.push(1, 1, None, now);
        assert_eq!(queue.next(now, limits), Next::Idle);
        queue.push(2, 1, None, now);
        assert_eq!(queue.next(now, limits), Next::Run(vec![1, 2]));
    }

    #[test]
    fn who_leaves_takes_no_place() {
        let (now, limits) = (Instant::now(), limits(2, 0, 1));
        let mut queue = BatchQueue::default();
        let numbers: Vec<u64> = (0..4).map(|item| queue.push(item, 1, None, now)).collect();
        assert_eq!(queue.leave(numbers[0]), Some(0));
        assert_eq!(queue.leave(numbers[2]), Some(2));
        assert_eq!(queue.leave(numbers[2]), None);
        assert_eq!(queue.next(now, limits), Next::Run(vec![1, 3]));
        assert_eq!(queue.leave(numbers[1]), None);
        assert_eq!(queue.weight, 0);
    }

    #[test]
    fn models_share_no_batch() {
        let (now, limits) = (Instant::now(), limits(8, 0, 8));
        let mut queue = BatchQueue::default();
        for (item, model) in [(1, "a"), (2, "b"), (3, "a"), (4, "b")] {
            queue.push(item, 1, Some(Arc::from(model)), now);
        }
        assert_eq!(queue.next(now, limits), Next::Run(vec![1, 3]));
        assert_eq!(queue.next(now, limits), Next::Run(vec![2, 4]));
        assert_eq!(queue.next(now, limits), Next::Idle);
    }

    #[test]
    fn a_batch_does_not_close_early_because_of_other_models() {
        let (now, limits) = (Instant::now(), limits(2, 10, 8));
        let closes = now + limits.batch_wait_timeout;
        let mut queue = BatchQueue::default();
        let model = |name: &str| Some(Arc::from(name));
        let push = |queue: &mut BatchQueue<i32>, item, of| queue.push(item, 1, of, now);
        push(&mut queue, 1, model("a"));
        push(&mut queue, 2, model("b"));
        push(&mut queue, 3, None);
        assert_eq!(queue.next(now, limits), Next::WaitUntil(closes), "none of them is full");
        push(&mut queue, 4, model("b"));
        assert_eq!(queue.next(now, limits), Next::Run(vec![2, 4]), "it is full, and goes ahead");
        let gone = push(&mut queue, 5, None);
        queue.leave(gone);
        assert_eq!(queue.next(now, limits), Next::WaitUntil(closes));
        assert_eq!(queue.next(closes, limits), Next::Run(vec![1]));
        assert_eq!(queue.next(closes, limits), Next::Run(vec![3]));
        assert!(queue.weight == 0 && queue.weight_by_model.is_empty());
    }
}
