//! What a server pays for a bundle: checking it at the start, and finding a path for each request.
#![expect(clippy::unwrap_used, reason = "a bench may stop where it stands")]

use std::hint::black_box;
use std::sync::Arc;

use bundle::{BundleView, BundleWriter, Encoding, HeadParts, RouteEntry, RouteKind, Settings, VariantEntry};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A site of many pages, each with a body of its own.
fn bundle_bytes(page_count: usize, body_len: usize) -> Vec<u8> {
    let mut writer = BundleWriter::new(Settings::default(), []);
    for number in 0..page_count {
        let body: Arc<[u8]> = format!("{number:0>body_len$}").into_bytes().into();
        let head = HeadParts {
            status_line: "HTTP/1.1 200 OK\r\n".to_owned(),
            length: format!("Content-Length: {}\r\n", body.len()),
            content: "Content-Type: text/html; charset=utf-8\r\n".to_owned(),
            shared: format!("ETag: \"{number}\"\r\nCache-Control: public, max-age=0, must-revalidate\r\n"),
        };
        let variants = vec![VariantEntry { encoding: Encoding::Identity, head, body }];
        let path = format!("/posts/page-{number}");
        writer.add(RouteEntry { path, kind: RouteKind::Page, status: 200, location: String::new(), variants });
    }
    writer.finish().unwrap().to_vec()
}

fn open(criterion: &mut Criterion) {
    for (name, page_count, body_len) in [("5 MB", 500, 10_000), ("100 MB", 10_000, 10_000)] {
        let bytes = bundle_bytes(page_count, body_len);
        let mut group = criterion.benchmark_group("open");
        group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(20);
        group.bench_function(name, |bencher| bencher.iter(|| BundleView::open(black_box(&bytes)).unwrap()));
    }
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find");
    for page_count in [100, 10_000, 1_000_000] {
        let view = BundleView::open(bundle_bytes(page_count, 8)).unwrap();
        let paths: Vec<_> = (0..1000).map(|number| format!("/posts/page-{}", number * 7919 % page_count)).collect();
        group.throughput(Throughput::Elements(paths.len() as u64));
        group.bench_function(format!("1,000 paths of {page_count} pages"), |bencher| {
            bencher.iter(|| paths.iter().filter(|path| view.find(black_box(path.as_bytes())).is_some()).count());
        });
    }
}

criterion_group!(benches, open, find);
criterion_main!(benches);
