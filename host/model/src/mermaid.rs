//! mermaid.
