//! To whom files belong. There is one person in this shell, and everything is theirs.

use std::collections::HashMap;

/// Their number, as `id -u` says it.
pub(crate) const ID: u32 = 1000;

/// Their name, and that of their group.
pub(crate) fn name(environment: &HashMap<String, String>) -> &str {
    environment.get("USER").map_or("sandbox", String::as_str)
}

/// The permission bits of a file as `rwxr-xr-x`.
pub(crate) fn permissions(mode: u32) -> String {
    let mut text = String::with_capacity(9);
    for (shift, special, set, alone) in
        [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => alone,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_written_as_ls_does() {
        assert_eq!(permissions(0o755), "rwxr-xr-x");
        assert_eq!(permissions(0o4644), "rwSr--r--");
        assert_eq!(permissions(0o1777), "rwxrwxrwt");
    }
}
