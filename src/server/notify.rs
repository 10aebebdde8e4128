//! Tells a service manager how the service does, by the protocol of sd_notify(3): one datagram per message to the socket that the
//! environment names. Where there is none, nobody is told, and a message that does not arrive changes nothing.

use std::{
    os::unix::net::{SocketAddr, UnixDatagram},
    process,
    sync::Mutex,
    time::Duration,
};

use secrecy::ExposeSecret;

use crate::config::Environment;

/// A longer status is cut.
const STATUS_CHARS_MAX: usize = 200;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// The status that was sent last.
    status: Mutex<String>,
}

impl Notify {
    /// `NOTIFY_SOCKET` names the socket; `WATCHDOG_USEC` says how often a sign of life is wanted, of the process `WATCHDOG_PID` if
    /// that is set.
    pub fn from_environment(env: &dyn Environment) -> Self {
        let variable = |name| env.variable(name).map(|value| value.expose_secret().to_owned());
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(process::id()));
        let period = variable("WATCHDOG_USEC").and_then(|text| text.parse().ok()).filter(|period| *period > 0 && ours);
        let socket = variable("NOTIFY_SOCKET").and_then(|name| open(&name));
        let watchdog = period.map(Duration::from_micros).filter(|_| socket.is_some());
        Self { socket, watchdog, status: Mutex::default() }
    }

    /// How often the manager wants a sign of life. It restarts a service that gives none for so long.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Schedules are read, and what is due is run.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    pub fn reloading(&self) {
        self.send("RELOADING=1");
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// One line for `systemctl status`. It is sent when it changed.
    pub fn status(&self, text: &str) {
        let line: String = text.chars().filter(|c| !c.is_control()).take(STATUS_CHARS_MAX).collect();
        let mut last = self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.socket.is_some() && *last != line {
            self.send(&format!("STATUS={line}"));
            *last = line;
        }
    }

    fn send(&self, message: &str) {
        if let Some((socket, manager)) = &self.socket {
            // A manager that does not listen is no reason to do anything else.
            drop(socket.send_to_addr(message.as_bytes(), manager));
        }
    }
}

fn open(name: &str) -> Option<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix('@') {
        Some(name) => unnamed(name)?,
        None if name.starts_with('/') => SocketAddr::from_pathname(name).ok()?,
        None => return None,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, manager))
}

/// An address that is no file, which only Linux has.
#[cfg(target_os = "linux")]
fn unnamed(name: &str) -> Option<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name).ok()
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &str) -> Option<SocketAddr> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1_000];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_at_the_socket_that_the_environment_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let path = path.to_str().unwrap();
        let own = process::id().to_string();
        let variables = [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", own.as_str())];
        let notify = Notify::from_environment(&MapEnvironment::new(&variables));
        assert_eq!(notify.watchdog(), Some(Duration::from_secs(30)));
        notify.ready();
        notify.status("3 scheduled\nREADY=0");
        notify.status("3 scheduled\nREADY=0");
        notify.stopping();
        assert_eq!(heard(&manager), "READY=1");
        assert_eq!(heard(&manager), "STATUS=3 scheduledREADY=0", "one line, and once");
        assert_eq!(heard(&manager), "STOPPING=1");
        drop(manager);
        notify.alive();
    }

    #[test]
    fn without_a_socket_or_for_another_process_nothing_is_asked_of_us() {
        let none = Notify::from_environment(&MapEnvironment::new(&[("WATCHDOG_USEC", "1000000")]));
        assert_eq!(none.watchdog(), None);
        none.ready();
        for socket in ["relative", "", "@"] {
            Notify::from_environment(&MapEnvironment::new(&[("NOTIFY_SOCKET", socket)])).ready();
        }
        let other = [("NOTIFY_SOCKET", "@renkei-nobody"), ("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "1")];
        assert_eq!(Notify::from_environment(&MapEnvironment::new(&other)).watchdog(), None);
    }
}
