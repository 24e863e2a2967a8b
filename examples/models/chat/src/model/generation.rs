//! [`Generation`]: an answer, token by token.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Network, Sampler, Stops, Tokenizer, Utf8};

/// How many tokens of a prompt are read at a time. Many at a time are quicker for each, up to
/// here; between two times a generation can be stopped.
const CHUNK: usize = 16;

/// A step of an answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Piece {
    /// So much of the prompt has been read; none of it in the first piece of all.
    Reading {
        /// Tokens that have been read.
        read: usize,
        /// Tokens that the prompt has.
        of: usize,
    },
    /// One more token was chosen. This text is complete by it; there is none if the token ends
    /// inside a character, or in what may become a stop text.
    Text(String),
    /// The last piece.
    End {
        /// Why.
        finish: Finish,
        /// Tokens of the answer, the one among them that ended it.
        tokens: usize,
    },
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model said so, or a stop text was found.
    Stop,
    /// It had as many tokens as it was allowed.
    Length,
}

/// Where an answer ends, if the model does not end it before.
#[derive(Debug)]
pub struct Limits {
    /// After so many tokens; at least 1.
    pub tokens: usize,
    /// Before these texts.
    pub stops: Stops,
}

/// An answer that is made piece by piece, as the iterator is asked for them: first the prompt is
/// read, then there is a piece for each token. Nothing is computed ahead, so to stop is to drop
/// it. An error is the last item.
#[derive(Debug)]
pub struct Generation<N> {
    network: N,
    tokenizer: Arc<Tokenizer>,
    sampler: Sampler,
    limits: Limits,
    text: Utf8,
    tokens: usize,
    next: Next,
}

/// What the next piece is made of.
#[derive(Debug)]
enum Next {
    Accept { prompt: Vec<u32> },
    Read { prompt: Vec<u32>, from: usize },
    Choose { scores: Vec<f32> },
    ReadAndChoose { token: u32 },
    End(Finish),
    Nothing,
}

impl<N: Network> Generation<N> {
    /// Nothing is computed before the first piece is asked for. A prompt has at least one token.
    #[must_use]
    pub fn new(
        network: N,
        tokenizer: Arc<Tokenizer>,
        prompt: Vec<u32>,
        sampler: Sampler,
        limits: Limits,
    ) -> Self {
        let (text, next) = (Utf8::default(), Next::Accept { prompt });
        Self { network, tokenizer, sampler, limits, text, tokens: 0, next }
    }

    fn read(&mut self, prompt: Vec<u32>, from: usize) -> Result<Piece, candle_core::Error> {
        let read = prompt.len().min(from + CHUNK);
        let scores = self.network.read(&prompt[from..read])?;
        let of = prompt.len();
        self.next =
            if read < of { Next::Read { prompt, from: read } } else { Next::Choose { scores } };
        Ok(Piece::Reading { read, of })
    }

    fn choose(&mut self, mut scores: Vec<f32>) -> Piece {
        for token in self.tokenizer.misplaced() {
            if let Some(score) = scores.get_mut(token as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
        let token = self.sampler.choose(&mut scores);
        self.tokens += 1;
        if self.tokenizer.is_end(token) {
            return self.finish(String::new(), Finish::Stop);
        }
        let text = self.text.push(self.tokenizer.bytes(token));
        let (text, stopped) = self.limits.stops.push(&text);
        if stopped {
            self.next = Next::End(Finish::Stop);
            return Piece::Text(text);
        }
        if self.tokens >= self.limits.tokens {
            return self.finish(text, Finish::Length);
        }
        self.next = Next::ReadAndChoose { token };
        Piece::Text(text)
    }

    /// The last text: what was held back comes too, unless a stop text is in it.
    fn finish(&mut self, mut text: String, finish: Finish) -> Piece {
        let cut_off = self.text.finish();
        let (held, stopped) = self.limits.stops.push(&cut_off);
        text += &held;
        if !stopped {
            text += &self.limits.stops.finish();
        }
        self.next = Next::End(if stopped { Finish::Stop } else { finish });
        Piece::Text(text)
    }
}

impl<N: Network> Iterator for Generation<N> {
    type Item = Result<Piece, candle_core::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Accept { prompt } => {
                let of = prompt.len();
                self.next = Next::Read { prompt, from: 0 };
                Ok(Piece::Reading { read: 0, of })
            }
            Next::Read { prompt, from } => self.read(prompt, from),
            Next::Choose { scores } => Ok(self.choose(scores)),
            Next::ReadAndChoose { token } => {
                self.network.read(&[token]).map(|scores| self.choose(scores))
            }
            Next::End(finish) => Ok(Piece::End { finish, tokens: self.tokens }),
            Next::Nothing => return None,
        };
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
