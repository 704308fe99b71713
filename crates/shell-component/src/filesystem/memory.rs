//! A small tree in memory: `/tmp`, where the world has none.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{Entry, Facts, Kind};

/// As much as temporary files of scripts need that have no directory for them. It is taken from the
/// memory of the turn.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What a name costs, so that empty files are bounded too.
const NAME_COST: usize = 256;

/// Where it is.
pub(super) const ROOT: &str = "/tmp";

/// The tree. Its files are whole values: one that is open for reading stays as it was.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<Mutex<Tree>>);

#[derive(Debug)]
struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Node {
    content: Content,
    mode: u32,
    modified: SystemTime,
}

#[derive(Debug, Clone)]
enum Content {
    File(Arc<Vec<u8>>),
    Directory,
    Link(PathBuf),
}

impl Memory {
    pub(super) fn new() -> Self {
        let root = Node::new(Content::Directory, 0o1777);
        let nodes = BTreeMap::from([(PathBuf::from(ROOT), root)]);
        Self(Arc::new(Mutex::new(Tree { nodes, bytes: 0 })))
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn facts(&self, path: &Path) -> io::Result<Facts> {
        let tree = self.tree();
        let node = tree.node(path)?;
        Ok(Facts {
            kind: node.content.kind(),
            size: match &node.content {
                Content::File(bytes) => bytes.len() as u64,
                Content::Directory | Content::Link(_) => 0,
            },
            mode: node.mode,
            modified: node.modified,
            created: node.modified,
        })
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let tree = self.tree();
        match tree.node(path)?.content {
            Content::Directory => {}
            Content::File(_) | Content::Link(_) => return Err(ErrorKind::NotADirectory.into()),
        }
        Ok(tree
            .nodes
            .iter()
            .filter(|(other, _)| other.parent() == Some(path))
            .filter_map(|(other, node)| {
                let name = other.file_name()?.to_string_lossy().into_owned();
                Some(Entry { name, kind: node.content.kind() })
            })
            .collect())
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        struct Whole(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Whole {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Ok(Box::new(Cursor::new(Whole(self.content(path)?))))
    }

    pub(super) fn content(&self, path: &Path) -> io::Result<Arc<Vec<u8>>> {
        match &self.tree().node(path)?.content {
            Content::File(bytes) => Ok(Arc::clone(bytes)),
            Content::Directory => Err(ErrorKind::IsADirectory.into()),
            Content::Link(_) => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn create(&self, path: &Path, append: bool) -> io::Result<Box<dyn Write + Send>> {
        let mut tree = self.tree();
        match tree.nodes.get(path).map(|node| &node.content) {
            Some(Content::Directory) => return Err(ErrorKind::IsADirectory.into()),
            Some(Content::File(bytes)) if !append => {
                tree.bytes -= bytes.len();
                tree.set(path, Content::File(Arc::default()))?;
            }
            Some(_) => {}
            None => tree.add(path, Node::new(Content::File(Arc::default()), 0o644))?,
        }
        Ok(Box::new(MemoryFile { memory: self.clone(), path: path.to_owned() }))
    }

    pub(super) fn make_directory(&self, path: &Path, parents: bool) -> io::Result<()> {
        let mut tree = self.tree();
        if let Some(node) = tree.nodes.get(path) {
            let is_directory = matches!(node.content, Content::Directory);
            return if parents && is_directory {
                Ok(())
            } else {
                Err(ErrorKind::AlreadyExists.into())
            };
        }
        if parents {
            let missing: Vec<PathBuf> = path
                .ancestors()
                .skip(1)
                .take_while(|above| !tree.nodes.contains_key(*above))
                .map(Path::to_owned)
                .collect();
            for above in missing.into_iter().rev() {
                tree.add(&above, Node::new(Content::Directory, 0o755))?;
            }
        }
        tree.add(path, Node::new(Content::Directory, 0o755))
    }

    pub(super) fn make_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        if tree.nodes.contains_key(link) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        tree.add(link, Node::new(Content::Link(target.to_owned()), 0o777))
    }

    pub(super) fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.tree().node(path)?.content {
            Content::Link(target) => Ok(target.clone()),
            Content::File(_) | Content::Directory => Err(ErrorKind::InvalidInput.into()),
        }
    }

    pub(super) fn remove(&self, path: &Path, all: bool) -> io::Result<()> {
        let mut tree = self.tree();
        tree.node(path)?;
        let below: Vec<PathBuf> =
            tree.nodes.keys().filter(|other| other.starts_with(path)).cloned().collect();
        if below.len() > 1 && !all {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        for path in below {
            tree.take(&path);
        }
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        tree.node(from)?;
        tree.parent_of(to)?;
        if to.starts_with(from) {
            return if to == from { Ok(()) } else { Err(ErrorKind::InvalidInput.into()) };
        }
        let below: Vec<PathBuf> =
            tree.nodes.keys().filter(|other| other.starts_with(from)).cloned().collect();
        if tree.nodes.keys().any(|other| other != to && other.starts_with(to)) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        tree.take(to);
        for path in below {
            let Ok(rest) = path.strip_prefix(from) else { continue };
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            if let Some(node) = tree.nodes.remove(&path) {
                tree.nodes.insert(target, node);
            }
        }
        Ok(())
    }

    pub(super) fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.tree().change(path, |node| node.mode = mode & 0o7777)
    }

    pub(super) fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.tree().change(path, |node| node.modified = time)
    }

    fn append(&self, path: &Path, more: &[u8]) -> io::Result<()> {
        let mut tree = self.tree();
        if tree.bytes + more.len() > MAX_BYTES {
            return Err(full());
        }
        let node = tree.nodes.get_mut(path).ok_or(ErrorKind::NotFound)?;
        let Content::File(bytes) = &mut node.content else {
            return Err(ErrorKind::IsADirectory.into());
        };
        Arc::make_mut(bytes).extend_from_slice(more);
        node.modified = SystemTime::now();
        tree.bytes += more.len();
        Ok(())
    }
}

impl Tree {
    fn node(&self, path: &Path) -> io::Result<&Node> {
        if let Some(node) = self.nodes.get(path) {
            return Ok(node);
        }
        let above = path.ancestors().skip(1).find_map(|above| self.nodes.get(above));
        Err(match above.map(|node| &node.content) {
            Some(Content::File(_)) => ErrorKind::NotADirectory.into(),
            _ => ErrorKind::NotFound.into(),
        })
    }

    fn parent_of(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(path);
        match self.node(parent)?.content {
            Content::Directory => Ok(()),
            Content::File(_) | Content::Link(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<()> {
        self.parent_of(path)?;
        if self.bytes + NAME_COST > MAX_BYTES {
            return Err(full());
        }
        self.bytes += NAME_COST;
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    fn take(&mut self, path: &Path) {
        // The directory itself stays.
        if path == Path::new(ROOT) {
            return;
        }
        if let Some(node) = self.nodes.remove(path) {
            let length = match &node.content {
                Content::File(bytes) => bytes.len(),
                Content::Directory | Content::Link(_) => 0,
            };
            self.bytes -= NAME_COST + length;
        }
    }

    fn set(&mut self, path: &Path, content: Content) -> io::Result<()> {
        self.change(path, |node| {
            node.content = content;
            node.modified = SystemTime::now();
        })
    }

    fn change(&mut self, path: &Path, change: impl FnOnce(&mut Node)) -> io::Result<()> {
        self.node(path)?;
        self.nodes.get_mut(path).map(change).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Node {
    fn new(content: Content, mode: u32) -> Self {
        Self { content, mode, modified: SystemTime::now() }
    }
}

impl Content {
    fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Directory => Kind::Directory,
            Self::Link(_) => Kind::Link,
        }
    }
}

fn full() -> io::Error {
    io::Error::new(
        ErrorKind::StorageFull,
        "No space left on device: without a scratch directory, /tmp holds 16 MiB",
    )
}

struct MemoryFile {
    memory: Memory,
    path: PathBuf,
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.memory.append(&self.path, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(memory: &Memory, path: &str, bytes: &[u8], append: bool) -> io::Result<()> {
        memory.create(Path::new(path), append)?.write_all(bytes)
    }

    #[test]
    fn files_are_written_moved_and_removed() {
        let memory = Memory::new();
        write(&memory, "/tmp/a", b"one", false).unwrap();
        write(&memory, "/tmp/a", b" two", true).unwrap();
        memory.make_directory(Path::new("/tmp/d/e"), true).unwrap();
        memory.rename(Path::new("/tmp/a"), Path::new("/tmp/d/e/b")).unwrap();
        assert_eq!(**memory.content(Path::new("/tmp/d/e/b")).unwrap(), *b"one two");
        assert_eq!(
            memory.remove(Path::new("/tmp/d"), false).unwrap_err().kind(),
            ErrorKind::DirectoryNotEmpty
        );
        memory.remove(Path::new("/tmp/d"), true).unwrap();
        assert!(memory.list(Path::new("/tmp")).unwrap().is_empty());
        assert_eq!(memory.tree().bytes, 0);
    }

    #[test]
    fn more_than_fits_is_refused_and_room_comes_back() {
        let memory = Memory::new();
        write(&memory, "/tmp/a", &vec![0; 15 << 20], false).unwrap();
        let error = write(&memory, "/tmp/b", &vec![0; 2 << 20], false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        memory.remove(Path::new("/tmp/a"), false).unwrap();
        write(&memory, "/tmp/b", &vec![0; 2 << 20], false).unwrap();
    }

    #[test]
    fn a_file_is_no_directory() {
        let memory = Memory::new();
        write(&memory, "/tmp/a", b"", false).unwrap();
        let error = write(&memory, "/tmp/a/b", b"", false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    }
}
