//! [`RateLimit`]: the number of requests that a client may make in a period.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::api_keys::Digest;
use crate::application::Rate;
use crate::ingress::response::http_error::{HttpError, seconds};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The number of clients that are remembered: some 4 MiB. Beyond it, the clients with the fewest recent
/// requests are forgotten, which then have all of their requests again.
const MOST_CLIENTS: usize = 1 << 16;

/// The one who makes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    Key(Digest),
    Address(IpAddr),
    /// All whose address is not known.
    Unknown,
}

impl Client {
    /// Returns the client at an address. A network of IPv6 is one client: its holder has all of its
    /// addresses.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        })
    }
}

/// The rate limit of an application: a token bucket for each client.
pub(crate) struct RateLimit {
    rate: Rate,
    /// The value of `RateLimit-Policy`.
    policy: HeaderValue,
    /// The time at which each client's bucket is full again. Clients whose buckets are full need not be
    /// remembered.
    full_at: Mutex<HashMap<Client, Instant>>,
}

/// The standing of a client after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The request is allowed.
    Allowed {
        /// The number of requests that the client may make at once now.
        remaining: u32,
        /// The time until the client may make all of its requests.
        full_in: Duration,
    },
    /// The request is one too many.
    Refused {
        /// The time after which the next request is allowed.
        retry_after: Duration,
    },
}

/// Decides about a request of a client whose bucket is full at `full_at`, and returns the time at which
/// it is full afterwards.
fn decide(rate: Rate, full_at: Option<Instant>, now: Instant) -> (Standing, Option<Instant>) {
    let each = rate.period() / rate.count();
    let missing = full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
    let after = missing + each;
    if after > each * rate.count() {
        let retry_after = after - each * rate.count();
        return (Standing::Refused { retry_after }, full_at);
    }
    let left = (each * rate.count() - after).as_nanos() / each.as_nanos().max(1);
    let remaining = u32::try_from(left).unwrap_or(u32::MAX);
    (Standing::Allowed { remaining, full_in: after }, Some(now + after))
}

impl RateLimit {
    pub(crate) fn new(rate: Rate) -> Self {
        let (count, period) = (rate.count(), rate.period().as_secs());
        let policy = HeaderValue::try_from(format!("\"default\";q={count};w={period}"))
            .expect("numbers are a header");
        Self { rate, policy, full_at: Mutex::new(HashMap::new()) }
    }

    /// Counts a request.
    pub(crate) fn take(&self, client: Client, now: Instant) -> Standing {
        let mut clients = self.full_at.lock();
        let (standing, full_at) = decide(self.rate, clients.get(&client).copied(), now);
        if let Some(full_at) = full_at {
            if clients.len() >= MOST_CLIENTS && !clients.contains_key(&client) {
                forget(&mut clients, now);
            }
            clients.insert(client, full_at);
        }
        standing
    }

    /// # Errors
    /// Returns 429 if the request is one too many.
    pub(crate) fn check(&self, standing: Standing) -> Result<(), HttpError> {
        match standing {
            Standing::Allowed { .. } => Ok(()),
            Standing::Refused { retry_after } => {
                let message = format!("more than {} requests: try again later", self.rate);
                Err(HttpError::too_many_requests(message, retry_after))
            }
        }
    }

    /// Adds the headers that tell a client where it stands (the IETF's draft on RateLimit headers).
    pub(crate) fn describe(&self, standing: Standing, headers: &mut HeaderMap) {
        let (remaining, until) = match standing {
            Standing::Allowed { remaining, full_in } => (remaining, full_in),
            Standing::Refused { retry_after } => (0, retry_after),
        };
        let mut text = String::with_capacity(32);
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\"default\";r={remaining};t={}", seconds(until));
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(RATE_LIMIT, value);
            headers.insert(RATE_LIMIT_POLICY, self.policy.clone());
        }
    }
}

/// Forgets the clients whose buckets are full, or else the half whose buckets are the fullest.
fn forget(clients: &mut HashMap<Client, Instant>, now: Instant) {
    clients.retain(|_, full_at| *full_at > now);
    if clients.len() > MOST_CLIENTS / 2 {
        let mut all: Vec<Instant> = clients.values().copied().collect();
        let middle = all.len() / 2;
        let (_, median, _) = all.select_nth_unstable(middle);
        let median = *median;
        clients.retain(|_, full_at| *full_at > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(limit: &RateLimit, client: u32, at: Instant) -> Standing {
        limit.take(Client::of(IpAddr::from(client.to_be_bytes())), at)
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_refills_evenly() {
        let limit = RateLimit::new(Rate::per_minute(3));
        let now = Instant::now();
        for remaining in [2, 1, 0] {
            let Standing::Allowed { remaining: left, .. } = standing(&limit, 1, now) else {
                panic!("allowed")
            };
            assert_eq!(left, remaining);
        }
        let refused = Standing::Refused { retry_after: Duration::from_secs(20) };
        assert_eq!(standing(&limit, 1, now), refused);
        assert!(matches!(standing(&limit, 2, now), Standing::Allowed { .. }), "another client");
        let later = now + Duration::from_secs(19);
        let refused = Standing::Refused { retry_after: Duration::from_secs(1) };
        assert_eq!(standing(&limit, 1, later), refused, "refused requests cost nothing");
        let later = now + Duration::from_secs(20);
        let allowed = Standing::Allowed { remaining: 0, full_in: Duration::from_secs(60) };
        assert_eq!(standing(&limit, 1, later), allowed);
        let much_later = now + Duration::from_secs(3600);
        let allowed = Standing::Allowed { remaining: 2, full_in: Duration::from_secs(20) };
        assert_eq!(standing(&limit, 1, much_later), allowed);
    }

    #[tokio::test(start_paused = true)]
    async fn any_rate_allows_exactly_its_count_at_once() {
        let now = Instant::now();
        for count in [1, 2, 3, 7, 1000, 999_999, u32::MAX] {
            for rate in [Rate::per_second(count), Rate::per_hour(count)] {
                let (mut full_at, mut allowed) = (None, 0);
                let most = count.min(2000);
                while allowed < most {
                    let (standing, next) = decide(rate, full_at, now);
                    let Standing::Allowed { .. } = standing else { break };
                    (allowed, full_at) = (allowed + 1, next);
                }
                assert_eq!(allowed, most, "{rate}");
                if count == most {
                    let (standing, _) = decide(rate, full_at, now);
                    assert!(matches!(standing, Standing::Refused { .. }), "{rate}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn few_clients_are_remembered_and_the_busiest_longest() {
        let limit = RateLimit::new(Rate::per_hour(2));
        let now = Instant::now();
        standing(&limit, u32::MAX, now);
        standing(&limit, u32::MAX, now);
        for client in 0..300_000 {
            standing(&limit, client, now);
            assert!(limit.full_at.lock().len() <= MOST_CLIENTS);
        }
        assert!(matches!(standing(&limit, u32::MAX, now), Standing::Refused { .. }));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
    }
}
