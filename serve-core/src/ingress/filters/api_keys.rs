//! [`ApiKeys`]: the keys of which a request must bring one.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::ingress::response::http_error::HttpError;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The keys of an application, as digests: the keys themselves are not kept.
///
/// A digest is a keyed hash (SipHash, twice, with random keys of this process), which a client cannot
/// compute. The time that it takes to compare digests therefore tells a client nothing about how close
/// a guess is to a key.
pub(crate) struct ApiKeys {
    hashers: [RandomState; 2],
    known: HashSet<Digest>,
}

/// The digest of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u64; 2]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

impl ApiKeys {
    /// Returns `None` if there are no keys: then no request needs one.
    pub(crate) fn of(keys: &[String]) -> Option<Self> {
        if keys.is_empty() {
            return None;
        }
        let mut all =
            Self { hashers: [RandomState::new(), RandomState::new()], known: HashSet::new() };
        all.known = keys.iter().map(|key| all.digest(key.as_bytes())).collect();
        Some(all)
    }

    fn digest(&self, key: &[u8]) -> Digest {
        let [one, two] = &self.hashers;
        Digest([one.hash_one(key), two.hash_one(key)])
    }

    /// Returns the digest of the valid key that a request brings.
    ///
    /// # Errors
    /// Returns 401 if the request brings none.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Digest, HttpError> {
        let bearers = headers.get_all(AUTHORIZATION).iter();
        let bearers = bearers.filter_map(|value| bearer(value.as_bytes()));
        let plain = headers.get_all(X_API_KEY).iter().map(|value| value.as_bytes().trim_ascii());
        let mut any = false;
        for given in bearers.chain(plain) {
            any = true;
            let digest = self.digest(given);
            if self.known.contains(&digest) {
                return Ok(digest);
            }
        }
        Err(if any {
            HttpError::unauthorized("the API key is not valid", "Bearer error=\"invalid_token\"")
        } else {
            HttpError::unauthorized(
                "the request has no API key: send it as `Authorization: Bearer KEY` or `X-API-Key: \
                 KEY`",
                "Bearer",
            )
        })
    }
}

/// Returns the token of `Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn status(headers: &[(HeaderName, &'static str)]) -> u16 {
        let keys = ApiKeys::of(&["one".to_owned(), "two".to_owned()]).unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        keys.check(&headers).map_or_else(|error| error.status().as_u16(), |_| 200)
    }

    #[test]
    fn one_valid_key_suffices() {
        assert_eq!(status(&[(AUTHORIZATION, "Bearer one")]), 200);
        assert_eq!(status(&[(AUTHORIZATION, "bearer  two ")]), 200);
        assert_eq!(status(&[(X_API_KEY, "two")]), 200);
        assert_eq!(status(&[(AUTHORIZATION, "Bearer no"), (X_API_KEY, "one")]), 200);
    }

    #[test]
    fn all_else_is_refused() {
        let wrong =
            ["", "Bearer", "Bearer ", "Bearer on", "Bearer ones", "Basic one", "one", "Bearerone"];
        for value in wrong {
            assert_eq!(status(&[(AUTHORIZATION, value)]), 401, "{value:?}");
        }
        assert_eq!(status(&[(X_API_KEY, "")]), 401);
        assert_eq!(status(&[]), 401);
    }
}
