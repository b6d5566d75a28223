//! Numbers at places in a file's bytes. A place outside has none.

/// The `N` bytes at a place.
pub(super) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Two bytes, the most significant first.
pub(super) fn u16_be(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_be_bytes)
}

/// Two bytes, the least significant first.
pub(super) fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

/// Four bytes, the most significant first.
pub(super) fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_be_bytes)
}

/// Four bytes, the least significant first.
pub(super) fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

/// Three bytes, the least significant first.
pub(super) fn u24_le(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]))
}
