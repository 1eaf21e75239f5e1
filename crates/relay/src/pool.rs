//! A bounded stock of things that are dear to make.

use std::sync::{Mutex, PoisonError};

/// Holds up to `limit` spare things. The newest comes out first: it is the likeliest to be in a cache.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    spare: Mutex<Vec<T>>,
    limit: usize,
}

impl<T> Pool<T> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { spare: Mutex::new(Vec::new()), limit }
    }

    /// A spare one, if there is.
    pub(crate) fn take(&self) -> Option<T> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Gives one back. Above the limit it is dropped.
    pub(crate) fn put(&self, thing: T) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.limit {
            spare.push(thing);
        }
    }
}
