//! What SQLite promises beside the suite: durability, other processes, damaged files.
