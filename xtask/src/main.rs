//! Every task with logic: demo, test, bench, guests.
fn main() {}
