//! Benchmarks that print one JSON line each.
