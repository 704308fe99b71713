//! The format of archives: a header of 512 bytes, and the content padded to as much.

/// Everything in an archive comes in pieces of this.
pub(super) const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A link, and where it leads.
    Link(String),
    /// Another name of a file within the archive.
    HardLink(String),
    /// Something that this tar has no use for.
    Other,
}

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name, with a slash behind that of a directory.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// In seconds since 1970.
    pub(super) modified: u64,
    pub(super) owner: String,
    pub(super) content: Vec<u8>,
}

/// Reads an archive. The error is for people.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Entry>, &'static str> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    let (mut long_name, mut long_link) = (None, None);
    while rest.len() >= BLOCK {
        let (header, after) = rest.split_at(BLOCK);
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        if !has_checksum(header) {
            return Err("This does not look like a tar archive");
        }
        let size = usize::try_from(number(&header[124..136])).map_err(|_| "too large")?;
        let padded = size.div_ceil(BLOCK) * BLOCK;
        let content = after.get(..size).ok_or("Unexpected EOF in archive")?;
        rest = after.get(padded..).unwrap_or_default();
        match header[156] {
            b'L' => long_name = Some(text(content)),
            b'K' => long_link = Some(text(content)),
            b'x' => {
                let (name, link) = extended(content);
                long_name = name.or(long_name);
                long_link = link.or(long_link);
            }
            b'g' => {}
            kind => {
                let name = long_name.take().unwrap_or_else(|| short_name(header));
                let link = long_link.take().unwrap_or_else(|| text(&header[157..257]));
                entries.push(entry(header, kind, name, link, content));
            }
        }
    }
    if entries.is_empty() && !bytes.is_empty() && bytes.len() < BLOCK {
        return Err("This does not look like a tar archive");
    }
    Ok(entries)
}

fn entry(header: &[u8], kind: u8, name: String, link: String, content: &[u8]) -> Entry {
    let kind = match kind {
        b'0' | 0 | b'7' if name.ends_with('/') => Kind::Directory,
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::HardLink(link),
        b'2' => Kind::Link(link),
        b'5' => Kind::Directory,
        _ => Kind::Other,
    };
    let name = if kind == Kind::Directory && !name.ends_with('/') { name + "/" } else { name };
    Entry {
        name,
        kind,
        mode: u32::try_from(number(&header[100..108])).unwrap_or(0o644) & 0o7777,
        modified: number(&header[136..148]),
        owner: text(&header[265..297]),
        content: content.to_vec(),
    }
}

fn has_checksum(header: &[u8]) -> bool {
    checksum(header) == number(&header[148..156])
}

/// The sum of all bytes, where its own count as spaces.
fn checksum(header: &[u8]) -> u64 {
    let own = 148..156;
    let byte = |(at, byte): (usize, &u8)| if own.contains(&at) { 32 } else { u64::from(*byte) };
    header.iter().enumerate().map(byte).sum()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Octal digits, or binary behind a byte of 128.
fn number(field: &[u8]) -> u64 {
    if field[0] & 0x80 != 0 {
        return field[1..].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    }
    u64::from_str_radix(text(field).trim(), 8).unwrap_or(0)
}

fn short_name(header: &[u8]) -> String {
    let name = text(&header[..100]);
    let prefix = if &header[257..262] == b"ustar" && header[262] == 0 {
        text(&header[345..500])
    } else {
        String::new()
    };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// The name and the link of a POSIX header: lines of `length key=value`.
fn extended(content: &[u8]) -> (Option<String>, Option<String>) {
    let (mut name, mut link) = (None, None);
    let mut rest = content;
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let Ok(length) = text(&rest[..space]).parse::<usize>() else { break };
        if length <= space || length > rest.len() {
            break;
        }
        let record = String::from_utf8_lossy(&rest[space + 1..length]).into_owned();
        match record.trim_end_matches('\n').split_once('=') {
            Some(("path", value)) => name = Some(value.to_owned()),
            Some(("linkpath", value)) => link = Some(value.to_owned()),
            _ => {}
        }
        rest = &rest[length..];
    }
    (name, link)
}

/// Writes an archive, as GNU tar does.
pub(super) fn write(entries: &[Entry]) -> Vec<u8> {
    // Tapes have records of twenty blocks.
    const RECORD: usize = 20 * BLOCK;
    let mut bytes = Vec::new();
    for entry in entries {
        let link = match &entry.kind {
            Kind::Link(target) | Kind::HardLink(target) => target.as_str(),
            Kind::File | Kind::Directory | Kind::Other => "",
        };
        if link.len() > 100 {
            push_long(&mut bytes, b'K', link);
        }
        if entry.name.len() > 100 {
            push_long(&mut bytes, b'L', &entry.name);
        }
        let kind = match entry.kind {
            Kind::File | Kind::Other => b'0',
            Kind::HardLink(_) => b'1',
            Kind::Link(_) => b'2',
            Kind::Directory => b'5',
        };
        push_header(&mut bytes, entry, kind, link);
        push_padded(&mut bytes, &entry.content);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes.resize(bytes.len().div_ceil(RECORD) * RECORD, 0);
    bytes
}

fn push_padded(bytes: &mut Vec<u8>, content: &[u8]) {
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().div_ceil(BLOCK) * BLOCK, 0);
}

/// An entry of its own, for what the header has no room for.
fn push_long(bytes: &mut Vec<u8>, kind: u8, text: &str) {
    let content = [text.as_bytes(), b"\0"].concat();
    let entry = Entry {
        name: "././@LongLink".to_owned(),
        kind: Kind::Other,
        mode: 0,
        modified: 0,
        owner: "root".to_owned(),
        content,
    };
    push_header(bytes, &entry, kind, "");
    push_padded(bytes, &entry.content);
}

fn push_header(bytes: &mut Vec<u8>, entry: &Entry, kind: u8, link: &str) {
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, room: usize, text: &[u8]| {
        let length = text.len().min(room);
        header[at..at + length].copy_from_slice(&text[..length]);
    };
    put(0, 100, entry.name.as_bytes());
    put(100, 8, format!("{:07o}", entry.mode).as_bytes());
    let owner = format!("{:07o}", super::owner::ID);
    put(108, 8, owner.as_bytes());
    put(116, 8, owner.as_bytes());
    put(124, 12, format!("{:011o}", entry.content.len()).as_bytes());
    put(136, 12, format!("{:011o}", entry.modified).as_bytes());
    put(156, 1, &[kind]);
    put(157, 100, link.as_bytes());
    put(257, 8, b"ustar  \0");
    put(265, 31, entry.owner.as_bytes());
    put(297, 31, entry.owner.as_bytes());
    let sum = format!("{:06o}\0 ", checksum(&header));
    header[148..156].copy_from_slice(sum.as_bytes());
    bytes.extend_from_slice(&header);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let entry = |name: &str, kind, content: &[u8]| Entry {
            name: name.to_owned(),
            kind,
            mode: 0o755,
            modified: 1_700_000_000,
            owner: "me".to_owned(),
            content: content.to_vec(),
        };
        let long = "directory/".repeat(20) + "file";
        let entries = [
            entry("d/", Kind::Directory, b""),
            entry("d/f", Kind::File, &[7; 600]),
            entry("d/l", Kind::Link("f".to_owned()), b""),
            entry(&long, Kind::File, b"x"),
            entry("e", Kind::Link(long.clone()), b""),
        ];
        let bytes = write(&entries);
        assert_eq!(bytes.len() % (20 * BLOCK), 0);
        assert_eq!(read(&bytes).unwrap(), entries);
        assert!(read(&[b'x'; 600]).is_err());
    }
}
