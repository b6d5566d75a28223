//! Raw memory: files mapped into it, and giving back what was freed.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A file mapped into memory, read-only, with its descriptor for `sendfile`.
#[derive(Debug)]
pub struct MappedFile {
    map: memmap2::Mmap,
    file: File,
    identity: FileIdentity,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    len: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl FileIdentity {
    /// Whether these are two states of one file.
    pub fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { device: metadata.dev(), inode: metadata.ino(), len: metadata.len(), modified }
    }
}

impl MappedFile {
    /// Maps the whole of a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        // A pipe without a writer would be waited for.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        #[expect(
            unsafe_code,
            reason = "a map is memory that another process can change; see below why that is bearable"
        )]
        // SAFETY: the promise is that nobody changes the file while it is mapped. Deploying keeps it: a new bundle is put
        // beside and renamed. Where somebody breaks it, the bytes are plain `u8`, for which every value is valid; what
        // the server itself reads was copied when the bundle was checked, and heads and bodies are only handed to the
        // kernel, which answers a map that was cut short with EFAULT instead of SIGBUS.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self { map, file, identity: FileIdentity::from(&metadata) })
    }

    /// What the file was when it was mapped.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Whether somebody has written to the file since. One that was removed is what it was: the map holds it.
    pub fn is_overwritten(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| FileIdentity::from(&metadata) != self.identity)
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

/// Whether a byte of a file is in memory, so that nobody has to wait for it. Where the system can't say, it is.
pub fn is_in_memory(file: &File, offset: usize) -> bool {
    let mut byte = 0_u8;
    let piece = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let Ok(offset) = libc::off_t::try_from(offset) else { return true };
    #[expect(unsafe_code, reason = "the standard library has no word for it")]
    // SAFETY: the one piece is a byte of this function's own, and is written to while this call lasts.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const piece, 1, offset, libc::RWF_NOWAIT) };
    read >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock
}

/// Has the allocator give memory that was freed back to the system. It may take some milliseconds. That of musl does it by
/// itself.
pub fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the standard library has no word for it")]
    // SAFETY: it takes no pointer and may be called by any thread at any time (malloc_trim(3)); what it returns is only
    // whether there was anything to give back.
    unsafe {
        libc::malloc_trim(0);
    }
}
