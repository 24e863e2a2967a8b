//! The arguments of a call that has a slot and has not begun, handed back when its replica
//! ends, so that the call can go to another.
//!
//! Who keeps a call waiting inside its replica, as a batch does, [`offer`]s its arguments
//! when it is dropped; who drops it because the replica ended [`collect`]s them.

use std::any::Any;
use std::cell::RefCell;

use super::target::AnyValue;

enum Back {
    /// Nobody asks, as for most calls that are dropped.
    Unasked,
    Asked,
    Here(AnyValue),
}

thread_local! {
    static BACK: RefCell<Back> = const { RefCell::new(Back::Unasked) };
}

/// Runs `drop_call`, and gives the arguments of the call if it had not begun.
pub(super) fn collect<A: Any>(drop_call: impl FnOnce()) -> Option<A> {
    struct Ask;
    impl Drop for Ask {
        fn drop(&mut self) {
            BACK.set(Back::Unasked);
        }
    }
    BACK.set(Back::Asked);
    let _ask = Ask;
    drop_call();
    let Back::Here(args) = BACK.replace(Back::Asked) else { return None };
    match args.downcast::<A>() {
        Ok(args) => Some(*args),
        // A call by name has them without their types.
        Err(args) => (Box::new(args) as Box<dyn Any>).downcast::<A>().ok().map(|args| *args),
    }
}

/// These are the arguments of a call that is dropped and had not begun.
pub(super) fn offer<A: Any + Send>(args: A) {
    let asked = BACK.with_borrow(|back| matches!(back, Back::Asked));
    if asked {
        BACK.set(Back::Here(Box::new(args)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back_to_who_asks() {
        offer(1);
        assert_eq!(collect::<i32>(|| {}), None, "nobody had asked");
        assert_eq!(collect::<i32>(|| offer(2)), Some(2));
        let untyped = collect::<AnyValue>(|| offer(3)).unwrap();
        assert_eq!(*untyped.downcast::<i32>().unwrap(), 3);
        assert_eq!(collect::<i32>(|| {}), None);
    }
}
