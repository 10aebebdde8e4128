//! Reads what strace wrote down of a process's file calls, into calls in the order in which they began and ended.

use std::{collections::HashMap, path::Path, process::Command};

/// The calls that change files, names or what is durable of them, and those that tell which file a number means.
const CALLS: &str = "trace=openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,\
                     mkdir,mkdirat,rmdir,writev,pwritev,fallocate,link,linkat,truncate,copy_file_range,sendfile";

/// The command that writes down the calls of the program that follows, and kills it where one of its threads is about to
/// sync data for the `kill_at`-th time.
pub fn strace(output: &Path, kill_at: Option<u32>) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-x", "-s", "4000000", "-e", CALLS]);
    if let Some(turn) = kill_at {
        command.arg("-e").arg(format!("inject=fdatasync:signal=SIGKILL:when={turn}"));
    }
    command.arg("-o").arg(output);
    command
}

pub fn is_installed() -> bool {
    Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success())
}

/// One call that succeeded.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    Open {
        path: String,
        fd: u64,
        create: bool,
        truncate: bool,
    },
    /// Nothing as its offset: where the file's position is.
    Write {
        path: String,
        fd: u64,
        offset: Option<u64>,
        bytes: Vec<u8>,
    },
    Truncate {
        path: String,
        len: u64,
    },
    Sync {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Unlink {
        path: String,
    },
    MakeDir {
        path: String,
    },
}

/// A call began, or the call that began at this index ended.
pub enum Event {
    Begin(Call),
    End(usize),
}

/// The events of a trace. A call that never ended only begins; one that failed is left out.
pub fn read(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut open: HashMap<&str, (String, Option<usize>)> = HashMap::new();
    for line in text.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(front) = rest.strip_suffix("<unfinished ...>") {
            // What a write or a sync does is known when it begins, what the others do only when they ended.
            let begun = parse(front, None).map(|call| {
                events.push(Event::Begin(call));
                events.len() - 1
            });
            open.insert(pid, (front.to_owned(), begun));
        } else if rest.starts_with("<... ") {
            let (Some((front, begun)), Some((_, back))) = (open.remove(pid), rest.split_once("resumed>")) else {
                continue;
            };
            match begun {
                // A question mark stands for the result of a call in which the process died.
                Some(_) if back.trim_end().ends_with("= ?") => {}
                Some(index) => events.push(Event::End(index)),
                None => complete(&format!("{front}{back}"), &mut events),
            }
        } else {
            complete(rest, &mut events);
        }
    }
    events
}

fn complete(line: &str, events: &mut Vec<Event>) {
    let Some((call, result)) = line.rsplit_once(" = ") else { return };
    if result.starts_with('-') {
        return;
    }
    if result.starts_with('?') {
        events.extend(parse(call, None).map(Event::Begin));
        return;
    }
    if let Some(call) = parse(call, Some(result)) {
        events.push(Event::Begin(call));
        events.push(Event::End(events.len() - 1));
    }
}

/// `result` is nothing for a call that has not ended.
fn parse(line: &str, result: Option<&str>) -> Option<Call> {
    let (name, arguments) = line.split_once('(')?;
    let call = match name {
        "write" | "pwrite64" => {
            let (fd, path) = descriptor(arguments)?;
            let (bytes, rest) = quoted(arguments)?;
            let offset = (name == "pwrite64").then(|| number(rest.split(',').nth(2)?)).flatten();
            Call::Write { path, fd, offset, bytes }
        }
        "fsync" | "fdatasync" => Call::Sync { path: descriptor(arguments)?.1 },
        "ftruncate" => Call::Truncate { path: descriptor(arguments)?.1, len: number(arguments.split(", ").nth(1)?)? },
        "openat" if result.is_some() => {
            let (fd, _) = descriptor(result?)?;
            let (path, flags) = quoted(arguments)?;
            let (create, truncate) = (flags.contains("O_CREAT"), flags.contains("O_TRUNC"));
            Call::Open { path: text(path), fd, create, truncate }
        }
        "rename" if result.is_some() => {
            let (from, rest) = quoted(arguments)?;
            Call::Rename { from: text(from), to: text(quoted(rest)?.0) }
        }
        "unlink" if result.is_some() => Call::Unlink { path: text(quoted(arguments)?.0) },
        "mkdir" if result.is_some() => Call::MakeDir { path: text(quoted(arguments)?.0) },
        // Calls that did not end, and the name that strace gives to one of a thread that died before it told.
        "openat" | "rename" | "unlink" | "mkdir" | "???" => return None,
        other => panic!("the trace holds a call that the replay does not know: {other}"),
    };
    Some(call)
}

/// `5</a/file>` at the front.
fn descriptor(text: &str) -> Option<(u64, String)> {
    let (fd, rest) = text.split_once('<')?;
    Some((fd.trim().parse().ok()?, rest.split_once('>')?.0.to_owned()))
}

fn number(text: &str) -> Option<u64> {
    text.trim().trim_end_matches(')').trim_end().parse().ok()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The first string in quotes, with its C escapes undone, and what follows it.
fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let text = &text[text.find('"')? + 1..];
    let raw = text.as_bytes();
    let mut bytes = Vec::new();
    let mut at = 0;
    loop {
        match *raw.get(at)? {
            b'"' => return Some((bytes, &text[at + 1..])),
            b'\\' => {
                let (byte, len) = escape(&raw[at + 1..])?;
                bytes.push(byte);
                at += 1 + len;
            }
            byte => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
}

fn escape(raw: &[u8]) -> Option<(u8, usize)> {
    Some(match raw.first()? {
        b'n' => (b'\n', 1),
        b't' => (b'\t', 1),
        b'r' => (b'\r', 1),
        b'v' => (0x0b, 1),
        b'f' => (0x0c, 1),
        b'x' => ((hex(*raw.get(1)?) << 4) | hex(*raw.get(2)?), 3),
        b'0'..=b'7' => {
            let digits = raw.iter().take(3).take_while(|digit| (b'0'..=b'7').contains(digit));
            let (value, len) =
                digits.fold((0u8, 0), |(value, len), digit| (value.wrapping_mul(8) + (digit - b'0'), len + 1));
            (value, len)
        }
        other => (*other, 1),
    })
}

fn hex(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}

#[test]
fn a_trace_is_read_with_what_began_ended_and_died() {
    let text = r#"7 openat(AT_FDCWD</>, "/d/new", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 5</d/new>
7 pwrite64(5</d/new>, "a\"\x0f\n", 4, 16 <unfinished ...>
8 ???( <unfinished ...>
8 fdatasync(6</d/old>) = -1 EIO (Input/output error)
7 <... pwrite64 resumed>) = 4
7 fsync(5</d/new>) = 0
7 fdatasync(5</d/new>) = ?
7 +++ killed by SIGKILL +++"#;
    let sync = Call::Sync { path: "/d/new".to_owned() };
    let read: Vec<_> = read(text)
        .into_iter()
        .map(|event| match event {
            Event::Begin(call) => Ok(call),
            Event::End(index) => Err(index),
        })
        .collect();
    assert_eq!(
        read,
        [
            Ok(Call::Open { path: "/d/new".to_owned(), fd: 5, create: true, truncate: false }),
            Err(0),
            Ok(Call::Write { path: "/d/new".to_owned(), fd: 5, offset: Some(16), bytes: b"a\"\x0f\n".to_vec() }),
            Err(2),
            Ok(sync.clone()),
            Err(4),
            Ok(sync),
        ]
    );
}
