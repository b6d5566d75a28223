//! The bytes of a file on their way through a build: held in memory, or left in the file where they lie and read when they
//! are needed. So what a build takes follows from what it works on, and not from how many pictures there are. What is read
//! again is what it was, or there is an error: nothing ever mixes two states of a file.

use std::borrow::Cow;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bundle::{Body, Digest, Hasher};

/// Fewer bytes than this are always held, and so many tell whether a file is text. Guessed: most variants of pictures have
/// 10 to 100 KB, and ten thousand that are held come to 40 MB at most.
const LEFT_BYTES_MIN: usize = 4 * 1024;
/// How much is read at a time of what isn't kept.
const PIECE_BYTES: usize = 128 * 1024;

/// The bytes of a file, or of what was made of one.
#[derive(Clone, Default)]
pub struct Bytes {
    place: Place,
    /// What they are recognised by, once somebody asked.
    digest: OnceLock<Digest>,
}

#[derive(Clone)]
enum Place {
    /// They are in memory.
    Held(Arc<[u8]>),
    /// They are in memory, and text: whoever reads it as one needs no copy.
    Text(Arc<str>),
    /// They are in a file.
    Left(Arc<LeftBytes>),
}

/// Where bytes lie, and what they are recognised by.
struct LeftBytes {
    path: PathBuf,
    offset: u64,
    len: usize,
    digest: Digest,
    /// How the file looked when its bytes were found to have this digest.
    verified: Mutex<Option<Look>>,
}

/// How an open file looks. Whoever writes to it gives it another look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Look {
    device: u64,
    inode: u64,
    len: u64,
    /// Seconds and nanoseconds since 1970; unlike the time of the last change of the content nobody can set it back.
    changed: (i64, i64),
}

/// A file that was changed so shortly ago may change again without looking otherwise: systems count its time in steps of
/// up to 10 ms. Guessed, twice that.
const UNSURE_TIME_MAX: Duration = Duration::from_millis(20);

impl Look {
    /// `None` if the file may change without looking otherwise.
    fn of(metadata: &Metadata) -> Option<Self> {
        let (seconds, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
        let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
        // A time in the future says nothing about when the file will change again.
        let is_sure = (SystemTime::UNIX_EPOCH + since).elapsed().is_ok_and(|age| age > UNSURE_TIME_MAX);
        let look = Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (seconds, nanoseconds),
        };
        is_sure.then_some(look)
    }
}

/// A fault of the world while reading: which file, and what the system said.
#[derive(Debug)]
pub struct ReadError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "can't read `{}`: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for ReadError {}

impl ReadError {
    /// Whether this error is that a file of a folder can't be read.
    pub fn is_in(error: &io::Error, folder: &Path) -> bool {
        let read_error = error.get_ref().and_then(|error| error.downcast_ref::<Self>());
        read_error.is_some_and(|error| error.path.starts_with(folder))
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        Self::other(error)
    }
}

impl Bytes {
    /// What a file holds from where it is read to its end. Texts and small files are held, all others stay where they are.
    ///
    /// # Errors
    /// What the system said.
    pub fn read_rest(file: &mut File, path: &Path) -> io::Result<Self> {
        let offset = file.stream_position()?;
        let metadata = file.metadata()?;
        // What is written from now on gives it another look.
        let look = Look::of(&metadata);
        // Room for all at once: it would be moved again and again while it grows.
        let len = usize::try_from(metadata.len().saturating_sub(offset)).unwrap_or_default();
        let mut beginning = Vec::with_capacity(len.min(LEFT_BYTES_MIN));
        file.take(LEFT_BYTES_MIN as u64).read_to_end(&mut beginning)?;
        if beginning.len() < LEFT_BYTES_MIN || is_text(&beginning) {
            beginning.try_reserve_exact(len.saturating_sub(beginning.len()))?;
            file.read_to_end(&mut beginning)?;
            return Ok(String::from_utf8(beginning).map_or_else(|error| error.into_bytes().into(), Self::from));
        }
        let mut hasher = Hasher::default();
        hasher.update(&beginning);
        let mut len = beginning.len();
        for_each_piece(file, |piece| {
            hasher.update(piece);
            len += piece.len();
            Ok(())
        })?;
        let digest = hasher.finish();
        Ok(LeftBytes { path: path.to_owned(), offset, len, digest, verified: Mutex::new(look) }.into())
    }

