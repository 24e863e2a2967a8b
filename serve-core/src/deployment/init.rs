//! [`IntoInit`]: the values that `bind(...)` accepts for a constructor's parameters.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::digest::digest_of;
use super::{AnyBound, Bound, Content, Deployment, HandleOf, Wiring};

/// A recipe that creates one `T` for each replica, and the bound deployments that the `T` refers
/// to.
pub struct Init<T> {
    make: Arc<dyn Fn(&Wiring) -> T + Send + Sync>,
    needs: Vec<AnyBound>,
    /// The content of an argument that is made of handles; `None` for a plain value.
    handles: Option<Content>,
}

impl<T: 'static> Init<T> {
    fn value(make: impl Fn(&Wiring) -> T + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), needs: Vec::new(), handles: None }
    }

    /// Creates handles of `needs`, distinguished by their order and by `keys`.
    fn handles_of(
        needs: Vec<AnyBound>,
        keys: Vec<u64>,
        make: impl Fn(&Wiring) -> T + Send + Sync + 'static,
    ) -> Self {
        let of = needs.iter().map(AnyBound::id).collect();
        Self { make: Arc::new(make), needs, handles: Some(Content::Handles { of, keys }) }
    }

    /// Returns the content of the argument, if the argument is made of handles.
    pub(super) fn handles(&self) -> Option<Content> {
        self.handles.clone()
    }

    /// Creates the value for one replica.
    pub fn make(&self, wiring: &Wiring) -> T {
        (self.make)(wiring)
    }

    /// Returns the bound deployments that the value refers to.
    pub fn needs(&self) -> &[AnyBound] {
        &self.needs
    }
}

impl<T> fmt::Debug for Init<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Init").field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// A value that `bind` accepts for a constructor's parameter of type `T`.
///
/// `bind` accepts a plain `T`, which is cloned for each replica; for a handle `XHandle`, the value
/// that `X::bind(...)` returned; and containers of these. `Marker` is inferred and keeps the cases
/// apart.
#[diagnostic::on_unimplemented(
    message = "expected this to be `{T}`",
    label = "this cannot become `{T}`",
    note = "`bind` takes a value of the constructor's parameter type, or, for a handle `XHandle`, \
            the result of `X::bind(...)`; also in a `Vec`, an `Option` or a `HashMap<String, _>`",
    note = "a constructor takes another deployment `X` as its handle, `XHandle`"
)]
pub trait IntoInit<T, Marker> {
    /// Converts the value into a recipe that creates one `T` for each replica.
    fn into_init(self) -> Init<T>;
}

/// A marker for a plain value, which is cloned for each replica.
#[derive(Debug)]
pub enum ByValue {}

/// A marker for bound deployments, which become handles.
#[derive(Debug)]
pub enum ByBound {}

/// A marker for borrowed text, which becomes a `String`.
#[derive(Debug)]
pub enum ByText {}

impl<T> IntoInit<T, ByValue> for T
where
    ByValue: Copies<T>,
{
    fn into_init(self) -> Init<T> {
        ByValue::init(self)
    }
}

/// Implemented by [`ByValue`] for every value that can be cloned for each replica. (If the trait
/// were implemented by the value's type, the compiler would propose to take a reference.)
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be an argument of `bind`",
    label = "each replica gets a clone of this value",
    note = "derive `Clone` for `{T}`, which must also be `Send`, `Sync` and `'static`; or pass it in an \
            `Arc`; or create it in the constructor, from values that can be cloned"
)]
pub trait Copies<T> {
    /// Converts the value into a recipe that clones it.
    fn init(value: T) -> Init<T>;
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> Copies<T> for ByValue {
    fn init(value: T) -> Init<T> {
        Init::value(move |_| value.clone())
    }
}

impl IntoInit<String, ByText> for &str {
    fn into_init(self) -> Init<String> {
        self.to_owned().into_init()
    }
}

#[diagnostic::do_not_recommend]
impl<H: HandleOf<Deployment = D>, D: Deployment> IntoInit<H, ByBound> for Bound<D> {
    fn into_init(self) -> Init<H> {
        let id = self.id();
        Init::handles_of(vec![self.erase()], Vec::new(), move |wiring| H::connect(wiring.link(id)))
    }
}

#[diagnostic::do_not_recommend]
impl<H: HandleOf> IntoInit<Option<H>, ByBound> for Option<Bound<H::Deployment>> {
    fn into_init(self) -> Init<Option<H>> {
        let id = self.as_ref().map(Bound::id);
        let needs = self.map(Bound::erase).into_iter().collect();
        Init::handles_of(needs, Vec::new(), move |wiring| id.map(|id| H::connect(wiring.link(id))))
    }
}

#[diagnostic::do_not_recommend]
impl<H: HandleOf> IntoInit<Vec<H>, ByBound> for Vec<Bound<H::Deployment>> {
    fn into_init(self) -> Init<Vec<H>> {
        let ids: Vec<_> = self.iter().map(Bound::id).collect();
        let needs = self.into_iter().map(Bound::erase).collect();
        Init::handles_of(needs, Vec::new(), move |wiring| {
            ids.iter().map(|id| H::connect(wiring.link(*id))).collect()
        })
    }
}

#[diagnostic::do_not_recommend]
impl<H: HandleOf, const N: usize> IntoInit<Vec<H>, ByBound> for [Bound<H::Deployment>; N] {
    fn into_init(self) -> Init<Vec<H>> {
        Vec::from(self).into_init()
    }
}

#[diagnostic::do_not_recommend]
impl<K, H> IntoInit<HashMap<K, H>, ByBound> for HashMap<K, Bound<H::Deployment>>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    H: HandleOf,
{
    fn into_init(self) -> Init<HashMap<K, H>> {
        // The entries are sorted, so that their order does not depend on the map's.
        let mut entries: Vec<(u64, K, Bound<H::Deployment>)> =
            self.into_iter().map(|(key, bound)| (digest_of(&key), key, bound)).collect();
        entries.sort_by_key(|(digest, ..)| *digest);
        let keys = entries.iter().map(|(digest, ..)| *digest).collect();
        let ids: Vec<_> = entries.iter().map(|(_, key, bound)| (key.clone(), bound.id())).collect();
        let needs = entries.into_iter().map(|(_, _, bound)| bound.erase()).collect();
        Init::handles_of(needs, keys, move |wiring| {
            ids.iter().map(|(key, id)| (key.clone(), H::connect(wiring.link(*id)))).collect()
        })
    }
}
