//! The calls of `wasi:filesystem`: what is checked and counted, and then wasmtime's implementation.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::{Descriptor, Dir, File, OpenMode, WasiFilesystemCtxView},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{
                self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
                DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor,
                HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
            },
        },
    },
};

use super::{
    FilesystemView, Held,
    entries::{Entries, read_batch},
    open::{self, How, OpenError},
    quota::{Account, ChargeError, OverQuota},
    streams::{FileReader, FileWriter, Place, read_cached},
};

/// The same descriptor, to be looked at.
fn borrow(descriptor: &Resource<Descriptor>) -> Resource<Descriptor> {
    Resource::new_borrow(descriptor.rep())
}

/// Runs what waits for the disk where it may.
async fn blocking<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> FsResult<T> {
    AbortOnDropHandle::new(spawn_blocking(body)).await.map_err(FsError::trap)
}

fn refused(error: ChargeError) -> FsError {
    match error {
        ChargeError::OverQuota(OverQuota) => ErrorCode::Quota.into(),
        ChargeError::Measure(error) => error.into(),
    }
}

impl FilesystemView<'_> {
    /// wasmtime's implementation.
    fn wasi(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView { ctx: &mut self.ctx.wasi, table: self.table }
    }

    fn held(&self, descriptor: &Resource<Descriptor>) -> FsResult<&Held> {
        let unknown = || FsError::trap(wasmtime::Error::msg("a descriptor of nobody's"));
        self.ctx.held.get(&descriptor.rep()).ok_or_else(unknown)
    }

    fn file(&self, descriptor: &Resource<Descriptor>) -> FsResult<&File> {
        match self.table.get(descriptor)? {
            Descriptor::File(file) => Ok(file),
            Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    fn dir(&self, descriptor: &Resource<Descriptor>) -> FsResult<&Dir> {
        match self.table.get(descriptor)? {
            Descriptor::Dir(dir) => Ok(dir),
            Descriptor::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    /// The file, where it may be written to.
    fn writable(&self, descriptor: &Resource<Descriptor>) -> FsResult<&File> {
        let file = self.file(descriptor)?;
        if file.perms.write_not_permitted() || self.held(descriptor)?.is_guarded() {
            return Err(ErrorCode::NotPermitted.into());
        }
        Ok(file)
    }

    /// Fails where a change at `path` below a directory would reach into a git directory, or make one.
    async fn check_change(
        &mut self,
        dir: &Resource<Descriptor>,
        path: &str,
        follow: bool,
    ) -> FsResult<()> {
        let held = self.held(dir)?;
        if held.area.exposes_git {
            return Ok(());
        }
        let (handle, path) = (Arc::clone(&self.dir(dir)?.dir), path.to_owned());
        let is_reached = move || open::reaches_git(&handle, &path, follow);
        if held.in_git || blocking(is_reached).await?? {
            return Err(ErrorCode::NotPermitted.into());
        }
        Ok(())
    }

    /// A second name stays where the first one is: what is revoked is not to live on elsewhere.
    fn check_link(&self, from: &Resource<Descriptor>, to: &Resource<Descriptor>) -> FsResult<()> {
        let (from, to) = (&self.held(from)?.area, &self.held(to)?.area);
        if Arc::ptr_eq(from, to) { Ok(()) } else { Err(ErrorCode::CrossDevice.into()) }
    }

    /// What moves stays where the same rules are: it would leave its quota, or bring a git directory
    /// with it.
    fn check_move(&self, from: &Resource<Descriptor>, to: &Resource<Descriptor>) -> FsResult<()> {
        let (from, to) = (&self.held(from)?.area, &self.held(to)?.area);
        let same_quota = match (&from.quota, &to.quota) {
            (None, None) => true,
            (Some(from), Some(to)) => Arc::ptr_eq(from, to),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if same_quota && from.exposes_git == to.exposes_git {
            Ok(())
        } else {
            Err(ErrorCode::CrossDevice.into())
        }
    }

    /// Where what is written in the area of a descriptor is charged.
    fn account(&self, descriptor: &Resource<Descriptor>) -> FsResult<Account> {
        let quota = self.held(descriptor)?.quota().cloned();
        Ok(Account { written: Arc::clone(&self.ctx.written), quota })
    }

    /// Counts a new name below a directory.
    async fn charge_entry(&mut self, dir: &Resource<Descriptor>) -> FsResult<()> {
        if self.dir(dir)?.perms.write_not_permitted() {
            return Err(ErrorCode::NotPermitted.into());
        }
        let account = self.account(dir)?;
        match account.quota {
            None => account.charge_entry().map_err(refused),
            Some(_) => blocking(move || account.charge_entry()).await?.map_err(refused),
        }
    }

    /// Counts bytes that a file is about to be given, of which it grows by `growth`.
    async fn charge(
        &mut self,
        file: &Resource<Descriptor>,
        bytes: u64,
        growth: u64,
    ) -> FsResult<()> {
        let account = self.account(file)?;
        match account.quota {
            None => account.charge(bytes, growth).map_err(refused),
            Some(_) => blocking(move || account.charge(bytes, growth)).await?.map_err(refused),
        }
    }

    /// Gives the guest a stream that writes to a file.
    fn writer(
        &mut self,
        descriptor: &Resource<Descriptor>,
        place: Place,
    ) -> FsResult<Resource<DynOutputStream>> {
        let file = Arc::clone(&self.writable(descriptor)?.file);
        let (account, held) = (self.account(descriptor)?, self.held(descriptor)?.clone());
        let writer = FileWriter::new(file, place, self.ctx.calls.clone(), (account, held));
        Ok(self.table.push(Box::new(writer) as DynOutputStream)?)
    }
}

impl preopens::Host for FilesystemView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let mut directories = Vec::with_capacity(self.ctx.preopens.len());
        for (dir, guest_path, held) in &self.ctx.preopens {
            let descriptor = self.table.push(Descriptor::Dir(dir.clone()))?;
            self.ctx.held.insert(descriptor.rep(), held.clone());
            directories.push((descriptor, guest_path.clone()));
        }
        Ok(directories)
    }
}

impl types::Host for FilesystemView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.wasi().convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        if self.table.get(&error)?.is::<OverQuota>() {
            return Ok(Some(ErrorCode::Quota));
        }
        self.wasi().filesystem_error_code(error)
    }
}

