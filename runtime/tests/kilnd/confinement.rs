//! What the real binary gives up after its start, and what a service manager gives it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use bundle::Settings;

use crate::process::{GET_POST, Kilnd, Scratch, request};
use crate::small_site;

#[test]
fn after_the_start_the_sandbox_is_closed_unless_somebody_opens_it() {
    // An intruder in the process would find no shell, no other file and no way out.
    let scratch = Scratch::new("sandbox");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    for (words, seccomp) in [(&[][..], "2"), (&["--no-sandbox"][..], "0")] {
        let kilnd = Kilnd::start(&path, words);
        assert!(request(&mut kilnd.connect(), GET_POST).starts_with("HTTP/1.1 200"));
        let tasks = std::fs::read_dir(format!("/proc/{}/task", kilnd.process.id())).unwrap();
        for task in tasks {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            assert!(status.contains(&format!("\nSeccomp:\t{seccomp}\n")), "{status}");
        }
    }
}

#[test]
fn a_service_managers_socket_is_taken_and_it_is_told_when_the_server_is_ready() {
    let scratch = Scratch::new("systemd");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let notify_path = scratch.0.join("notify");
    let notified = UnixDatagram::bind(&notify_path).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A shell puts the socket at descriptor 3, and its own number into the environment, as a service manager does.
    let script = format!("exec 3<&{} && LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$1\"", listener.as_raw_fd());
    nix::fcntl::fcntl(&listener, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    // Not every `sh` reads descriptors above 9, and the listener may have one.
    let mut command = Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_kilnd")]).arg(&path).env("NOTIFY_SOCKET", &notify_path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let kilnd = Kilnd::spawn(&mut command);
    assert_eq!(kilnd.address, address.to_string());
    let mut message = [0; 64];
    let len = notified.recv(&mut message).unwrap();
    assert_eq!(&message[..len], b"READY=1");
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(GET_POST.as_bytes()).unwrap();
    client.read_exact(&mut message[..12]).unwrap();
    assert_eq!(&message[..12], b"HTTP/1.1 200");
    kilnd.signal("-TERM");
    let len = notified.recv(&mut message).unwrap();
    assert_eq!(&message[..len], b"STOPPING=1");
}
