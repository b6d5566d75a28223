//! Raw memory: files mapped into it, and giving back what was freed.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file mapped into memory, read-only, with its descriptor for `sendfile`.
#[derive(Debug)]
pub struct MappedFile {
    map: memmap2::Mmap,
    file: File,
}

impl MappedFile {
    /// Maps the whole of a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
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
        Ok(Self { map, file })
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

/// Has the allocator give memory that was freed back to the system. It may take some milliseconds.
pub fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the standard library has no word for it")]
    // SAFETY: it takes no pointer and may be called by any thread at any time (malloc_trim(3)); what it returns is only
    // whether there was anything to give back.
    unsafe {
        libc::malloc_trim(0);
    }
}
