//! Files that aren't pages: whole, in part, and larger than memory.

use std::fs;
use std::io::Read;
use std::time::Duration;

use crate::server::{Server, count_of, until};
use crate::{new_site, write};

#[test]
fn a_part_of_a_file_is_sent_to_whoever_asks_for_it() {
    // Without parts a browser plays a film from its beginning only.
    let root = new_site("parts");
    let server = Server::start(&root, &[]);
    let get = |range: &str| server.get_with("/static/a.css", &format!("Host: localhost\r\nRange: {range}\r\n"));
    let whole = server.get("/static/a.css");
    let body = whole.split_once("\r\n\r\n").unwrap().1;
    let part = get("bytes=2-5");
    let range = format!("Content-Range: bytes 2-5/{}\r\n", body.len());
    assert!(part.starts_with("HTTP/1.1 206 ") && part.contains(&range) && part.contains("no-store"), "{part}");
    assert!(part.contains("Content-Length: 4\r\n") && part.ends_with(&format!("\r\n\r\n{}", &body[2..6])), "{part}");
    assert!(get("bytes=100000-").starts_with("HTTP/1.1 416 "));
    assert!(get("lines=1-2").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_film_is_read_when_it_is_asked_for_and_never_sent_in_another_state() {
    // It stays on the disk, where it can change without a sign: same length, same time.
    let root = new_site("film");
    let film = |word: &str| format!("\0{}", word.repeat(3_000));
    write(&root, "static/film.bin", &film("one "));
    let time = std::time::SystemTime::now() - Duration::from_mins(1);
    let opened = || fs::File::options().write(true).open(root.join("static/film.bin")).unwrap();
    opened().set_modified(time).unwrap();
    let server = Server::start(&root, &[]);
    assert!(server.get("/static/film.bin").ends_with(&film("one ")));
    let part = server.get_with("/static/film.bin", "Host: localhost\r\nRange: bytes=5-7\r\n");
    assert!(part.ends_with("\r\n\r\none"), "{part}");
    write(&root, "static/film.bin", &film("two "));
    opened().set_modified(time).unwrap();
    assert!(server.get("/static/film.bin").starts_with("HTTP/1.1 503 "));
    until("the new one is sent", || server.get("/static/film.bin").ends_with(&film("two ")));
}

#[test]
fn of_a_large_film_only_what_is_asked_for_is_read_and_little_is_held() {
    // Read as a whole for each part of it, a film of a gigabyte would stand still wherever it is played from.
    const LEN: u64 = 200 << 20;
    let root = new_site("large-film");
    let film = fs::File::create(root.join("static/film.bin")).unwrap();
    film.set_len(LEN).unwrap();
    drop(film);
    std::thread::sleep(Duration::from_millis(50));
    let server = Server::start(&root, &[]);
    let get = |range: &str| {
        let before = count_of(&server, "io", "rchar:");
        let request = format!("GET /static/film.bin HTTP/1.1\r\nHost: localhost\r\n{range}Connection: close\r\n\r\n");
        let mut answer = Vec::new();
        server.send(&request).take(3 << 20).read_to_end(&mut answer).unwrap();
        let head_len = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let body_len = answer.len() - head_len;
        answer.truncate(head_len);
        (String::from_utf8(answer).unwrap(), body_len, count_of(&server, "io", "rchar:") - before)
    };
    let (head, body_len, read) = get("Range: bytes=104857600-104858599\r\n");
    assert!(head.contains("Content-Range: bytes 104857600-104858599/209715200\r\n"), "{head}");
    assert!(body_len == 1000 && read < 1 << 20, "{body_len} bytes were sent, and {read} read");
    // What is no small part comes in pieces.
    for range in ["Range: bytes=1000-\r\n", ""] {
        let (head, body_len, read) = get(range);
        assert!(head.contains("Transfer-Encoding: chunked\r\n") && !head.contains("Content-Length"), "{head}");
        assert_eq!(head.contains("Content-Range: bytes 1000-209715199/209715200\r\n"), !range.is_empty(), "{head}");
        // The client has gone by then, and sockets hold a few megabytes.
        assert!(body_len > 2 << 20 && read < 64 << 20, "{body_len} bytes were sent, and {read} read");
    }
    let head = "HEAD /static/film.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    server.send(head).read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Content-Length: 209715200\r\n"), "{answer}");
    let memory = count_of(&server, "status", "VmHWM:");
    assert!(memory < 150 << 10, "{memory} KiB were held");
}
