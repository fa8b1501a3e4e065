//! What the host believes of what a worker says that its attempt cost.
//!
//! Receipts are summed by tenant and shown to operators. What the host measured itself stands in place of what was said,
//! and nothing else passes what an attempt could have come to within its limits. So a worker that was taken over can at
//! most say that it cost as much as it was allowed to.

use std::time::Duration;

use stepcell_model::attempt::{CellLimits, Denial, Receipt};
use stepcell_model::staged::WRITES_BYTES_MAX;

use crate::budget::CALL_BYTES_MAX;

/// How far an attempt may compute past its limit before it is stopped, where the machine is busy.
const CPU_SLACK: Duration = Duration::from_secs(1);

/// The call that passes the budget is counted, too; calls of WASI are noticed at the next look.
const HOST_CALLS_SLACK: u64 = 1_000;

/// What the host knows of an attempt without asking its worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// From the order to enter the cell to the answer.
    pub(crate) wall: Duration,
    /// How many HTTP requests the worker asked the host to send.
    pub(crate) http_asked: u32,
}

/// The receipt with nothing in it that could not have been. A worker computes on one thread.
pub(crate) fn believe_receipt(said: Receipt, limits: &CellLimits, input_bytes: u64, measured: &Measured) -> Receipt {
    let limits = limits.within_top();
    let wall_us = us(measured.wall);
    let host_calls = said.host_calls.min(u64::from(limits.host_calls_max) + HOST_CALLS_SLACK);
    let http_requests = said.http_requests.min(measured.http_asked).min(limits.http_requests_max);
    let body_bytes = u64::from(http_requests).saturating_mul(limits.http_body_bytes_max);
    let given_bytes = (host_calls + 1).saturating_mul(CALL_BYTES_MAX as u64);
    Receipt {
        cpu_us: said.cpu_us.min(wall_us).min(us(limits.cpu_max + CPU_SLACK)),
        wall_us,
        guest_us: said.guest_us.min(wall_us),
        memory_bytes_peak: said.memory_bytes_peak.min(limits.memory_bytes_max),
        host_calls,
        bytes_in: said.bytes_in.min(input_bytes.saturating_add(given_bytes).saturating_add(body_bytes)),
        bytes_out: said.bytes_out.min(limits.output_bytes_max + WRITES_BYTES_MAX as u64 + body_bytes),
        // Each call is denied at most one thing.
        denials: said.denials.min(host_calls),
        http_requests,
    }
}

/// The denials, none counted more often than all of them together.
pub(crate) fn believe_denials(mut said: Vec<Denial>, receipt: &Receipt) -> Vec<Denial> {
    let count_max = u32::try_from(receipt.denials).unwrap_or(u32::MAX);
    for denial in &mut said {
        denial.count = denial.count.min(count_max);
    }
    said
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use stepcell_model::attempt::Wanted;

    use super::*;

    const FORGED: Receipt = Receipt {
        cpu_us: u64::MAX,
        wall_us: u64::MAX,
        guest_us: u64::MAX,
        memory_bytes_peak: u64::MAX,
        host_calls: u64::MAX,
        bytes_in: u64::MAX,
        bytes_out: u64::MAX,
        denials: u64::MAX,
        http_requests: u32::MAX,
    };

    #[test]
    fn a_forged_receipt_says_no_more_than_an_attempt_could_have_cost() {
        let limits = CellLimits::default();
        let measured = Measured { wall: Duration::from_millis(5), http_asked: 2 };

        let receipt = believe_receipt(FORGED, &limits, 10, &measured);

        assert_eq!((receipt.cpu_us, receipt.wall_us, receipt.guest_us), (5_000, 5_000, 5_000));
        assert_eq!((receipt.memory_bytes_peak, receipt.host_calls), (limits.memory_bytes_max, 101_000));
        assert_eq!((receipt.denials, receipt.http_requests), (101_000, 2));
        assert_eq!(receipt.bytes_in, 10 + 101_001 * (8 << 20) + 2 * (2 << 20));
        assert_eq!(receipt.bytes_out, (1 << 20) + (4 << 20) + 2 * (2 << 20));
    }

    #[test]
    fn no_limit_lets_a_receipt_be_so_large_that_sums_of_it_overflow() {
        let endless = CellLimits { memory_bytes_max: u64::MAX, output_bytes_max: u64::MAX, ..CellLimits::TOP };
        let endless = CellLimits { http_body_bytes_max: u64::MAX, cpu_max: Duration::MAX, ..endless };
        let measured = Measured { wall: Duration::from_secs(3_600), http_asked: u32::MAX };

        let receipt = believe_receipt(FORGED, &endless, 1 << 20, &measured);

        assert_eq!(receipt.cpu_us, 61_000_000);
        for most in [receipt.memory_bytes_peak, receipt.bytes_in, receipt.bytes_out, receipt.wall_us] {
            assert!(most < 1 << 40, "{most}");
        }
    }

    #[test]
    fn an_honest_receipt_stands_but_for_the_time_that_the_host_measured() {
        let said = Receipt {
            cpu_us: 900,
            wall_us: 950,
            guest_us: 910,
            memory_bytes_peak: 1 << 20,
            host_calls: 7,
            bytes_in: 300,
            bytes_out: 200,
            denials: 1,
            http_requests: 1,
        };
        let measured = Measured { wall: Duration::from_millis(1), http_asked: 1 };

        let receipt = believe_receipt(said, &CellLimits::default(), 2, &measured);

        assert_eq!(receipt, Receipt { wall_us: 1_000, ..said });
    }

    #[test]
    fn no_denial_is_counted_more_often_than_all_of_them() {
        let denial = Denial { wanted: Wanted::Http, name: "GET https://a.example".to_owned(), count: u32::MAX };

        let believed = believe_denials(vec![denial], &Receipt { denials: 3, ..Receipt::default() });

        assert_eq!(believed[0].count, 3);
    }
}
