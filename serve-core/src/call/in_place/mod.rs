//! Calls in place: a call that has been made begins when its response is polled, on the task of its
//! caller if the call ends at once.
//!
//! Each thread has one slot where such a call stands. The first of these events begins the call:
//! the response is polled, another call is made, or the poll of the code that made the call ends.
//! The sweeper begins a call that stands too long. The response may be polled on another thread, so
//! the slot is shared. Only its own thread puts calls there.
//!
//! | file | owns |
//! |---|---|
//! | `poll_state` | what this thread polls now |
//! | `known_call` | what a response knows of its call |
//! | `thread_slot` | the slot of each thread, and what displaces a call from there |
//! | `sweeper` | the thread that begins calls which stand too long |
//! | `deferral` | what a response does with its deferred call |

mod deferral;
mod known_call;
mod poll_state;
mod sweeper;
mod thread_slot;

pub(crate) use deferral::{Begun, defer};
pub(crate) use known_call::{Deferral, KnownCall};
pub(crate) use poll_state::{call_spawned, in_a_poll, is_sampled, may_defer, may_have_scope};
pub(crate) use thread_slot::{
    Deferred, OuterPoll, SpawnedCall, another_call, enter, is_overdue, leave,
};
