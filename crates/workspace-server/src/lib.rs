//! The Backend: the registry of Runtimes, the Browser API and the console.
