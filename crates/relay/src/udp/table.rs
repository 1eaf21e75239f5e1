//! A table whose entries end when they are idle.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::activity::Activity;

/// Values by key, and by the time of their last activity.
///
/// Activity touches nothing here. The order of ages is corrected when it is asked for, and so is exact then: an entry
/// filed under an older time than its true one is filed anew until the oldest is found in its right place. Each such step
/// has a datagram to its account, and costs the logarithm of the number of entries.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    entries: HashMap<K, Entry<V>>,
    ages: BTreeSet<(Duration, K)>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    activity: Arc<Activity>,
    /// The time that `ages` has this entry under, never later than its last activity.
    filed: Duration,
}

impl<K: Copy + Ord + Hash, V> Table<K, V> {
    pub(super) fn new() -> Self {
        Self { entries: HashMap::new(), ages: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.entries.get(&key).map(|entry| &entry.value)
    }

    /// Inserts a value, in the place of one that was there.
    pub(super) fn insert(&mut self, key: K, value: V, activity: Arc<Activity>) {
        self.remove(key);
        let filed = activity.last();
        self.ages.insert((filed, key));
        self.entries.insert(key, Entry { value, activity, filed });
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let entry = self.entries.remove(&key)?;
        self.ages.remove(&(entry.filed, key));
        Some(entry.value)
    }

    /// The entry that has been idle for the longest, and the time of its last activity.
    pub(super) fn oldest(&mut self) -> Option<(K, Duration)> {
        loop {
            let &(filed, key) = self.ages.first()?;
            let entry = self.entries.get_mut(&key)?;
            let last = entry.activity.last();
            if last <= filed {
                return Some((key, filed));
            }
            entry.filed = last;
            self.ages.pop_first();
            self.ages.insert((last, key));
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|entry| &entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn table(ages: &[(char, u64)]) -> (Table<char, ()>, Vec<Arc<Activity>>) {
        let mut table = Table::new();
        let activities = ages
            .iter()
            .map(|&(key, age)| {
                let activity = Arc::new(Activity::new(seconds(age)));
                table.insert(key, (), activity.clone());
                activity
            })
            .collect();
        (table, activities)
    }

    #[test]
    fn the_oldest_is_the_one_that_has_been_idle_for_the_longest() {
        let (mut table, activities) = table(&[('a', 1), ('b', 2), ('c', 3)]);
        assert_eq!(table.oldest(), Some(('a', seconds(1))));
        activities[0].touch(seconds(5));
        activities[1].touch(seconds(4));
        assert_eq!(table.oldest(), Some(('c', seconds(3))));
        table.remove('c');
        assert_eq!(table.oldest(), Some(('b', seconds(4))));
    }

    #[test]
    fn a_replaced_entry_leaves_no_trace() {
        let (mut table, _) = table(&[('a', 1)]);
        table.insert('a', (), Arc::new(Activity::new(seconds(9))));
        assert_eq!((table.len(), table.ages.len()), (1, 1));
        assert_eq!(table.oldest(), Some(('a', seconds(9))));
        assert!(table.remove('a').is_some());
        assert!(table.is_empty());
        assert_eq!(table.oldest(), None);
    }
}
