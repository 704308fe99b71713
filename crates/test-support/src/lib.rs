//! What the integration tests of several crates share.
