//! The publisher `amqp://`: the interface for the notifier.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{Batch, Encoding, OsloNotification};
use nephoscope_plugin::{
    Accepted, OptionsSpec, PublishError, Publisher, PublisherPlugin, Registration, register,
};
use parking_lot::Mutex;

use crate::error::BrokerError;
use crate::options::{AmqpOptions, Settings};
use crate::session::Session;

register!(Registration::Publisher(
    PublisherPlugin::new(
        &["amqp", "amqps", "rabbit"],
        "Sends oslo.messaging notifications to RabbitMQ in the form that ceilometer's notification agent accepts",
        |context| {
            let settings = Settings::read(context)?;
            Ok(Arc::new(AmqpPublisher {
                settings: Arc::new(settings),
                state: Mutex::new(State::Idle),
            }))
        }
    )
    .options(OptionsSpec::of::<AmqpOptions>())
    .spool()
));

struct AmqpPublisher {
    settings: Arc<Settings>,
    state: Mutex<State>,
}

enum State {
    /// No batch was published yet.
    Idle,
    Open(Arc<Session>),
    Closed,
}

impl AmqpPublisher {
    /// Returns the session. Starts it with the first batch, and again if its runtime has ended.
    fn session(&self) -> Result<Arc<Session>, BrokerError> {
        let mut state = self.state.lock();
        match &*state {
            State::Closed => return Err(BrokerError::Closed),
            State::Open(session) if !session.is_over() => return Ok(session.clone()),
            State::Idle | State::Open(_) => {}
        }
        let session = Arc::new(Session::start(self.settings.clone()));
        *state = State::Open(session.clone());
        Ok(session)
    }
}

#[async_trait]
impl Publisher for AmqpPublisher {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        // Consumers do not need notifications without samples.
        if batch.is_empty() {
            return Ok(Accepted::all());
        }
        let session = self.session()?;
        let link = session.link(self.settings.connect_timeout).await?;
        link.deliver(batch, self.settings.confirm_timeout).await?;
        Ok(Accepted::all())
    }

    fn in_flight(&self) -> usize {
        self.settings.pipelining
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(Arc::new(OsloNotification))
    }

    async fn close(&self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Closed);
        if let State::Open(session) = state {
            session.close().await;
        }
    }
}
