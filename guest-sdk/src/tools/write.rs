//! `write`.

use std::{fs, io};

use super::{
    ArgumentError, Arguments, FileTool, Folder, ToolError,
    files::{MAX_FILE_BYTES, create, is_a_directory, overwrite},
};
use crate::ToolSchema;

/// Writes a whole file, and the directories above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The file.
    pub path: String,
    /// All that will be in it.
    pub content: String,
}

impl FileTool for Write {
    const NAME: &'static str = "write";

    fn schema() -> ToolSchema {
        ToolSchema::new(
            Self::NAME,
            "Writes a whole file: makes it, and the directories above it, or overwrites all of it. To \
             change a part of a file use `edit`.",
            r#"{"type":"object","properties":{"path":{"type":"string","description":"The file; relative to the working directory, or absolute."},"content":{"type":"string","description":"All that will be in the file."}},"required":["path","content"],"additionalProperties":false}"#,
        )
    }

    fn from_arguments(arguments: &Arguments) -> Result<Self, ArgumentError> {
        arguments.only(&["path", "content"])?;
        Ok(Self {
            path: arguments.text("path")?.to_owned(),
            content: arguments.text("content")?.to_owned(),
        })
    }

    fn run(&self, folder: &Folder) -> Result<String, ToolError> {
        let path = folder.resolve(&self.path);
        let name = folder.name(&path);
        let bytes = self.content.len();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Err(is_a_directory(folder, &path)),
            Ok(metadata) => {
                let before = metadata.len();
                // What is there is kept for the case of an error, unless it is too large for that.
                let old = (before <= MAX_FILE_BYTES).then(|| fs::read(&path)).transpose();
                old.and_then(|old| overwrite(&path, old.as_deref(), self.content.as_bytes()))
                    .map_err(ToolError::file(format!("cannot write `{name}`")))?;
                Ok(format!("overwrote `{name}`: {bytes} bytes, before {before}"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let make = || {
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    create(&path, self.content.as_bytes())
                };
                make().map_err(ToolError::file(format!("cannot write `{name}`")))?;
                Ok(format!("created `{name}`: {bytes} bytes"))
            }
            Err(error) => Err(ToolError::file(format!("cannot write `{name}`"))(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_what_is_missing_and_says_what_it_did() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = Folder::new(directory.path());
        let write = |path: &str, content: &str| {
            Write { path: path.into(), content: content.into() }
                .run(&folder)
                .map_err(|error| error.to_string())
        };
        assert_eq!(write("a/b/c.txt", "hello"), Ok("created `a/b/c.txt`: 5 bytes".into()));
        assert_eq!(write("a/b/c.txt", "hi"), Ok("overwrote `a/b/c.txt`: 2 bytes, before 5".into()));
        assert_eq!(fs::read(directory.path().join("a/b/c.txt")).expect("read"), b"hi");
        assert_eq!(
            write("a/b", "x"),
            Err("`a/b` is a directory; `glob` lists what is in it".into())
        );
        assert_eq!(write("a/b/c.txt/d", "x"), Err("cannot write `a/b/c.txt/d`".into()));
    }
}
