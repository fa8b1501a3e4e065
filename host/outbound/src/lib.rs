//! Outbound HTTP of steps: grants, addresses and budgets are checked before a packet leaves.
