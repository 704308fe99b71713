//! Marks commands that are stages of a pipeline of their own, so that they stream.

/// In front of a command's name: the first stage of a pipeline that streams. Word joiners are not
/// seen where a shell shows its own text (`set -x`, `declare -f`), and stand in no one's names.
pub(super) const FIRST: &str = "\u{2060}\u{2060}";

/// A stage behind the first.
pub(super) const LATER: &str = "\u{2060}";