    /// Bytes that were written to a file just now, at an offset: they are given back to the system, unless they are few.
    pub fn leave(bytes: Vec<u8>, path: &Path, offset: u64) -> Self {
        if !Self::can_leave(&bytes) {
            return bytes.into();
        }
        let (len, digest) = (bytes.len(), Digest::of(&bytes));
        LeftBytes { path: path.to_owned(), offset, len, digest, verified: Mutex::default() }.into()
    }

    /// Text that has been recognised already.
    pub fn of_text(text: String, digest: Digest) -> Self {
        Self { place: Place::Text(text.into()), digest: digest.into() }
    }

    /// Whether there are enough bytes that leaving them in a file is worth it.
    pub fn can_leave(bytes: &[u8]) -> bool {
        bytes.len() >= LEFT_BYTES_MIN
    }

    /// The bytes themselves.
    ///
    /// # Errors
    /// The file isn't there any more, or isn't what it was.
    pub fn read(&self) -> Result<Cow<'_, [u8]>, ReadError> {
        match &self.place {
            Place::Held(bytes) => Ok(Cow::Borrowed(bytes)),
            Place::Text(text) => Ok(Cow::Borrowed(text.as_bytes())),
            Place::Left(left) => {
                let mut bytes = Vec::with_capacity(left.len);
                left.copy(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Some of the bytes; there are as many. Where the file looks as it did when all of it was verified no others are
    /// read.
    ///
    /// # Errors
    /// The file isn't there any more, or isn't what it was.
    pub fn read_part(&self, part: Range<usize>) -> Result<Vec<u8>, ReadError> {
        match &self.place {
            Place::Held(bytes) => Ok(bytes[part].to_vec()),
            Place::Text(text) => Ok(text.as_bytes()[part].to_vec()),
            Place::Left(left) => left.read_part(part).map_err(|error| ReadError { path: left.path.clone(), error }),
        }
    }

    /// The bytes, if they are in memory.
    pub fn held(&self) -> Option<&[u8]> {
        match &self.place {
            Place::Held(bytes) => Some(bytes),
            Place::Text(text) => Some(text.as_bytes()),
            Place::Left(_) => None,
        }
    }

    /// The bytes as text, if they were read as one.
    pub fn text(&self) -> Option<&Arc<str>> {
        match &self.place {
            Place::Text(text) => Some(text),
            Place::Held(_) | Place::Left(_) => None,
        }
    }
}

/// A file that stays open, so that it is the same one all the time.
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    file: File,
}

impl OpenFile {
    /// An open file, and where it was found.
    pub fn new(file: File, path: &Path) -> Self {
        Self { path: path.to_owned(), file }
    }

    /// A part of it, left where it is. The file has to be as long as that. If another one has its path by the time that the
    /// part is needed, that is an error.
    ///
    /// # Errors
    /// What the system said.
    pub fn read_part(&self, part: Range<usize>) -> Result<Bytes, ReadError> {
        let (path, mut file) = (self.path.clone(), &self.file);
        let mut read = || {
            file.seek(SeekFrom::Start(part.start as u64))?;
            let mut hasher = Hasher::default();
            for_each_piece(file.take(part.len() as u64), |piece| {
                hasher.update(piece);
                Ok(())
            })?;
            let (offset, digest) = (part.start as u64, hasher.finish());
            Ok(LeftBytes { path: self.path.clone(), offset, len: part.len(), digest, verified: Mutex::default() }
                .into())
        };
        read().map_err(|error| ReadError { path, error })
    }
}

impl OpenFile {
    /// The bytes of a part of it, in memory. Threads may read at the same time.
    ///
    /// # Errors
    /// What the system said, or that the file ends before.
    pub fn read_held(&self, part: Range<usize>) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; part.len()];
        let read = self.file.read_exact_at(&mut bytes, part.start as u64);
        read.map_err(|error| ReadError { path: self.path.clone(), error })?;
        Ok(bytes)
    }
}

impl LeftBytes {
    /// Copies the bytes piece by piece. What `out` got is good only if there is no error.
    fn copy(&self, out: &mut dyn Write) -> Result<(), ReadError> {
        let copied = File::open(&self.path).and_then(|file| self.copy_from(file, out));
        copied.map_err(|error| ReadError { path: self.path.clone(), error })
    }

