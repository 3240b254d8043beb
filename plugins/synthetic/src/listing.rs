//! The discovery that lists as many resources as asked for.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::Resource;
use nephoscope_plugin::{
    Discovery, DiscoveryPlugin, DiscoveryRun, Failure, PartitionMode, Registration, Scope, register,
};

use crate::draw::Draw;
use crate::options::Options;

/// How many resources are listed without a number in the URL.
const DEFAULT: u32 = 10;

/// The most resources that can be asked for.
const MOST: u32 = 100_000_000;

/// How many resources stand on a page.
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
        "As many resources as the URL says (`synthetic://1000`; 10 without a number), with ids that stay"
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
        // Each resource has a phase of its own, so that in every cycle this part of all goes over into
        // its next replacement.
        let phase = self.draw.at(i64::from(index)).share();
        let replacements = (cycle as f64 * self.churn + phase).floor();
        Resource::new(Id::new(index).replaced(replacements.max(0.0) as u64).shared())
    }
}

fn count(parameter: Option<&str>) -> Result<u32, Failure> {
    let Some(text) = parameter.filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT);
    };
    let count = text.parse().ok().filter(|count| *count <= MOST);
    count.ok_or_else(|| {
        Failure::permanent(format!(
            "`synthetic://{text}` does not say how many resources: a number up to {MOST} is expected"
        ))
    })
}

/// An id that is written without the machinery of formatting: a million of them are listed in a cycle.
struct Id {
    bytes: [u8; Self::SPACE],
    start: usize,
}

impl Id {
    /// `synthetic-`, ten digits, `-`, twenty digits.
    const SPACE: usize = 41;

    /// `synthetic-000042`, with more digits where six are too few.
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
        // Only ASCII was put in.
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
    async fn ids_begin_at_zero_and_stay() {
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
    async fn churn_replaces_its_part_of_the_resources_in_each_cycle() {
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
    async fn a_number_that_is_none_fails_the_listing() {
        let failure = Kit::new("synthetic")
            .discovery("synthetic://many")
            .list()
            .await
            .unwrap_err();
        assert_eq!(
            failure.chain(),
            "`synthetic://many` does not say how many resources: a number up to 100000000 is expected"
        );
    }
}
