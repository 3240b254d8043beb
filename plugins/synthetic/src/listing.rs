//! The discovery that lists a given number of resources.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::Resource;
use nephoscope_plugin::{
    Discovery, DiscoveryPlugin, DiscoveryRun, Failure, PartitionMode, Registration, Scope, register,
};

use crate::draw::Draw;
use crate::options::Options;

/// The number of resources if the URL contains none.
const DEFAULT: u32 = 10;

/// The maximum number of resources.
const MAX_RESOURCES: u32 = 100_000_000;

/// The number of resources per page.
const PAGE: u32 = 500;

register!(Registration::Discovery(
    DiscoveryPlugin::new("synthetic", "synthetic", |context| {
        let options = Options::read(context)?;
        Ok(Arc::new(Synthetic {
            churn: options.churn,
            draw: Draw::new(options.seed, "churn"),
        }))
    })
    .namespaces(&["synthetic"])
    .description(
        "Lists as many resources as the URL requests (`synthetic://1000`; default: 10), with stable ids"
    )
    .scope(Scope::Shared)
    .partition(PartitionMode::Resource)
));

struct Synthetic {
    churn: f64,
    draw: Draw,
}

#[async_trait]
impl Discovery for Synthetic {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        let count = count(run.parameter())?;
        let cycle = run.cycle().number;
        let mut first = 0;
        while first < count {
            let end = count.min(first.saturating_add(PAGE));
            let page = (first..end).map(|index| self.resource(index, cycle)).collect();
            run.send(page).await?;
            first = end;
        }
        Ok(())
    }
}

impl Synthetic {
    fn resource(&self, index: u32, cycle: i64) -> Resource {
        if self.churn <= 0.0 {
            return Resource::new(Id::new(index).shared());
        }
        // Each resource has its own phase, so that in every cycle the fraction `churn` of all resources is replaced.
        let phase = self.draw.at(i64::from(index)).share();
        let replacements = (cycle as f64 * self.churn + phase).floor();
        Resource::new(Id::new(index).replaced(replacements.max(0.0) as u64).shared())
    }
}

fn count(parameter: Option<&str>) -> Result<u32, Failure> {
    let Some(text) = parameter.filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT);
    };
    let count = text.parse().ok().filter(|count| *count <= MAX_RESOURCES);
    count.ok_or_else(|| {
        Failure::permanent(format!(
            "`synthetic://{text}`: expected a number of resources up to {MAX_RESOURCES}"
        ))
    })
}

/// An id that is built without `format!`, because a million of them are listed per cycle.
struct Id {
    bytes: [u8; Self::SPACE],
    start: usize,
}

impl Id {
    /// `synthetic-`, ten digits, `-`, twenty digits.
    const SPACE: usize = 41;

    /// `synthetic-000042`, with more digits if needed.
    fn new(index: u32) -> Self {
        let mut id = Self {
            bytes: [0; Self::SPACE],
            start: Self::SPACE,
        };
        id.prepend_number(u64::from(index), 6);
        id.prepend(b"synthetic-");
        id
    }

    /// `synthetic-000042-7`.
    fn replaced(self, times: u64) -> Self {
        let mut id = Self {
            bytes: [0; Self::SPACE],
            start: Self::SPACE,
        };
        id.prepend_number(times, 1);
        id.prepend(b"-");
        id.prepend(self.bytes.get(self.start..).unwrap_or_default());
        id
    }

    fn prepend_number(&mut self, mut number: u64, at_least: usize) {
        let mut digits = 0;
        while number > 0 || digits < at_least {
            // The remainder is a digit.
            self.prepend(&[b'0' + (number % 10) as u8]);
            number /= 10;
            digits += 1;
        }
    }

    fn prepend(&mut self, text: &[u8]) {
        let start = self.start.saturating_sub(text.len());
        if let Some(place) = self.bytes.get_mut(start..self.start)
            && place.len() == text.len()
        {
            place.copy_from_slice(text);
        }
        self.start = start;
    }

    fn shared(&self) -> Arc<str> {
        let bytes = self.bytes.get(self.start..).unwrap_or_default();
        // All bytes are ASCII.
        Arc::from(std::str::from_utf8(bytes).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_plugin::testing::Kit;
    use serde_json::json;
    use std::collections::HashSet;

    async fn keys(kit: &Kit, url: &str, cycle: i64) -> Vec<String> {
        let listing = kit.discovery(url).cycle(cycle).list().await.unwrap();
        listing
            .iter()
            .map(|resource| resource.key().to_string())
            .collect()
    }

    #[tokio::test]
    async fn ids_start_at_zero_and_are_stable() {
        let kit = Kit::new("synthetic");
        assert_eq!(
            keys(&kit, "synthetic://3", 1).await,
            ["synthetic-000000", "synthetic-000001", "synthetic-000002"]
        );
        assert_eq!(keys(&kit, "synthetic", 1).await.len(), 10);
        assert_eq!(
            keys(&kit, "synthetic://1200", 9).await.last().unwrap(),
            "synthetic-001199"
        );
        assert!(keys(&kit, "synthetic://0", 1).await.is_empty());
        assert_eq!(&*Id::new(12_345_678).shared(), "synthetic-12345678");
        assert_eq!(
            &*Id::new(u32::MAX).replaced(u64::MAX).shared(),
            "synthetic-4294967295-18446744073709551615"
        );
    }

    #[tokio::test]
    async fn churn_replaces_its_fraction_of_the_resources_in_each_cycle() {
        let options = json!({ "churn": 0.1, "seed": 3 });
        let kit = Kit::new("synthetic").options(options.clone());
        let before: HashSet<_> = keys(&kit, "synthetic://1000", 5_891_077)
            .await
            .into_iter()
            .collect();
        let after: HashSet<_> = keys(&kit, "synthetic://1000", 5_891_078)
            .await
            .into_iter()
            .collect();
        let replaced = before.difference(&after).count();
        assert!((70..130).contains(&replaced), "{replaced}");
        assert_eq!((before.len(), after.len()), (1000, 1000));
        let another = Kit::new("synthetic").options(options);
        let same: HashSet<_> = keys(&another, "synthetic://1000", 5_891_078)
            .await
            .into_iter()
            .collect();
        assert_eq!(same, after, "every agent sees the same");
    }

    #[tokio::test]
    async fn an_invalid_number_fails_the_discovery() {
        let failure = Kit::new("synthetic")
            .discovery("synthetic://many")
            .list()
            .await
            .unwrap_err();
        assert_eq!(
            failure.chain(),
            "`synthetic://many`: expected a number of resources up to 100000000"
        );
    }
}
