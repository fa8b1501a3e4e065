//! What an attempt comes to when nothing goes wrong.

use serde_json::json;

use crate::calls::{Bench, output};

#[tokio::test]
async fn a_step_greets_whom_it_is_given() {
    let greet = Bench::with("greet").await;

    let report = greet.run(json!({ "name": "Ada" })).await;

    assert_eq!(output(&report)["greeting"], "Hello, Ada!");
    assert!(report.trace.receipt.cpu_us > 0);
    assert!(report.trace.receipt.memory_bytes_peak >= 4 << 20);
}
