//! The cache that the plugins of one cycle share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// Values that one pollster or discovery of a cycle created and others use, by name and type. They live as long as the cycle.
#[derive(Default, Clone)]
pub struct CycleCache(Arc<Mutex<Cells>>);

/// A cell (`OnceCell<Arc<T>>`) for each name and type `T`.
type Cells = HashMap<(String, TypeId), Arc<dyn Any + Send + Sync>>;

impl CycleCache {
    /// Returns the cycle's `T` of this name. The first caller creates it, and the others wait for it.
    ///
    /// To cache a failure too, let `T` be a `Result`. If the creating caller is cancelled, the next waiting caller creates
    /// the value.
    pub async fn get_or_init<T, F>(&self, name: &str, make: impl FnOnce() -> F) -> Arc<T>
    where
        T: Any + Send + Sync,
        F: Future<Output = T>,
    {
        let cell = {
            let mut cells = self.0.lock();
            cells
                .entry((name.to_owned(), TypeId::of::<T>()))
                .or_insert_with(|| Arc::new(OnceCell::<Arc<T>>::new()))
                .clone()
        };
        match cell.downcast::<OnceCell<Arc<T>>>() {
            Ok(cell) => cell
                .get_or_init(|| async { Arc::new(make().await) })
                .await
                .clone(),
            Err(_) => unreachable!("the cell is stored under the type of its value"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_value_is_created_once_for_all_callers() {
        let cache = CycleCache::default();
        let made = AtomicUsize::new(0);
        let make = || async {
            made.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err::<u32, String>("rejected".into())
        };
        let (first, second) =
            tokio::join!(cache.get_or_init("stats", make), cache.get_or_init("stats", make));
        assert_eq!(
            (made.load(Ordering::SeqCst), &*first),
            (1, &Err("rejected".into()))
        );
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(
            *cache.get_or_init("stats", || async { 7u8 }).await,
            7,
            "another type is another value"
        );
    }
}
