//! Serves a simulated cloud until it is interrupted, to try a configuration without a real one.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use nephoscope_cloud::{Cloud, Size};

/// Serves a simulated OpenStack cloud, and prints the options with which an agent polls it.
#[derive(Parser)]
struct Arguments {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// The number of resources of each kind.
    #[arg(long, default_value_t = 100)]
    resources: usize,
    /// The latency of each response in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// The interval in seconds at which one resource of each kind is replaced; 0 means never.
    #[arg(long, default_value_t = 0)]
    churn: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cloud = match Cloud::start_at(arguments.listen, Size::of(arguments.resources)).await {
        Ok(cloud) => cloud,
        Err(error) => {
            println!("cannot listen at {}: {error}", arguments.listen);
            return ExitCode::FAILURE;
        }
    };
    cloud.latency(Duration::from_millis(arguments.latency));
    println!("plugins: {}", serde_json::json!({ "openstack": cloud.options() }));
    let churn = async {
        if arguments.churn == 0 {
            return std::future::pending().await;
        }
        let mut interval = tokio::time::interval(Duration::from_secs(arguments.churn));
        interval.tick().await;
        loop {
            interval.tick().await;
            cloud.churn(1);
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = churn => {}
    }
    print!("{}", cloud.counted());
    ExitCode::SUCCESS
}
