//! What the real binary gives up after its start, and what a service manager gives it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use bundle::Settings;
use runtime::sandbox::{self, Folders};

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

/// What a process tries that has entered the sandbox.
fn try_in_sandbox(deed: &str, folder: &Path) -> Result<(), std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let entered = sandbox::enter(&Folders { read: vec![folder.to_owned()], remove_from: Vec::new() });
    assert!(entered.has_seccomp);
    match deed {
        "read" => std::fs::read(folder.join("file")).map(|_| ()),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().unwrap()),
        "wait" => {
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok(())
        }
        "be idle" => runtime::priority::run_when_idle(),
        "write" => std::fs::write(folder.join("other"), "text"),
        // A kernel without Landlock can't refuse that.
        "read elsewhere" if !entered.has_landlock => Err(std::io::ErrorKind::Unsupported.into()),
        "read elsewhere" => std::fs::read("/etc/passwd").map(|_| ()),
        "list" => std::fs::read_dir(folder)?.next().transpose().map(|_| ()),
        "connect" => TcpStream::connect(address).map(|_| ()),
        "listen" => TcpListener::bind("127.0.0.1:0").map(|_| ()),
        "run memory" => memmap2::MmapMut::map_anon(4096).unwrap().make_exec().map(|_| ()),
        "run" => Command::new("/bin/true").status().map(|_| ()),
        "become another" => Err(Command::new("/bin/true").exec()),
        "abort" => std::process::abort(),
        _ => panic!("no such deed"),
    }
}

#[test]
fn in_the_sandbox_there_is_what_a_server_needs_and_nothing_else() {
    const NAME: &str = "confinement::in_the_sandbox_there_is_what_a_server_needs_and_nothing_else";
    if let Some(folder) = std::env::var_os("SANDBOX_FOLDER") {
        let deed = std::env::var("SANDBOX_DEED").unwrap();
        std::process::exit(i32::from(try_in_sandbox(&deed, Path::new(&folder)).is_err()));
    }
    let scratch = Scratch::new("deeds");
    scratch.write("file", b"text");
    let attempt = |deed: &str| {
        // This very test, in a process of its own.
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME]).env("SANDBOX_FOLDER", &scratch.0).env("SANDBOX_DEED", deed);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        (status.code(), status.signal())
    };
    for deed in ["read", "thread", "wait", "be idle"] {
        assert_eq!(attempt(deed), (Some(0), None), "{deed}");
    }
    for deed in ["write", "read elsewhere", "list", "connect", "listen", "run memory", "run"] {
        assert_eq!(attempt(deed), (Some(1), None), "{deed}");
    }
    assert_eq!(attempt("become another"), (None, Some(libc::SIGSYS)));
    // musl aborts by a call of which the sandbox can't tell whom it is about, and then by a fault.
    let end = if cfg!(target_env = "musl") { libc::SIGSEGV } else { libc::SIGABRT };
    assert_eq!(attempt("abort"), (None, Some(end)));
    assert!(!scratch.0.join("other").exists());
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
