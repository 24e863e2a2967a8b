//! [`ContentOf`]: finds the content of a constructor's argument, by its type.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16,
    AtomicU32, AtomicU64, AtomicUsize,
};

use serde::Serialize;

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
impl<T> InteriorMutability for Cell<T> {}
impl<T: ?Sized> InteriorMutability for RefCell<T> {}
impl<T: InteriorMutability> InteriorMutability for [T] {}
impl<T: InteriorMutability> InteriorMutability for Vec<T> {}
impl<T: InteriorMutability + ?Sized> InteriorMutability for Box<T> {}

/// A value that shares mutable state.
pub trait SharesState {
    /// Returns the addresses of the shared state.
    fn shared(&self) -> Vec<usize>;
}

impl<T: InteriorMutability + ?Sized> SharesState for Arc<T> {
    fn shared(&self) -> Vec<usize> {
        vec![address(self)]
    }
}

impl<T: SharesState> SharesState for Vec<T> {
    fn shared(&self) -> Vec<usize> {
        self.iter().flat_map(SharesState::shared).collect()
    }
}

impl<T: SharesState> SharesState for Option<T> {
    fn shared(&self) -> Vec<usize> {
        self.iter().flat_map(SharesState::shared).collect()
    }
}

fn address<T: ?Sized>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).cast::<()>().addr()
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

/// The third choice: the value is an `Arc`, such as a shared client, and is compared by identity.
pub trait ContentByPointer {
    /// Returns the content of the argument.
    fn content(&self) -> Content;
}

impl<T: ?Sized + 'static> ContentByPointer for &ContentOf<'_, Arc<T>> {
    fn content(&self) -> Content {
        ContentOf::<Arc<T>>::opaque(vec![address(&self.make())])
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
    use std::collections::HashMap;

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

        type Lock = Arc<parking_lot::Mutex<u8>>;
        let of = |all: &[Lock]| {
            let init: Init<Option<Vec<Lock>>> = Some(all.to_vec()).into_init();
            (&&&&ContentOf::new(&init)).content()
        };
        let (one, other) = (Arc::default(), Arc::default());
        assert_eq!(of(&[Arc::clone(&one)]), of(&[Arc::clone(&one)]));
        assert_ne!(of(&[Arc::clone(&one)]), of(&[other]));
    }
}
