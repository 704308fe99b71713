//! A Worker without a model: it says back what it was told.
