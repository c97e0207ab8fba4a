//! End-to-end tests: the real binaries against the fakes.
