//! That the network computes on the thread which calls it, and on no other.
//!
//! A replica has threads of its own, so that replicas do not slow each other down and one of them
//! takes one processor. candle knows two pools that all of a process share instead. Rayon's gives
//! way to a pool that has the calling thread alone. candle's own pool, for quantized matrices,
//! cannot be replaced from outside: `CANDLE_NUM_THREADS=1` keeps it empty.

use rayon::ThreadPoolBuilder;

thread_local! {
    /// Made once on each thread that computes; Rayon keeps it until the process ends, which is
    /// some hundred bytes for each replica that ever was.
    static ALONE: bool =
        ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().is_ok();
}

/// Takes care that what the current thread computes from now on stays on it.
pub(super) fn stay_on_this_thread() {
    // A thread that is part of a pool already keeps it: then it is that pool's owner who decides.
    ALONE.with(|_| ());
}

/// Whether replicas share threads of candle's own after all.
#[must_use]
pub fn shares_threads() -> bool {
    candle_core::utils::barrier_pool().n_workers() > 0
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

    use super::*;

    #[test]
    fn rayon_stays_on_the_thread_that_calls() {
        let computed = thread::spawn(|| {
            stay_on_this_thread();
            stay_on_this_thread();
            let here = thread::current().id();
            let threads = (0..1_000).into_par_iter().map(|_| thread::current().id());
            let moved = threads.filter(|thread| *thread != here).count();
            (moved, rayon::current_num_threads())
        });
        assert_eq!(computed.join().expect("it does not panic"), (0, 1));
    }
}
