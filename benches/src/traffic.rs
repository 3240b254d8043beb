//! The load of a pool on etcd: requests, bytes to and from its clients, and the growth of its database.

use crate::bench::Effort;
use crate::error::BenchError;
use crate::figure::{Budget, Figure, Unit};
use crate::members::{INTERVAL, Members};

/// Counters of etcd.
pub(crate) struct Traffic {
    /// Calls, without the streams of keepalives and watches.
    pub(crate) requests: f64,
    keepalives: f64,
    /// Bytes from and to clients.
    bytes: f64,
    /// Bytes of keys and values that were written.
    put: f64,
}

impl Traffic {
    /// Reads the counters since the start of etcd.
    pub(crate) fn read(pool: &Members) -> Result<Self, BenchError> {
        let answer = pool.metrics()?;
        let bytes = |way| answer.metric(&format!("etcd_network_client_grpc_{way}_bytes_total"), &[]);
        Ok(Self {
            requests: answer.metric("grpc_server_started_total", &["grpc_type=\"unary\""]),
            keepalives: answer.metric(
                "grpc_server_msg_received_total",
                &["grpc_method=\"LeaseKeepAlive\""],
            ),
            bytes: bytes("sent") + bytes("received"),
            put: answer.metric("etcd_debugging_mvcc_total_put_size_in_bytes", &[]),
        })
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            keepalives: self.keepalives - before.keepalives,
            bytes: self.bytes - before.bytes,
            put: self.put - before.put,
        }
    }
}

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let cycles = effort.of(12, 3);
    let mut figures = Vec::new();
    for members in [3, 10, 100] {
        let pool = Members::gather(members, 1)?;
        let before = Traffic::read(&pool)?;
        pool.cycles(cycles)?;
        let traffic = Traffic::read(&pool)?.since(&before);
        let seconds = (INTERVAL * cycles).as_secs_f64();
        let an_hour = |bytes: f64| bytes / seconds * 3600.0 / 1e6;
        let how = format!(
            "members in one process, each with its own client, lease 5 s, one schedule of {} s, {cycles} cycles; as one etcd node counts: \
             all calls and keepalives, bytes of messages from and to clients, and of keys and values that are written",
            INTERVAL.as_secs()
        );
        let figure = |name: &str, unit, measured| {
            Figure::new(
                format!("pool of {members}: {name}"),
                unit,
                Budget::None,
                measured,
                how.clone(),
            )
        };
        figures.extend([
            figure("requests", Unit::PerSecond, traffic.requests / seconds),
            figure("keepalives", Unit::PerSecond, traffic.keepalives / seconds),
            figure("traffic an hour", Unit::Megabytes, an_hour(traffic.bytes)),
            figure("written an hour", Unit::Megabytes, an_hour(traffic.put)),
        ]);
    }
    Ok(figures)
}
