//! Components that attack their host, and what must stop each.
