//! [`ContentOf`]: finds the content of a constructor's argument, by its type.

use std::any::type_name;
use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16,
    AtomicU32, AtomicU64, AtomicUsize,
};
use std::sync::{Arc, LazyLock, OnceLock, Weak};

use serde::Serialize;

use super::digest::digest_of;
use super::{Content, ContentHash, Init, Wiring};

/// Finds the content of an argument of type `T`.
///
/// Called as `(&&&&ContentOf::new(&init)).content()`; method resolution takes the first trait that
/// fits: [`ContentByIdentity`], [`ContentBySerde`], [`ContentByPointer`], [`ContentOtherwise`].
pub struct ContentOf<'a, T>(&'a Init<T>);

impl<'a, T: 'static> ContentOf<'a, T> {
    /// Creates the receiver of the call to `content`.
    #[must_use]
    pub fn new(init: &'a Init<T>) -> Self {
        Self(init)
    }

    fn make(&self) -> T {
        self.0.make(&Wiring::default())
    }

    fn opaque(shared: Vec<usize>) -> Content {
        Content::Opaque { type_name: type_name::<T>(), shared }
    }
}

impl<T> fmt::Debug for ContentOf<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentOf")
    }
}

/// A type whose values can change while they are shared. Serde can serialize these values, but the
/// serialized form does not identify them.
pub trait InteriorMutability {}

macro_rules! interior_mutability {
    ($($atomic:ty),*) => { $(impl InteriorMutability for $atomic {})* };
}

interior_mutability!(
    AtomicBool,
    AtomicI8,
    AtomicI16,
    AtomicI32,
    AtomicI64,
    AtomicIsize,
    AtomicU8,
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicUsize
);

#[expect(clippy::disallowed_types, reason = "users may share them")]
mod locks {
    use super::InteriorMutability;

    impl<T: ?Sized> InteriorMutability for std::sync::Mutex<T> {}
    impl<T: ?Sized> InteriorMutability for std::sync::RwLock<T> {}
}

impl<T: ?Sized> InteriorMutability for parking_lot::Mutex<T> {}
impl<T: ?Sized> InteriorMutability for parking_lot::RwLock<T> {}
impl<T: ?Sized> InteriorMutability for tokio::sync::Mutex<T> {}
impl<T: ?Sized> InteriorMutability for tokio::sync::RwLock<T> {}
impl<T> InteriorMutability for tokio::sync::OnceCell<T> {}
impl InteriorMutability for tokio::sync::Notify {}
impl InteriorMutability for tokio::sync::Semaphore {}
impl<T> InteriorMutability for Cell<T> {}
impl<T: ?Sized> InteriorMutability for RefCell<T> {}
impl<T: ?Sized> InteriorMutability for UnsafeCell<T> {}
impl<T> InteriorMutability for OnceCell<T> {}
impl<T> InteriorMutability for OnceLock<T> {}
impl<T, F> InteriorMutability for LazyLock<T, F> {}
impl<T: InteriorMutability> InteriorMutability for [T] {}
impl<T: InteriorMutability, const N: usize> InteriorMutability for [T; N] {}
impl<T: InteriorMutability> InteriorMutability for Vec<T> {}
impl<T: InteriorMutability> InteriorMutability for VecDeque<T> {}
impl<T: InteriorMutability> InteriorMutability for Option<T> {}
impl<K, T: InteriorMutability, S> InteriorMutability for HashMap<K, T, S> {}
impl<K, T: InteriorMutability> InteriorMutability for BTreeMap<K, T> {}
impl<T: InteriorMutability + ?Sized> InteriorMutability for Box<T> {}
impl<T: InteriorMutability + ?Sized> InteriorMutability for Arc<T> {}

/// A value that shares mutable state.
pub trait SharesState {
    /// Returns the addresses of the shared state, and the digests of a map's keys.
    fn shared(&self) -> Vec<usize>;
}

/// A value that points to something which serde cannot serialize, such as a shared client.
pub trait Points {
    /// Returns the addresses of what the value points to, and the digests of a map's keys.
    fn pointers(&self) -> Vec<usize>;
}

