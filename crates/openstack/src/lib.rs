//! Keystone session, service catalog, paged requests and request budget, for plugins that call OpenStack's services.
//!
//! All plugins of an agent share one [`Session`]: one token, and one budget for each service. A plugin declares the
//! service and its requests, and reads a list entry by entry:
//!
//! ```
//! use nephoscope_openstack::{ApiError, Session, List, Root, ServiceDef};
//! use nephoscope_plugin::{CallDef, CallRate};
//! use serde::Deserialize;
//!
//! const GLANCE: ServiceDef = ServiceDef {
//!     name: "glance",
//!     service_type: "image",
//!     root: Root::Endpoint,
//!     microversion: None,
//! };
//!
//! const IMAGES: CallDef = CallDef::new("glance", "GET", "/v2/images")
//!     .role("reader")
//!     .rate(CallRate::PerPage(1000));
//!
//! #[derive(Deserialize)]
//! struct Image {
//!     id: String,
//! }
//!
//! async fn ids(session: &std::sync::Arc<Session>) -> Result<Vec<String>, ApiError> {
//!     let mut images = session.service(&GLANCE).request(&IMAGES).paged().list(List::Member("images"));
//!     let mut ids = Vec::new();
//!     while let Some(image) = images.next::<Image>().await? {
//!         ids.push(image.id);
//!     }
//!     Ok(ids)
//! }
//! ```

mod breaker;
mod budget;
mod catalog;
mod clouds;
mod credentials;
mod definition;
mod each;
mod endpoint;
mod environment;
mod error;
mod events;
mod exchange;
mod items;
mod link;
mod listing;
mod options;
mod record;
mod request;
mod retry;
mod service;
mod session;
mod table;
mod tls;
mod token;
mod transport;
mod versions;

use nephoscope_plugin::{Family, OptionsSpec, Registration, register};

pub use definition::{MicroversionDef, Root, ServiceDef};
pub use each::each;
pub use error::ApiError;
pub use items::List;
pub use listing::Listing;
pub use options::{Options, ServiceOptions};
pub use reqwest::header::{HeaderMap, HeaderValue};
pub use reqwest::{Method, Url};

pub use record::{Members, Record};
pub use request::{Request, Signer};
pub use service::Service;
pub use session::{KEYSTONE, OPENSTACK, Session, TOKEN};
pub use table::{
    Entries, Measure, Measured, Metadata, Table, id, no_parameter, number, status, unknown_resource,
};
pub use tls::TlsVersion;
pub use versions::Microversion;

register!(Registration::Family(
    Family::new(
        OPENSTACK,
        "Access to OpenStack: credentials, endpoints, TLS, request budget"
    )
    .options(OptionsSpec::of::<Options>())
));