    fn copy_from(&self, mut file: File, out: &mut dyn Write) -> io::Result<()> {
        let Self { offset, len, digest, .. } = self;
        file.seek(SeekFrom::Start(*offset))?;
        let mut hasher = Hasher::default();
        let mut left = *len;
        for_each_piece(file.take(*len as u64), |piece| {
            left -= piece.len();
            hasher.update(piece);
            out.write_all(piece)
        })?;
        if left == 0 && hasher.finish() == *digest { Ok(()) } else { Err(changed()) }
    }

    fn read_part(&self, part: Range<usize>) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let look = Look::of(&file.metadata()?);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if look.is_none() || look != *verified {
            let mut window = Window { part, bytes: Vec::new(), position: 0 };
            self.copy_from(file, &mut window)?;
            *verified = look;
            return Ok(window.bytes);
        }
        drop(verified);
        let mut bytes = vec![0; part.len()];
        file.seek(SeekFrom::Start(self.offset + part.start as u64))?;
        file.read_exact(&mut bytes)?;
        if Look::of(&file.metadata()?) == look { Ok(bytes) } else { Err(changed()) }
    }
}

/// Keeps a part of what is written to it.
struct Window {
    part: Range<usize>,
    bytes: Vec<u8>,
    position: usize,
}

impl Write for Window {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let within = |at: usize| at.saturating_sub(self.position).min(piece.len());
        self.bytes.extend_from_slice(&piece[within(self.part.start)..within(self.part.end)]);
        self.position += piece.len();
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn changed() -> io::Error {
    io::Error::other("it was changed after it had been read; try again")
}

fn for_each_piece(mut file: impl Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => take(&piece[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a file that begins like this is read as text by anybody: pictures, films and archives soon have a zero, or what
/// is no UTF-8.
fn is_text(beginning: &[u8]) -> bool {
    // The last character may be cut.
    let is_utf8 = str::from_utf8(beginning).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !beginning.contains(&0)
}

impl Body for Bytes {
    fn len(&self) -> usize {
        match &self.place {
            Place::Held(bytes) => bytes.len(),
            Place::Text(text) => text.len(),
            Place::Left(left) => left.len,
        }
    }

    fn digest(&self) -> Digest {
        match &self.place {
            Place::Held(bytes) => *self.digest.get_or_init(|| Digest::of(bytes)),
            Place::Text(text) => *self.digest.get_or_init(|| Digest::of(text.as_bytes())),
            Place::Left(left) => left.digest,
        }
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.place {
            Place::Held(bytes) => out.write_all(bytes),
            Place::Text(text) => out.write_all(text.as_bytes()),
            Place::Left(left) => Ok(left.copy(out)?),
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::Held(Arc::default())
    }
}

impl From<Place> for Bytes {
    fn from(place: Place) -> Self {
        Self { place, digest: OnceLock::new() }
    }
}

impl From<LeftBytes> for Bytes {
    fn from(left: LeftBytes) -> Self {
        Place::Left(Arc::new(left)).into()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Place::Held(bytes.into()).into()
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Self {
        Place::Held(bytes).into()
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Place::Held(bytes.into()).into()
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        Place::Text(text.into()).into()
    }
}

impl From<Arc<str>> for Bytes {
    fn from(text: Arc<str>) -> Self {
        Place::Text(text).into()
    }
}

/// Wherever they are.
impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Held(one), Place::Held(other)) => Arc::ptr_eq(one, other) || one == other,
            (Place::Text(one), Place::Text(other)) => Arc::ptr_eq(one, other) || one == other,
            _ => self.len() == other.len() && self.digest() == other.digest(),
        }
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes {:?}", self.len(), self.digest())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file of its own for a test, with these bytes behind a few others, and what became of reading it.
    fn file_of(name: &str, content: &[u8]) -> (PathBuf, Bytes) {
        let path = std::env::temp_dir().join(format!("kiln-bytes-{name}-{}", std::process::id()));
        fs::write(&path, [b"seal", content].concat()).unwrap();
        let mut file = File::open(&path).unwrap();
        file.seek(SeekFrom::Start(4)).unwrap();
        let bytes = Bytes::read_rest(&mut file, &path).unwrap();
        (path, bytes)
    }

    fn picture(len: usize) -> Vec<u8> {
        (0..len).map(|number| u8::try_from(number % 251).unwrap()).collect()
    }

    #[test]
    fn large_files_that_are_no_text_stay_where_they_are() {
        // Without it a build would hold every photograph until it ends.
        for (name, content, is_left) in [
            ("small", picture(LEFT_BYTES_MIN - 1), false),
            ("least", picture(LEFT_BYTES_MIN), true),
            ("large", picture(3 * PIECE_BYTES + 7), true),
            ("text", "€".repeat(LEFT_BYTES_MIN).into_bytes(), false),
            ("latin", [b"\xe4 text ".repeat(LEFT_BYTES_MIN)].concat(), true),
        ] {
            let (path, bytes) = file_of(name, &content);
            assert_eq!(bytes.held().is_none(), is_left, "{name}");
            assert_eq!((bytes.len(), bytes.digest()), (content.len(), Digest::of(&content)), "{name}");
            assert_eq!(bytes.held(), (!is_left).then_some(&*content), "{name}");
            assert_eq!(bytes.read().unwrap(), content, "{name}");
            let mut written = Vec::new();
            bytes.write_to(&mut written).unwrap();
            assert_eq!(written, content, "{name}");
            assert_eq!(bytes, Bytes::from(content), "{name}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_what_it_was_is_an_error_and_never_other_bytes() {
        // A photograph that is replaced while a build runs would be published under the digest of the old one.
        let content = picture(PIECE_BYTES + LEFT_BYTES_MIN);
        let (path, bytes) = file_of("changed", &content);
        let whole = fs::read(&path).unwrap();
        let mut other = whole.clone();
        other[whole.len() - 1] ^= 1;
        let cut = &whole[..whole.len() - 1];
        for (what, now) in [("other", &*other), ("cut", cut), ("empty", b"")] {
            fs::write(&path, now).unwrap();
            let error = bytes.read().unwrap_err().to_string();
            assert!(error.contains("kiln-bytes-changed") && error.contains("it was changed"), "{what}: {error}");
            assert!(bytes.write_to(&mut Vec::new()).is_err(), "{what}");
        }
        for now in [&*whole, &*[&*whole, b"more"].concat()] {
            fs::write(&path, now).unwrap();
            assert_eq!(bytes.read().unwrap(), content, "what was added to a file is not read");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(bytes.read().unwrap_err().error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_part_of_a_file_is_what_it_was_too() {
        let content = picture(3 * PIECE_BYTES);
        let (path, bytes) = file_of("part", &content);
        let parts = [0..1, 5..5, PIECE_BYTES - 3..PIECE_BYTES + 3, content.len() - 2..content.len(), 0..content.len()];
        let check = |bytes: &Bytes| {
            for part in parts.clone() {
                assert_eq!(bytes.read_part(part.clone()).unwrap(), &content[part]);
            }
        };
        // A moment after it was written all of it is verified each time, later only once.
        check(&bytes);
        std::thread::sleep(2 * UNSURE_TIME_MAX);
        check(&bytes);
        check(&Bytes::from(&*content));
        // The time of the last change can be set back.
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let mut other = fs::read(&path).unwrap();
        other[4 + 10] ^= 1;
        fs::write(&path, &other).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert!(bytes.read_part(100..200).is_err(), "a part that is as it was, of a file that isn't");
        fs::remove_file(path).unwrap();
        assert!(bytes.read_part(0..1).is_err());
    }

    #[test]
    fn what_was_written_just_now_is_left_there_if_it_is_large() {
        let content = picture(LEFT_BYTES_MIN);
        let (path, read) = file_of("written", &content);
        let left = Bytes::leave(content.clone(), &path, 4);
        assert!(left.held().is_none() && left == read);
        assert_eq!(left.read().unwrap(), content);
        assert!(Bytes::leave(content[1..].to_vec(), &path, 5).held().is_some());
        let file = OpenFile::new(File::open(&path).unwrap(), &path);
        let part = file.read_part(4 + 100..4 + 200).unwrap();
        assert!(part.held().is_none() && part == Bytes::from(&content[100..200]));
        assert_eq!(part.read().unwrap(), &content[100..200]);
        // One that isn't there is never taken for a shorter one.
        assert!(file.read_part(4..content.len() + 5).unwrap().read().is_err());
        // Nor is a part of another file, whatever lies there.
        fs::rename(file_of("other", &picture(2 * LEFT_BYTES_MIN)[1..]).0, &path).unwrap();
        assert!(file.read_part(4 + 100..4 + 200).unwrap().read().is_err());
        fs::remove_file(path).unwrap();
    }
}