impl<T: InteriorMutability + ?Sized> SharesState for Arc<T> {
    fn shared(&self) -> Vec<usize> {
        vec![address(Arc::as_ptr(self))]
    }
}

impl<T: InteriorMutability> SharesState for Weak<T> {
    fn shared(&self) -> Vec<usize> {
        vec![address(Weak::as_ptr(self))]
    }
}

impl<T: InteriorMutability + ?Sized> SharesState for &'static T {
    fn shared(&self) -> Vec<usize> {
        vec![address(*self)]
    }
}

impl<T: ?Sized> Points for Arc<T> {
    fn pointers(&self) -> Vec<usize> {
        vec![address(Arc::as_ptr(self))]
    }
}

impl<T: ?Sized> Points for &'static T {
    fn pointers(&self) -> Vec<usize> {
        vec![address(*self)]
    }
}

/// Implements a trait for the containers of what implements it.
macro_rules! containers {
    ($($name:ident $addresses:ident),*) => {$(
        impl<T: $name> $name for Vec<T> {
            fn $addresses(&self) -> Vec<usize> {
                self.iter().flat_map($name::$addresses).collect()
            }
        }

        impl<T: $name> $name for VecDeque<T> {
            fn $addresses(&self) -> Vec<usize> {
                self.iter().flat_map($name::$addresses).collect()
            }
        }

        impl<T: $name, const N: usize> $name for [T; N] {
            fn $addresses(&self) -> Vec<usize> {
                self.iter().flat_map($name::$addresses).collect()
            }
        }

        impl<T: $name> $name for Option<T> {
            fn $addresses(&self) -> Vec<usize> {
                // Told apart from an empty list, of which nothing is known.
                self.as_ref().map_or_else(|| vec![0], $name::$addresses)
            }
        }

        impl<T: $name> $name for Box<T> {
            fn $addresses(&self) -> Vec<usize> {
                (**self).$addresses()
            }
        }

        impl<A: $name, B: $name> $name for (A, B) {
            fn $addresses(&self) -> Vec<usize> {
                [self.0.$addresses(), self.1.$addresses()].concat()
            }
        }

        impl<K: Hash, T: $name, S> $name for HashMap<K, T, S> {
            fn $addresses(&self) -> Vec<usize> {
                by_key(self.iter().map(|(key, value)| (key, value.$addresses())))
            }
        }

        impl<K: Hash, T: $name> $name for BTreeMap<K, T> {
            fn $addresses(&self) -> Vec<usize> {
                by_key(self.iter().map(|(key, value)| (key, value.$addresses())))
            }
        }
    )*};
}

containers!(SharesState shared, Points pointers);

