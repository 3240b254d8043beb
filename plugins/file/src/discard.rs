//! The publisher that accepts and discards everything.

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
        "Accepts and discards all samples, to measure the rest of the agent",
        |context| {
            let DiscardOptions {} = context.options()?;
            url::scheme_only(context.url())?;
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

    fn accepts(&self, _: PayloadKind) -> bool {
        true
    }
}
