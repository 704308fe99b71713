//! The guests that ship with yoi, embedded with their digests.