/// Returns the addresses in the entries of a map in an order that does not depend on the map's, each
/// behind the digest of its key.
fn by_key<'a, K: Hash + 'a>(entries: impl Iterator<Item = (&'a K, Vec<usize>)>) -> Vec<usize> {
    let mut entries: Vec<(u64, Vec<usize>)> =
        entries.map(|(key, addresses)| (digest_of(key), addresses)).collect();
    entries.sort_unstable();
    #[expect(clippy::cast_possible_truncation, reason = "a part of a digest tells keys apart too")]
    let key = |digest: u64| digest as usize;
    entries
        .into_iter()
        .flat_map(|(digest, rest)| std::iter::once(key(digest)).chain(rest))
        .collect()
}

fn address<T: ?Sized>(shared: *const T) -> usize {
    shared.cast::<()>().addr()
}

/// The first choice: the value shares mutable state and is compared by identity.
pub trait ContentByIdentity {
    /// Returns the content of the argument.
    fn content(&self) -> Content;
}

impl<T: SharesState + 'static> ContentByIdentity for &&&ContentOf<'_, T> {
    fn content(&self) -> Content {
        ContentOf::<T>::opaque(self.make().shared())
    }
}

/// The second choice: serde can serialize the value.
pub trait ContentBySerde {
    /// Returns the content of the argument.
    fn content(&self) -> Content;
}

impl<T: Serialize + 'static> ContentBySerde for &&ContentOf<'_, T> {
    fn content(&self) -> Content {
        if let Some(handles) = self.0.handles() {
            return handles;
        }
        match serde_json::to_value(self.make()) {
            Ok(value) => Content::Value(ContentHash::of(&value)),
            Err(_) => ContentOf::<T>::opaque(Vec::new()),
        }
    }
}

/// The third choice: the value points to something, such as a shared client, and is compared by
/// identity.
pub trait ContentByPointer {
    /// Returns the content of the argument.
    fn content(&self) -> Content;
}

impl<T: Points + 'static> ContentByPointer for &ContentOf<'_, T> {
    fn content(&self) -> Content {
        self.0.handles().unwrap_or_else(|| ContentOf::<T>::opaque(self.make().pointers()))
    }
}

/// The last choice: handles, or a value of which only the type is known.
pub trait ContentOtherwise {
    /// Returns the content of the argument.
    fn content(&self) -> Content;
}

impl<T: 'static> ContentOtherwise for ContentOf<'_, T> {
    fn content(&self) -> Content {
        self.0.handles().unwrap_or_else(|| Self::opaque(Vec::new()))
    }
}

#[cfg(test)]
#[expect(clippy::needless_borrow, reason = "written as `bind` writes it, whatever fits")]
mod tests {
    use super::*;
    use crate::deployment::IntoInit;

    fn of<T: Serialize + Clone + Send + Sync + 'static>(value: T) -> Content {
        let init: Init<T> = value.into_init();
        (&&&&ContentOf::new(&init)).content()
    }

    #[test]
    fn equal_values_have_equal_content_in_whatever_order() {
        let map = |names: &[&str]| -> HashMap<String, usize> {
            names.iter().map(|name| ((*name).to_owned(), name.len())).collect()
        };
        assert_eq!(of(map(&["a", "bb", "ccc"])), of(map(&["ccc", "a", "bb"])));
        assert_ne!(of(map(&["a"])), of(map(&["b"])));
        assert_ne!(of(1), of(2));
        assert_ne!(of("1".to_owned()), of(1));
    }

    #[test]
    fn a_value_that_serde_cannot_write_has_the_content_of_its_type() {
        #[derive(Clone)]
        struct Secret;
        let init: Init<Secret> = Secret.into_init();
        let Content::Opaque { type_name, shared } = (&&&&ContentOf::new(&init)).content() else {
            panic!("nothing can write it")
        };
        assert!(type_name.ends_with("Secret") && shared.is_empty());
    }

    #[test]
    fn what_is_shared_counts_by_identity() {
        let of = |counter: &Arc<AtomicUsize>| {
            let init: Init<Arc<AtomicUsize>> = Arc::clone(counter).into_init();
            (&&&&ContentOf::new(&init)).content()
        };
        let (one, other) = (Arc::default(), Arc::default());
        let before = of(&one);
        one.store(3, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(of(&one), before, "the same counter, whatever it counts");
        assert_ne!(of(&other), before);

        struct Client;
        let of = |client: &Arc<Client>| {
            let init: Init<Arc<Client>> = Arc::clone(client).into_init();
            (&&&&ContentOf::new(&init)).content()
        };
        let (one, other) = (Arc::new(Client), Arc::new(Client));
        assert_eq!(of(&one), of(&one));
        assert_ne!(of(&one), of(&other));
    }

    /// Checks that `made` counts by what it is made of: twice of one is the same, of another is not,
    /// and a change of the shared value changes nothing.
    macro_rules! counts_by_identity {
        ($($type:ty: $made:expr;)*) => {$({
            let of = |counter: &Arc<AtomicUsize>| {
                let make: fn(Arc<AtomicUsize>) -> $type = $made;
                let init: Init<$type> = make(Arc::clone(counter)).into_init();
                (&&&&ContentOf::new(&init)).content()
            };
            let (one, other) = (Arc::default(), Arc::default());
            let before = of(&one);
            assert!(
                matches!(&before, Content::Opaque { shared, .. } if !shared.is_empty()),
                "{}", stringify!($type)
            );
            one.store(3, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(of(&one), before, "{}", stringify!($type));
            assert_ne!(of(&other), before, "{}", stringify!($type));
        })*};
    }

    type Counter = Arc<AtomicUsize>;

    /// Keeps its argument alive, so that the next one has another address.
    fn leaked<T>(value: T) -> &'static T {
        Box::leak(Box::new(value))
    }

    /// Serde can serialize most of these if its feature `rc` is enabled.
    #[test]
    fn shared_state_counts_by_identity_in_every_container() {
        counts_by_identity! {
            Counter: |it| it;
            Weak<AtomicUsize>: |it| Arc::downgrade(leaked(it));
            Vec<Counter>: |it| vec![it];
            Option<Counter>: Some;
            Box<Counter>: Box::new;
            [Counter; 2]: |it| [Arc::clone(&it), it];
            (Counter, Counter): |it| (Arc::clone(&it), it);
            VecDeque<Counter>: |it| VecDeque::from([it]);
            HashMap<String, Counter>: |it| HashMap::from([("a".to_owned(), it)]);
            BTreeMap<u8, Vec<Option<Counter>>>: |it| BTreeMap::from([(1, vec![None, Some(it)])]);
            HashMap<u8, (Counter, Option<Counter>)>: |it| HashMap::from([(1, (it, None))]);
        }
    }

    #[test]
    #[expect(clippy::disallowed_types, reason = "users may share them")]
    fn every_type_that_changes_while_it_is_shared_counts_by_identity() {
        macro_rules! by_identity {
            ($($type:ty),* $(,)?) => {$({
                let of = |value: &Arc<$type>| {
                    let init: Init<Arc<$type>> = Arc::clone(value).into_init();
                    (&&&&ContentOf::new(&init)).content()
                };
                let (one, other) = (Arc::<$type>::default(), Arc::<$type>::default());
                assert_eq!(of(&one), of(&one), "{}", stringify!($type));
                assert_ne!(of(&one), of(&other), "{}", stringify!($type));
            })*};
        }
        by_identity!(
            AtomicBool,
            std::sync::Mutex<u8>,
            std::sync::RwLock<u8>,
            parking_lot::Mutex<Cell<u8>>,
            parking_lot::RwLock<u8>,
            tokio::sync::Mutex<RefCell<u8>>,
            tokio::sync::RwLock<u8>,
            tokio::sync::Notify,
            OnceLock<u8>,
            Option<AtomicUsize>,
            Vec<AtomicUsize>,
            [AtomicUsize; 2],
            HashMap<u8, AtomicUsize>,
            BTreeMap<u8, std::sync::Mutex<u8>>,
            Arc<Box<AtomicUsize>>,
        );
    }

    #[test]
    fn what_serde_cannot_write_counts_by_identity_in_every_container() {
        struct Client;
        macro_rules! by_identity {
            ($($type:ty: $made:expr;)*) => {$({
                let of = |client: &Arc<Client>| {
                    let make: fn(Arc<Client>) -> $type = $made;
                    let init: Init<$type> = make(Arc::clone(client)).into_init();
                    (&&&&ContentOf::new(&init)).content()
                };
                let (one, other) = (Arc::new(Client), Arc::new(Client));
                assert_eq!(of(&one), of(&one), "{}", stringify!($type));
                assert_ne!(of(&one), of(&other), "{}", stringify!($type));
            })*};
        }
        by_identity! {
            Option<Arc<Client>>: Some;
            Vec<Arc<Client>>: |it| vec![it];
            HashMap<String, Arc<Client>>: |it| HashMap::from([("a".to_owned(), it)]);
        }
    }

    #[test]
    fn which_key_has_which_state_counts() {
        let (one, other) = (Counter::default(), Counter::default());
        let of = |a: &Counter, b: &Counter| {
            let map =
                HashMap::from([("a".to_owned(), Arc::clone(a)), ("b".to_owned(), Arc::clone(b))]);
            let init: Init<HashMap<String, Counter>> = map.into_init();
            (&&&&ContentOf::new(&init)).content()
        };
        assert_eq!(of(&one, &other), of(&one, &other));
        assert_ne!(of(&one, &other), of(&other, &one));
    }
}
