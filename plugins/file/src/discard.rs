//! The publisher that takes everything and keeps nothing.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{Batch, PayloadKind};
use nephoscope_plugin::{
    Accepted, OptionsSpec, PublishError, Publisher, PublisherPlugin, Registration, register,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::url;

register!(Registration::Publisher(
    PublisherPlugin::new(
        &["discard"],
        "Takes every sample and keeps none, to measure what comes before",
        |context| {
            let DiscardOptions {} = context.options()?;
            url::nothing_behind(context.url())?;
            Ok(Arc::new(Discard))
        }
    )
    .options(OptionsSpec::of::<DiscardOptions>())
));

/// Options of `discard:`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiscardOptions {}

struct Discard;

#[async_trait]
impl Publisher for Discard {
    async fn publish(&self, _batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        Ok(Accepted::all())
    }

    fn takes(&self, _: PayloadKind) -> bool {
        true
    }
}
