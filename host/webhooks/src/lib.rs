//! Outgoing webhooks: what happened, told to addresses of tenants, signed and retried.
