//! A request router of one's own: prompts that begin alike go to the replica that has read
//! their beginning before, so that it need not be read again.
//!
//! A language model keeps what it has computed for the tokens of a prompt, and a later one
//! that begins with the same tokens (the system's instructions, the conversation so far) gets
//! that for nothing, on that replica alone. [`PrefixRouter`] sends it there, unless so many
//! are there that another is done sooner.
//!
//! ```console
//! $ cargo serve run prefix_router
//! $ curl localhost:8000 --json '{"prompt": "You answer in one word, and in lower case. Why?"}'
//! {"rank":2,"blocks":2,"reused":0}
//! $ curl localhost:8000 --json '{"prompt": "You answer in one word, and in lower case. How?"}'
//! {"rank":2,"blocks":2,"reused":2}
//! ```

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use parking_lot::Mutex;
use serve_core::prelude::*;
use serve_core::routing::{Candidate, Candidates, RequestRouter, RoutedCall};

/// Bytes of a prompt that are kept, or read again, as one.
const BLOCK: usize = 16;

/// How long it takes to read a block that is not kept.
const READING: Duration = Duration::from_millis(5);

/// Blocks that a replica keeps. It forgets the oldest first.
const KEPT: usize = 10_000;

/// How many more calls than the least busy replica one may have and still get another. Half
/// of what a replica runs: below that, reading again costs more than waiting.
const LEAD: usize = 4;

/// The whole blocks of a prompt, each by a number that stands for all before it as well.
fn blocks(prompt: &str) -> Vec<u64> {
    let mut hasher = DefaultHasher::new();
    let whole = prompt.as_bytes().chunks_exact(BLOCK);
    whole
        .map(|block| {
            hasher.write(block);
            hasher.finish()
        })
        .collect()
}

/// The blocks that a replica keeps.
#[derive(Debug, Default)]
struct Kept {
    blocks: HashSet<u64>,
    by_age: VecDeque<u64>,
}

impl Kept {
    /// How many blocks of a prompt are kept, from its first on.
    fn shared(&self, prompt: &[u64]) -> usize {
        prompt.iter().take_while(|block| self.blocks.contains(block)).count()
    }

    fn keep(&mut self, prompt: &[u64]) {
        self.by_age.extend(prompt.iter().filter(|block| self.blocks.insert(**block)));
        let too_many = self.by_age.len().saturating_sub(KEPT);
        for block in self.by_age.drain(..too_many) {
            self.blocks.remove(&block);
        }
    }
}

/// Sends a prompt to the replica that keeps the most of its beginning, as far as the router
/// knows from what it sent where; else to the least busy, and of those to the one that keeps
/// the least.
#[derive(Debug, Default)]
pub struct PrefixRouter {
    sent: Mutex<HashMap<String, Kept>>,
}

impl RequestRouter for PrefixRouter {
    fn choose<'a>(
        &self,
        call: &RoutedCall<'_>,
        candidates: &Candidates<'a>,
    ) -> Option<Candidate<'a>> {
        // The argument as the method will get it. A method without one is not ours to route.
        let prompt = blocks(call.argument::<String>("prompt")?);
        let mut sent = self.sent.lock();
        let least = candidates.iter().map(|candidate| candidate.ongoing).min()?;
        let open = candidates.iter().filter(|one| one.ongoing <= least + LEAD);
        let chosen = open.max_by_key(|one| {
            let kept = sent.get(one.replica_id);
            let shared = kept.map_or(0, |kept| kept.shared(&prompt));
            let all = kept.map_or(0, |kept| kept.blocks.len());
            (shared, Reverse(one.ongoing), Reverse(all))
        })?;
        sent.entry(chosen.replica_id.to_owned()).or_default().keep(&prompt);
        Some(chosen)
    }

    fn on_removed(&self, replica_id: &str) {
        self.sent.lock().remove(replica_id);
    }
}

/// What became of a prompt.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Completion {
    /// The rank of the replica that answered.
    pub rank: usize,
    /// How many blocks the prompt has.
    pub blocks: usize,
    /// How many of them need not be read.
    pub reused: usize,
}

/// As much of a language model as matters here: it reads, and keeps what it has read.
#[deployment(num_replicas = 3, max_ongoing_requests = 8, request_router = PrefixRouter)]
#[derive(Debug, Default)]
pub struct Model {
    kept: Mutex<Kept>,
}

#[handle]
impl Model {
    /// Reads a prompt, as far as it is new.
    #[post("/")]
    pub async fn complete(&self, prompt: String) -> Completion {
        let prompt = blocks(&prompt);
        let reused = self.kept.lock().shared(&prompt);
        for _ in reused..prompt.len() {
            tokio::time::sleep(READING).await;
        }
        self.kept.lock().keep(&prompt);
        let rank = replica_context().map_or(0, |replica| replica.rank());
        Completion { rank, blocks: prompt.len(), reused }
    }
}

/// Three replicas of a model.
#[application]
pub fn prefix_router() -> Application<Model> {
    Model::bind().into()
}

#[cfg(test)]
mod tests;
