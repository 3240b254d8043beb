//! Uses a type that etcd-client generates from protocol buffers, and says so.

fn main() {
    let _compare = etcd_client::Compare::version("key", etcd_client::CompareOp::Equal, 0);
    println!("built with etcd-client");
}
