//! A chat Worker: it hands the conversation to a model and streams the answer.