impl HostDescriptor for FilesystemView<'_> {
    async fn open_at(
        &mut self,
        dir: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let how = How::new(path_flags, open_flags, flags)?;
        let Dir { dir: handle, perms, .. } = self.dir(&dir)?.clone();
        let parent = self.held(&dir)?;
        let is_refused = perms.write_not_permitted() || parent.is_guarded();
        if how.changes() && is_refused {
            return Err(ErrorCode::NotPermitted.into());
        }
        let (area, guards_git) = (Arc::clone(&parent.area), !parent.area.exposes_git);
        let open = self.ctx.files.open(&area)?;
        let account = self.account(&dir)?;
        let opened =
            blocking(move || open::open(&handle, &path, how.guarded(guards_git), perms, &account));
        let (opened, in_git) = opened.await?.map_err(|error| match error {
            OpenError::Code(code) => code.into(),
            OpenError::Io(error) => FsError::from(error),
        })?;
        let held = Held { area, in_git, _open: Some(open) };
        match &opened {
            Descriptor::File(file) => self.ctx.handles.add(&file.file),
            Descriptor::Dir(dir) => self.ctx.handles.add(&dir.dir),
        }
        let descriptor = self.table.push(opened)?;
        self.ctx.held.insert(descriptor.rep(), held);
        Ok(descriptor)
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        let place = descriptor.rep();
        HostDescriptor::drop(&mut self.wasi(), descriptor)?;
        self.ctx.held.remove(&place);
        Ok(())
    }

    fn read_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let handle = match self.table.get(&file)? {
            Descriptor::File(file) => Arc::clone(&file.file),
            Descriptor::Dir(_) => return Err(ErrorCode::IsDirectory.into()),
        };
        let (calls, held) = (self.ctx.calls.clone(), self.held(&file)?.clone());
        let reader = FileReader::new(handle, offset, calls, held);
        Ok(self.table.push(Box::new(reader) as DynInputStream)?)
    }

    fn write_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&file, Place::At(offset))
    }

    fn append_via_stream(
        &mut self,
        file: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&file, Place::End)
    }

    async fn write(
        &mut self,
        file: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        self.writable(&file)?;
        let length = self.wasi().stat(borrow(&file)).await?.size;
        let (size, end) = (bytes.len() as u64, offset.saturating_add(bytes.len() as u64));
        self.charge(&file, size, end.saturating_sub(length)).await?;
        self.wasi().write(file, bytes, offset).await
    }

    async fn set_size(&mut self, file: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        self.writable(&file)?;
        let length = self.wasi().stat(borrow(&file)).await?.size;
        let growth = size.saturating_sub(length);
        self.charge(&file, growth, growth).await?;
        let held = self.held(&file)?.clone();
        self.wasi().set_size(file, size).await?;
        if size < length {
            held.freed();
        }
        Ok(())
    }

    async fn read_directory(
        &mut self,
        dir: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let handle = Arc::clone(&self.dir(&dir)?.dir);
        let area = Arc::clone(&self.held(&dir)?.area);
        let open = self.ctx.files.open(&area)?;
        let held = Held { area, in_git: false, _open: Some(open) };
        let entries = blocking(move || Entries::open(handle, held)).await??;
        // A resource is its place in the table, whatever is there.
        Ok(Resource::new_own(self.table.push(entries)?.rep()))
    }

    async fn create_directory_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        self.check_change(&dir, &path, false).await?;
        self.charge_entry(&dir).await?;
        self.wasi().create_directory_at(dir, path).await
    }

    async fn symlink_at(
        &mut self,
        dir: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        self.check_change(&dir, &path, false).await?;
        // What the link leads to may become a git directory.
        self.check_change(&dir, &target, false).await?;
        self.charge_entry(&dir).await?;
        self.wasi().symlink_at(dir, target, path).await
    }

    async fn link_at(
        &mut self,
        old_dir: Resource<Descriptor>,
        flags: PathFlags,
        old_path: String,
        new_dir: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        // Through another name, the same file could be written to.
        let follow = flags.contains(PathFlags::SYMLINK_FOLLOW);
        self.check_change(&old_dir, &old_path, follow).await?;
        self.check_change(&new_dir, &new_path, false).await?;
        self.check_link(&old_dir, &new_dir)?;
        self.charge_entry(&new_dir).await?;
        self.wasi().link_at(old_dir, flags, old_path, new_dir, new_path).await
    }

    async fn rename_at(
        &mut self,
        old_dir: Resource<Descriptor>,
        old_path: String,
        new_dir: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        self.check_change(&old_dir, &old_path, false).await?;
        self.check_change(&new_dir, &new_path, false).await?;
        self.check_move(&old_dir, &new_dir)?;
        let held = self.held(&new_dir)?.clone();
        self.wasi().rename_at(old_dir, old_path, new_dir, new_path).await?;
        // Something may have been there.
        held.freed();
        Ok(())
    }

    async fn unlink_file_at(&mut self, dir: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.check_change(&dir, &path, false).await?;
        let held = self.held(&dir)?.clone();
        self.wasi().unlink_file_at(dir, path).await?;
        held.freed();
        Ok(())
    }

    async fn remove_directory_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        self.check_change(&dir, &path, false).await?;
        let held = self.held(&dir)?.clone();
        self.wasi().remove_directory_at(dir, path).await?;
        held.freed();
        Ok(())
    }

    async fn set_times_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let follow = flags.contains(PathFlags::SYMLINK_FOLLOW);
        self.check_change(&dir, &path, follow).await?;
        self.wasi().set_times_at(dir, flags, path, accessed, modified).await
    }

    // What follows changes nothing beside the file that the guest has open, and is wasmtime's alone.

    async fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        if self.held(&descriptor)?.is_guarded() {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.wasi().set_times(descriptor, accessed, modified).await
    }

    async fn advise(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.wasi().advise(file, offset, length, advice).await
    }

    async fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.wasi().sync_data(descriptor).await
    }

    async fn sync(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.wasi().sync(descriptor).await
    }

    async fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.wasi().get_flags(descriptor).await
    }

    async fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.wasi().get_type(descriptor).await
    }

    async fn read(
        &mut self,
        file: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let File { file: handle, open_mode, .. } = self.file(&file)?;
        if length > 0
            && open_mode.contains(OpenMode::READ)
            && let Some(bytes) = read_cached(handle, length, offset)
        {
            let ended = bytes.is_empty();
            return Ok((bytes.into(), ended));
        }
        self.wasi().read(file, length, offset).await
    }

    async fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.wasi().stat(descriptor).await
    }

    async fn stat_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.wasi().stat_at(dir, flags, path).await
    }

    async fn readlink_at(&mut self, dir: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.wasi().readlink_at(dir, path).await
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Descriptor>,
        b: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.wasi().is_same_object(a, b).await
    }

    async fn metadata_hash(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> FsResult<MetadataHashValue> {
        self.wasi().metadata_hash(descriptor).await
    }

    async fn metadata_hash_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.wasi().metadata_hash_at(dir, flags, path).await
    }
}

/// A listing, by its place in the table.
fn listing(stream: &Resource<DirectoryEntryStream>) -> Resource<Entries> {
    Resource::new_own(stream.rep())
}

impl HostDirectoryEntryStream for FilesystemView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let entries = self.table.get_mut(&listing(&stream))?;
        if let Some(entry) = entries.next() {
            return entry.map(Some);
        }
        let Some(rest) = entries.take_rest() else { return Ok(None) };
        let batch = blocking(move || read_batch(rest)).await?;
        let entries = self.table.get_mut(&listing(&stream))?;
        entries.put_back(batch);
        entries.next().transpose()
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(listing(&stream))?;
        Ok(())
    }
}
