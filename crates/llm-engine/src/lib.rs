//! Model providers behind one streaming trait: usage, typed errors, aliases.
