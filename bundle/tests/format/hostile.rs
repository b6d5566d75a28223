//! Bytes that are no bundle, or no longer one, give a clean error.

use crate::sample::{patterns, routes, writer};
use bundle::{BundleView, Digest, OpenError, RouteKind};

/// A bundle of some hundred bytes: all small routes.
fn small_bundle() -> Vec<u8> {
    let small = routes().into_iter().filter(|route| route.path != "/large.bin").collect();
    writer(small).finish().unwrap().to_vec()
}

/// Makes the digest right again after a change, so that the checks behind it are reached.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = Digest::of(&bytes[56..]);
    bytes[24..56].copy_from_slice(digest.as_bytes());
    bytes
}

/// Opens bytes where they lie and by reading them, which must come to the same.
fn open(bytes: &[u8]) -> Result<BundleView<&[u8]>, OpenError> {
    let lying = BundleView::open(bytes);
    let read = BundleView::open_read(bytes, &mut { bytes }).expect("memory can be read");
    match (&lying, &read) {
        (Ok(lying), Ok(read)) => assert_eq!(format!("{lying:?}"), format!("{read:?}")),
        (lying, read) => assert_eq!(lying.as_ref().err(), read.as_ref().err()),
    }
    read
}

fn open_error(bytes: &[u8]) -> OpenError {
    open(bytes).expect_err("these bytes are no bundle")
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small_bundle();
    for len in 0..bytes.len() {
        let error = open(&bytes[..len]).expect_err("a bundle cut short is none");
        assert!(matches!(error, OpenError::NotABundle | OpenError::Length { .. }), "{len}: {error}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let mut bytes = small_bundle();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(open(&bytes).is_ok());
}

#[test]
fn every_flipped_bit_behind_a_right_digest_is_refused_or_read_whole() {
    // The digest catches accidents. Whoever makes a bundle can make its digest too, so the checks behind it must hold
    // alone: each accessor is called on whatever still opens.
    let original =
        writer(patterns().into_iter().chain(routes().into_iter().take(2)).collect()).finish().unwrap().to_vec();
    for bit in 56 * 8..original.len() * 8 {
        let mut bytes = original.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(view) = open(&sealed(bytes)) {
            assert_eq!(view.patterns().len(), view.routes().filter(|route| route.kind() == RouteKind::Pattern).count());
            for path in ["/docs/v1/x", "/docs/v1/x/y", "/secret/"] {
                let location = view.find_pattern(path.as_bytes()).map(|(_, location)| location).unwrap_or_default();
                assert!(location.bytes().all(|byte| byte.is_ascii_graphic()) && !location.starts_with("//"));
            }
            for route in view.routes() {
                assert_eq!(view.find(route.path()).is_some(), route.kind() != RouteKind::Pattern);
                for variant in route.variants() {
                    let head = variant.head();
                    let fields =
                        [head.content(), head.shared(), head.fields(), variant.etag(), variant.repeated_fields()];
                    let read = [head.whole(), &fields.concat(), variant.body()];
                    assert!(read.concat().len() >= variant.body_range().len() && route.location().len() < 8193);
                }
            }
        }
    }
}

#[test]
fn bytes_added_at_the_end_are_refused() {
    let mut bytes = small_bundle();
    bytes.push(0);
    assert!(matches!(open_error(&bytes), OpenError::Length { .. }));
}

#[test]
fn another_version_is_named() {
    let mut bytes = small_bundle();
    bytes[8] = 2;
    assert_eq!(open_error(&bytes), OpenError::Version { found: 2 });
}

#[test]
fn an_unknown_section_is_passed_over_unless_it_is_required() {
    // Without it the heads of another protocol could not be added without a new version.
    let with_section = |flags: u32| {
        let old = small_bundle();
        let entries = 9 * 24;
        let mut bytes = old[..64 + entries].to_vec();
        let mut entry = Vec::new();
        entry.extend_from_slice(&33_u32.to_le_bytes());
        entry.extend_from_slice(&flags.to_le_bytes());
        bytes[56] = 10;
        // The new entry takes 24 bytes of the table, so every section moves to the next place of its alignment.
        let mut sections = Vec::new();
        let mut end = 64 + entries + 24;
        for number in 0..9 {
            let at = 64 + number * 24;
            let start = usize::try_from(u64::from_le_bytes(old[at + 8..at + 16].try_into().unwrap())).unwrap();
            let len = usize::try_from(u64::from_le_bytes(old[at + 16..at + 24].try_into().unwrap())).unwrap();
            let alignment: usize = [8, 8, 8, 8, 8, 8, 64, 64, 4096][number];
            let new_start = end.next_multiple_of(alignment);
            bytes[at + 8..at + 16].copy_from_slice(&(new_start as u64).to_le_bytes());
            sections.push((new_start, old[start..start + len].to_vec()));
            end = new_start + len;
        }
        let start = end.next_multiple_of(8);
        entry.extend_from_slice(&(start as u64).to_le_bytes());
        entry.extend_from_slice(&5_u64.to_le_bytes());
        bytes.extend_from_slice(&entry);
        sections.push((start, b"HPACK".to_vec()));
        for (start, content) in sections {
            bytes.resize(start, 0);
            bytes.extend_from_slice(&content);
        }
        let total_len = bytes.len() as u64;
        bytes[16..24].copy_from_slice(&total_len.to_le_bytes());
        BundleView::open(sealed(bytes))
    };
    assert_eq!(with_section(0).unwrap().routes().len(), 5);
    assert!(matches!(with_section(1), Err(OpenError::Section { name: "table", .. })));
}

#[test]
fn the_list_of_patterns_holds_each_of_them_once_and_in_order() {
    // Without it a pattern could be left out silently, or a page taken for one.
    let bytes = writer([patterns(), routes()].concat()).finish().unwrap().to_vec();
    let list = bytes.len() - 16;
    let numbers: Vec<_> =
        bytes[list..].chunks(4).map(|number| u32::from_le_bytes(number.try_into().unwrap())).collect();
    let with = |numbers: [u32; 4]| {
        let mut bytes = bytes.clone();
        for (place, number) in bytes[list..].chunks_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        open(&sealed(bytes)).map(|view| view.patterns().len())
    };
    let [a, b, c, d] = numbers[..] else { panic!("{numbers:?}") };
    assert!(with([a, b, c, d]).is_ok() && with([a, b, d, c]).is_ok(), "two begin alike");
    for wrong in [[b, a, c, d], [a, c, b, d], [a, a, c, d], [a, b, c, 0], [a, b, c, u32::MAX], [a, b, c, 10]] {
        assert!(matches!(with(wrong), Err(OpenError::Section { name: "patterns", .. })), "{wrong:?}");
    }
}

#[test]
fn messages_say_what_is_wrong() {
    let messages = [
        open_error(b"<!doctype html>").to_string(),
        open_error(&small_bundle()[..100]).to_string(),
        OpenError::Digest.to_string(),
    ];
    assert_eq!(messages[0], "not a bundle (its first bytes are others)");
    assert!(messages[1].starts_with("cut short or added to: the bundle says "), "{}", messages[1]);
    assert_eq!(messages[2], "damaged: its digest is not that of its content");
}

#[test]
fn a_file_that_is_shorter_or_longer_than_its_map_is_refused() {
    // It was cut short, or added to, after it was mapped.
    let bytes = small_bundle();
    for len in [0, 40, 64, 200, bytes.len() - 1] {
        let error = BundleView::open_read(&bytes[..], &mut &bytes[..len]).unwrap().expect_err("it is shorter");
        assert!(matches!(error, OpenError::NotABundle | OpenError::Length { .. }), "{len}: {error}");
    }
    let longer = [&bytes[..], b"x"].concat();
    let error = BundleView::open_read(&bytes[..], &mut &longer[..]).unwrap().expect_err("it is longer");
    assert!(matches!(error, OpenError::Length { .. }), "{error}");
    let error = BundleView::open_read(&longer[..], &mut &bytes[..]).unwrap().expect_err("the map is longer");
    assert!(matches!(error, OpenError::Length { .. }), "{error}");
}
