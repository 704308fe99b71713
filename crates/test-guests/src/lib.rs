//! Guests that misbehave in every way a test needs.
