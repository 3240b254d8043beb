//! Declaration of exchange and queues, equal to that of ceilometer's publisher.
//!
//! Source: the frames of oslo.messaging's notifier on the first publish of a connection. It declares the exchange again after the
//! binding, which has no effect and is omitted.

use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};

use crate::error::is_precondition;
use crate::options::Settings;

/// Opens a channel with publisher confirms, and declares exchange and queues on it.
///
/// Objects that exist with other properties are used unchanged; `differs` is called with their kind and name.
pub(crate) async fn declare(
    connection: &Connection,
    settings: &Settings,
    mut differs: impl FnMut(&'static str, &str),
) -> lapin::Result<Channel> {
    let mut channel = connection.create_channel().await?;
    if let Err(error) = declare_exchange(&channel, settings, false).await {
        if !is_precondition(&error) {
            return Err(error);
        }
        // The broker has closed the channel.
        channel = connection.create_channel().await?;
        declare_exchange(&channel, settings, true).await?;
        differs("exchange", &settings.exchange);
    }
    for queue in &settings.queues {
        if let Err(error) = declare_queue(&channel, settings, queue, false).await {
            if !is_precondition(&error) {
                return Err(error);
            }
            channel = connection.create_channel().await?;
            declare_queue(&channel, settings, queue, true).await?;
            differs("queue", queue);
        }
        let queue = ShortString::from(queue.as_str());
        channel
            .queue_bind(
                queue.clone(),
                settings.exchange.as_str().into(),
                queue,
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
    }
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn declare_exchange(channel: &Channel, settings: &Settings, passive: bool) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        passive,
        durable: settings.durable,
        auto_delete: settings.auto_delete,
        ..Default::default()
    };
    let name = settings.exchange.as_str().into();
    channel
        .exchange_declare(name, ExchangeKind::Topic, options, FieldTable::default())
        .await
}

async fn declare_queue(
    channel: &Channel,
    settings: &Settings,
    queue: &str,
    passive: bool,
) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        passive,
        durable: settings.durable,
        auto_delete: settings.auto_delete,
        ..Default::default()
    };
    let mut arguments = FieldTable::default();
    if settings.quorum {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    }
    channel.queue_declare(queue.into(), options, arguments).await?;
    Ok(())
}
