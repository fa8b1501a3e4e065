//! Stepcell: every step in its own cell. The library that embeds the engine, and the command line.
